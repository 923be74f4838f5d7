package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"

	"github.com/speciecash/specie/ledger"
)

// sides are the tables that hold the lists of ops, in the order of ops.
type sides struct{ postings, spends, quotas *side }

func (a *audit) openSides() (_ *sides, err error) {
	var s sides
	for _, t := range []struct {
		into        **side
		table, rest string
	}{
		{&s.postings, "postings", "account, amount, currency, at"},
		{&s.spends, "op_spends", "epoch, id, value"},
		{&s.quotas, "op_quotas", "name, amount"},
	} {
		if *t.into, err = a.openSide(t.table, "SELECT lane, seq, "+t.rest+" FROM "+t.table+" ORDER BY lane, seq, n"); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return &s, nil
}

func (s *sides) close() error {
	var errs []error
	for _, t := range []*side{s.postings, s.spends, s.quotas} {
		if t != nil {
			errs = append(errs, t.rows.Close())
		}
	}
	return errors.Join(errs...)
}

// orphans is side.orphans for all.
func (s *sides) orphans(lane string, seq uint64, out *ledger.Audit) error {
	for _, t := range []*side{s.postings, s.spends, s.quotas} {
		if err := t.orphans(lane, seq, out); err != nil {
			return err
		}
	}
	return nil
}

// journal walks all lanes in order, and beside them the ops with their
// lists, which stand in the same order: every link is recomputed, and every op
// from its rows.
func (a *audit) journal() (err error) {
	lists, err := a.openSides()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lists.close()) }()

	var head ledger.Head
	err = a.each(func(rows *sql.Rows) error {
		rec, op, err := scanRecord(rows)
		if err != nil {
			return err
		}
		if rec.Lane != head.Lane {
			a.closeLane(head)
			head = ledger.Head{Lane: rec.Lane}
		}
		a.out.Records++
		a.progress(1)
		if err := head.Check(rec); err != nil {
			a.out.Problem("journal: %v", err)
		}
		if err := a.show(&ledger.Row{Record: rec}); err != nil {
			return err
		}
		if rec.Event == ledger.EventOp {
			return a.op(rec, op, lists)
		}
		return a.other(rec)
	}, "SELECT j.lane, j.seq, j.event, j.subject, j.rev, j.digest, j.prev, j.hash, "+
		`o.id, o.kind, o.account, o.issuer, o.acquirer, o.state, o.request, o.answer, o.at
		FROM journal j LEFT JOIN ops o ON o.lane = j.lane AND o.seq = j.seq ORDER BY j.lane, j.seq`)
	if err != nil {
		return err
	}
	a.closeLane(head)
	return lists.orphans("", 0, a.out)
}

func (a *audit) closeLane(head ledger.Head) {
	if head.Seq != 0 {
		a.out.Heads = append(a.out.Heads, head)
	}
}

// scanRecord reads a journal record and the op at its place, if there is one.
func scanRecord(rows *sql.Rows) (*ledger.Record, *ledger.Op, error) {
	var rec ledger.Record
	var digest, prev, hash, id, request, answer []byte
	var kind, account, issuer, acquirer, state sql.NullString
	var at sql.NullInt64
	err := rows.Scan(&rec.Lane, &rec.Seq, &rec.Event, &rec.Subject, &rec.Rev, &digest, &prev, &hash,
		&id, &kind, &account, &issuer, &acquirer, &state, &request, &answer, &at)
	if err != nil {
		return nil, nil, err
	}
	rec.Digest, rec.Prev, rec.Hash = toID(digest), toID(prev), toID(hash)
	if !kind.Valid {
		return &rec, nil, nil
	}
	return &rec, &ledger.Op{
		ID: toID(id), Kind: kind.String, Account: account.String, Issuer: issuer.String, Acquirer: acquirer.String,
		Lane: rec.Lane, State: state.String, Request: request, Answer: answer, At: fromMicro(at.Int64),
	}, nil
}

// op checks an op's record against the op as its rows tell it.
func (a *audit) op(rec *ledger.Record, op *ledger.Op, lists *sides) error {
	if err := lists.orphans(rec.Lane, rec.Seq, a.out); err != nil {
		return err
	}
	if op == nil {
		a.out.Problem("journal: op %x of record %s/%d is gone", rec.Subject, rec.Lane, rec.Seq)
		return nil
	}
	a.out.Ops++
	if err := a.fill(rec, op, lists); err != nil {
		return err
	}
	if !bytes.Equal(rec.Subject, op.ID[:]) || rec.Rev != 1 || op.Digest() != rec.Digest {
		a.out.Problem("ops: op %x is not as the journal has it", op.ID)
	}
	if err := ledger.CheckBalanced(op.Postings); err != nil {
		a.out.Problem("postings: op %x: %v", op.ID, err)
	}
	if a.watch.Op != nil {
		if err := a.watch.Op(op); err != nil {
			return err
		}
	}
	return a.show(&ledger.Row{Op: op})
}

// fill adds its lists to an op.
func (a *audit) fill(rec *ledger.Record, op *ledger.Op, lists *sides) error {
	var lane string
	var seq uint64
	err := lists.postings.take(rec.Lane, rec.Seq, func(rows *sql.Rows) error {
		var p ledger.Posting
		var at int64
		err := rows.Scan(&lane, &seq, &p.Account, &p.Amount, &p.Currency, &at)
		if err == nil && at != op.At.UnixMicro() {
			a.out.Problem("postings: row of op %x has another time than the op", op.ID)
		}
		op.Postings = append(op.Postings, p)
		a.out.Postings++
		return err
	})
	if err != nil {
		return err
	}
	err = lists.spends.take(rec.Lane, rec.Seq, func(rows *sql.Rows) error {
		var s ledger.Spend
		var id []byte
		err := rows.Scan(&lane, &seq, &s.Epoch, &id, &s.Value)
		s.ID = toID(id)
		op.Spends = append(op.Spends, s)
		a.out.Spends++
		return err
	})
	if err != nil {
		return err
	}
	return lists.quotas.take(rec.Lane, rec.Seq, func(rows *sql.Rows) error {
		var q ledger.Quota
		err := rows.Scan(&lane, &seq, &q.Name, &q.Amount)
		op.Quotas = append(op.Quotas, q)
		return err
	})
}

// other checks an answer's record, and notes the newest version of the rest.
func (a *audit) other(rec *ledger.Record) error {
	v := ledger.Version{Rev: rec.Rev, Digest: rec.Digest}
	switch rec.Event {
	case ledger.EventAnswer:
		return a.answer(rec)
	case ledger.EventAccount:
		a.accounts.Add(string(rec.Subject), v)
	case ledger.EventToken:
		a.tokens.Add(fmt.Sprintf("%x", rec.Subject), v)
	case ledger.EventMeta:
		a.meta.Add(string(rec.Subject), v)
	case ledger.EventEpoch:
		a.epochs.Add(string(rec.Subject), v)
	default:
		a.out.Problem("journal: record %s/%d is of unknown kind %q", rec.Lane, rec.Seq, rec.Event)
	}
	return nil
}

func (a *audit) answer(rec *ledger.Record) error {
	found := false
	rows, err := a.answers.QueryContext(a.ctx, rec.Lane, int64(rec.Seq))
	if err != nil {
		return err
	}
	err = eachRow(rows, func(rows *sql.Rows) error {
		found = true
		var id, answer []byte
		var rev uint64
		var state string
		if err := rows.Scan(&id, &rev, &state, &answer); err != nil {
			return err
		}
		if !bytes.Equal(id, rec.Subject) || rev != rec.Rev || ledger.AnswerDigest(state, answer) != rec.Digest {
			a.out.Problem("answers: answer of op %x is not as the journal has it", rec.Subject)
		}
		a.out.Answers++
		return a.show(&ledger.Row{Answer: &ledger.AnswerRow{Op: toID(id), Rev: rev, State: state, Answer: answer}})
	})
	if err == nil && !found {
		a.out.Problem("answers: answer of op %x, record %s/%d, is gone", rec.Subject, rec.Lane, rec.Seq)
	}
	return err
}

// side is a table read beside the journal, in the same order, one row ahead.
type side struct {
	table string
	rows  *sql.Rows
	lane  string
	seq   uint64
	more  bool
}

func (a *audit) openSide(table, query string) (*side, error) {
	rows, err := a.conn.QueryContext(a.ctx, query)
	if err != nil {
		return nil, err
	}
	s := &side{table: table, rows: rows}
	if err := s.next(); err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	return s, nil
}

// next moves to the next row and reads its place, the first two columns.
func (s *side) next() error {
	if s.more = s.rows.Next(); !s.more {
		return s.rows.Err()
	}
	columns, err := s.rows.Columns()
	if err != nil {
		return err
	}
	into := make([]any, len(columns))
	for i := range into {
		into[i] = new(any)
	}
	into[0], into[1] = &s.lane, &s.seq
	return s.rows.Scan(into...)
}

// take calls row for each row at the given place.
func (s *side) take(lane string, seq uint64, row func(*sql.Rows) error) error {
	for s.more && s.lane == lane && s.seq == seq {
		if err := row(s.rows); err != nil {
			return err
		}
		if err := s.next(); err != nil {
			return err
		}
	}
	return nil
}

// orphans reports and passes the rows before the given place, which belong to
// no op; an empty lane stands for the end.
func (s *side) orphans(lane string, seq uint64, out *ledger.Audit) error {
	for s.more && (lane == "" || s.lane < lane || s.lane == lane && s.seq < seq) {
		out.Problem("%s: row %s/%d belongs to no op", s.table, s.lane, s.seq)
		if err := s.next(); err != nil {
			return err
		}
	}
	return nil
}
