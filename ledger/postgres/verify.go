package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/speciecash/specie/ledger"
)

// audit is a Verify under way.
type audit struct {
	*snapshot
	out      *ledger.Audit
	watch    ledger.Verification
	done     int64 // of total rows
	total    int64
	accounts ledger.Versions
	tokens   ledger.Versions
	meta     ledger.Versions
	epochs   ledger.Versions
}

func newAudit(v ledger.Verification) *audit {
	return &audit{
		out: &ledger.Audit{}, watch: v,
		accounts: ledger.Versions{}, tokens: ledger.Versions{},
		meta: ledger.Versions{}, epochs: ledger.Versions{},
	}
}

// Verify implements ledger.Ledger.
func (l *Ledger) Verify(ctx context.Context, v ledger.Verification) (*ledger.Audit, error) {
	a := newAudit(v)
	stopped := classifyKeeping(l.snapshot(ctx, a.run))
	// What stopped it half-way may come of the damage found: say both.
	if err := errors.Join(a.out.Err(), stopped); err != nil {
		return a.out, fmt.Errorf("postgres: verify: %w", err)
	}
	return a.out, nil
}

// callerError is an error of a function that the caller gave, which is passed
// on as it is.
type callerError struct{ error }

func (e callerError) Unwrap() error { return e.error }

// classifyKeeping is classify, but for errors of the caller's functions.
func classifyKeeping(err error) error {
	var own callerError
	if errors.As(err, &own) {
		return own.error
	}
	return classify(err)
}

func (a *audit) run(s *snapshot) error {
	a.snapshot = s
	for _, check := range []func() error{
		a.size, a.records, a.lanes, a.unrecorded, a.orphans, a.balances, a.quotas, a.spentSets,
		a.accountRows, a.tokenRows, a.metaRows, a.holds,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	a.done = a.total
	a.progress(0)
	return nil
}

// progressEvery is how many rows pass between two words about them.
const progressEvery = 1024

// size counts the rows that the progress is told by: the journal's, and those
// of the spent sets, which are looked at one by one too.
func (a *audit) size() error {
	_, err := a.get([]any{&a.total}, "SELECT (SELECT COUNT(*) FROM journal) + (SELECT COUNT(*) FROM op_spends)")
	a.progress(0)
	return err
}

// progress notes that n more rows are done.
func (a *audit) progress(n int64) {
	before := a.done / progressEvery
	a.done = min(a.done+n, a.total) // damage may have made it too few
	if a.watch.Progress != nil && (n == 0 || a.done/progressEvery != before || a.done == a.total) {
		a.watch.Progress(a.done, a.total)
	}
}

// records recomputes every link of the journals, and every op from its rows.
func (a *audit) records() error {
	var head ledger.Head
	err := a.journal(func(st *step) error {
		if st.Lane != head.Lane {
			a.closeLane(head)
			head = ledger.Head{Lane: st.Lane}
		}
		a.out.Records++
		a.progress(1)
		if err := head.Check(&st.Record); err != nil {
			a.out.Problem("journal: %v", err)
		}
		v := ledger.Version{Rev: st.Rev, Digest: st.Digest}
		switch st.Event {
		case ledger.EventOp:
			return a.op(st)
		case ledger.EventAnswer:
			a.answer(st)
		case ledger.EventAccount:
			a.accounts.Add(string(st.Subject), v)
		case ledger.EventToken:
			a.tokens.Add(fmt.Sprintf("%x", st.Subject), v)
		case ledger.EventMeta:
			a.meta.Add(string(st.Subject), v)
		case ledger.EventEpoch:
			a.epochs.Add(string(st.Subject), v)
		default:
			a.out.Problem("journal: record %s/%d is of unknown kind %q", st.Lane, st.Seq, st.Event)
		}
		return nil
	})
	a.closeLane(head)
	return err
}

func (a *audit) closeLane(head ledger.Head) {
	if head.Seq != 0 {
		a.out.Heads = append(a.out.Heads, head)
	}
}

// op checks an op's record against the op as its rows tell it.
func (a *audit) op(st *step) error {
	op := st.op
	if op == nil {
		a.out.Problem("journal: op %x of record %s/%d is gone", st.Subject, st.Lane, st.Seq)
		return nil
	}
	a.out.Ops++
	a.out.Postings += int64(len(op.Postings))
	a.out.Spends += int64(len(op.Spends))
	if slices.ContainsFunc(st.postedAt, func(at int64) bool { return at != op.At.UnixMicro() }) {
		a.out.Problem("postings: row of op %x has another time than the op", op.ID)
	}
	if !bytes.Equal(st.Subject, op.ID[:]) || st.Rev != 1 || op.Digest() != st.Digest {
		a.out.Problem("ops: op %x is not as the journal has it", op.ID)
	}
	if err := ledger.CheckBalanced(op.Postings); err != nil {
		a.out.Problem("postings: op %x: %v", op.ID, err)
	}
	if a.watch.Op != nil {
		if err := a.watch.Op(op); err != nil {
			return callerError{err}
		}
	}
	return nil
}

func (a *audit) answer(st *step) {
	if st.answer == nil {
		a.out.Problem("answers: answer of op %x, record %s/%d, is gone", st.Subject, st.Lane, st.Seq)
		return
	}
	a.out.Answers++
	if !bytes.Equal(st.answer.Op[:], st.Subject) || st.answer.Rev != st.Rev ||
		ledger.AnswerDigest(st.answer.State, st.answer.Answer) != st.Digest {
		a.out.Problem("answers: answer of op %x is not as the journal has it", st.Subject)
	}
}

// lanes compares the end of each journal with the row that the next writer
// would append to.
func (a *audit) lanes() error {
	ends := make(map[string]ledger.Head)
	for _, h := range a.out.Heads {
		ends[h.Lane] = h
	}
	err := a.query(func(rows pgx.Rows) error {
		var h ledger.Head
		var seq int64
		var hash []byte
		err := rows.Scan(&h.Lane, &seq, &hash)
		h.Seq, h.Hash = uint64(seq), toID(hash)
		if end := ends[h.Lane]; end.Seq != h.Seq || end.Hash != h.Hash {
			a.out.Problem("lanes: %s ends at record %d, its journal at %d", h.Lane, h.Seq, end.Seq)
		}
		delete(ends, h.Lane)
		return err
	}, "SELECT lane, seq, hash FROM lanes")
	for lane := range ends {
		a.out.Problem("lanes: row %q is in the journal and gone", lane)
	}
	return err
}

// unrecorded looks for ops and answers that no journal record stands for. The
// journal found its own ops and answers already.
func (a *audit) unrecorded() error {
	for _, table := range []struct{ name, event string }{{"ops", "op"}, {"answers", "answer"}} {
		err := a.places(table.name, "is not in the journal", `SELECT lane, seq FROM `+table.name+` t WHERE NOT EXISTS
			(SELECT 1 FROM journal j WHERE j.lane = t.lane AND j.seq = t.seq AND j.event = $1)`, table.event)
		if err != nil {
			return err
		}
	}
	return nil
}

// orphans looks for rows that belong to no op, which the journal passed by.
func (a *audit) orphans() error {
	for _, table := range []string{"postings", "op_spends", "op_quotas"} {
		err := a.places(table, "belongs to no op", "SELECT lane, seq FROM "+table+` t WHERE NOT EXISTS
			(SELECT 1 FROM ops o JOIN journal j ON j.lane = o.lane AND j.seq = o.seq AND j.event = 'op'
			WHERE o.lane = t.lane AND o.seq = t.seq)`)
		if err != nil {
			return err
		}
	}
	return nil
}

// places reports each place that a query selects.
func (a *audit) places(table, problem, query string, args ...any) error {
	return a.query(func(rows pgx.Rows) error {
		var lane string
		var seq int64
		err := rows.Scan(&lane, &seq)
		a.out.Problem("%s: row %s/%d %s", table, lane, seq, problem)
		return err
	}, query, args...)
}
