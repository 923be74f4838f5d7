package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/speciecash/specie/ledger"
)

// loadAtOnce is how many records are written in one piece.
const loadAtOnce = 500

// load is a Load under way: one transaction, which is not run again, since the
// rows come once.
type load struct {
	l       *Ledger
	t       *tx
	checker ledger.RowChecker
	rec     *recorder
	rows    *rows
	record  ledger.Record // the one read last
	waiting []loadAnswer  // answers whose op may be in a lane that comes later
	epochs  []string
	tokens  map[ledger.ID]uint64 // their newest version
}

// loadAnswer is an answer whose op's place is not known.
type loadAnswer struct {
	ledger.AnswerRow
	lane string
	seq  uint64
}

// Load implements ledger.Ledger.
func (l *Ledger) Load(ctx context.Context, next func() (*ledger.Row, error)) error {
	opts := l.opts
	opts.Timeout = 1 << 62 // as long as ctx allows
	ld := &load{l: l, tokens: make(map[ledger.ID]uint64)}
	conn, err := l.acquire(ctx)
	if err == nil {
		err = transact(ctx, conn.Conn(), opts, func(t *tx) error {
			ld.t = t
			return ld.run(next)
		})
		conn.Release()
	}
	if again(err) { // rows that can't be there twice
		err = fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
	}
	if err != nil {
		return fmt.Errorf("postgres: load: %w", classifyKeeping(err))
	}
	for _, epoch := range ld.epochs {
		l.learnEpoch(epoch)
	}
	return nil
}

func (ld *load) run(next func() (*ledger.Row, error)) error {
	// Reading the rows may take as long as it does.
	if err := ld.t.exec("SET LOCAL idle_in_transaction_session_timeout TO 0"); err != nil {
		return err
	}
	if err := ld.empty(); err != nil {
		return err
	}
	ld.rec = &recorder{heads: make(map[string]*ledger.Head), changed: make(map[string]struct{})}
	ld.rows = newRows(ld.rec)
	for {
		r, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return callerError{err}
		}
		if err := ld.checker.Check(r); err != nil {
			return err
		}
		if err := ld.take(r); err != nil {
			return err
		}
	}
	if err := ld.checker.Close(); err != nil {
		return err
	}
	return ld.finish()
}

// empty is ErrState if there is anything in the store.
func (ld *load) empty() error {
	for _, table := range []string{"journal", "ops", "meta", "accounts", "epochs", "holds", "balances"} {
		found, err := ld.t.get([]any{new(int)}, "SELECT 1 FROM "+table+" LIMIT 1")
		if err != nil {
			return err
		}
		if found {
			return fmt.Errorf("%w: the store is not empty", ledger.ErrState)
		}
	}
	return nil
}

// take writes a row, or keeps it until there are more.
func (ld *load) take(r *ledger.Row) error {
	switch {
	case r.Meta != nil:
		return ld.t.exec("INSERT INTO meta (name, value, rev) VALUES ($1, $2, $3)", r.Meta.Key, blob(r.Meta.Value), int64(r.Meta.Rev))
	case r.Epoch != "":
		ld.epochs = append(ld.epochs, r.Epoch)
		_, err := openEpoch(ld.t, r.Epoch)
		return err
	case r.Account != nil:
		return ld.t.exec(insertAccount, accountValues(r.Account)...)
	case r.Token != nil:
		return ld.t.exec(insertToken, tokenValues(r.Token)...)
	case r.Record != nil:
		ld.record = *r.Record
		if r.Record.Event == ledger.EventToken {
			hash := toID(r.Record.Subject)
			ld.tokens[hash] = max(ld.tokens[hash], r.Record.Rev)
		}
		ld.rec.records = append(ld.rec.records, ld.record)
		// What belongs to it follows: write before it, not after.
		if len(ld.rec.records) > loadAtOnce {
			return ld.flush()
		}
	case r.Op != nil:
		ld.rows.add(r.Op, int64(ld.record.Seq))
	case r.Answer != nil:
		ld.waiting = append(ld.waiting, loadAnswer{*r.Answer, ld.record.Lane, ld.record.Seq})
	case r.Hold != nil:
		// As it comes: released and with its strikes.
		return writeHold(ld.t, r.Hold)
	case r.Try != nil:
		return ld.t.exec("INSERT INTO hold_tries (hold, try) VALUES ($1, $2)", r.Try.Hold[:], r.Try.Try[:])
	}
	return nil
}

// flush writes the rows that were kept. An id that is there already is damage:
// nobody else writes to an empty store, or he would see.
func (ld *load) flush() error {
	p := ld.t.pipeline()
	ld.rows.flush(p)
	if err := p.run(); errors.Is(err, errAgain) {
		return fmt.Errorf("%w: an op, a place or a spent coin comes twice", ledger.ErrCorrupt)
	} else if err != nil {
		return err
	}
	sums, counted := ld.rows.sums, ld.rows.counted
	ld.rows = newRows(ld.rec)
	ld.rows.sums, ld.rows.counted = sums, counted
	for purse, sum := range sums {
		if sum > ledger.MaxAmount || sum < -ledger.MaxAmount {
			return fmt.Errorf("%w: the postings of %s leave the range of balances", ledger.ErrCorrupt, purse.Account)
		}
	}
	for name, sum := range counted {
		if sum > ledger.MaxAmount {
			return fmt.Errorf("%w: what is counted toward %s leaves its range", ledger.ErrCorrupt, name)
		}
	}
	return ld.settle()
}

// settle writes the answers whose op is there, and keeps the others.
func (ld *load) settle() error {
	if len(ld.waiting) == 0 {
		return nil
	}
	ids := make([]ledger.ID, len(ld.waiting))
	for i := range ld.waiting {
		ids[i] = ld.waiting[i].Op
	}
	ops, err := ld.t.standings(ids)
	if err != nil {
		return err
	}
	var rest []loadAnswer
	for _, w := range ld.waiting {
		op, ok := ops[w.Op]
		if !ok {
			rest = append(rest, w)
			continue
		}
		ld.rows.answers = append(ld.rows.answers, answerRow{lane: w.lane, seq: int64(w.seq), opLane: op.lane, opSeq: op.seq,
			rev: int64(w.Rev), state: w.State, answer: w.Answer})
	}
	ld.waiting = rest
	p := ld.t.pipeline()
	ld.rows.flushAnswers(p)
	ld.rows.answers = nil
	if err := p.run(); errors.Is(err, errAgain) {
		return fmt.Errorf("%w: an answer comes twice", ledger.ErrCorrupt)
	} else if err != nil {
		return err
	}
	return nil
}

// finish writes the sums and the ends of the journals, and raises the fence.
func (ld *load) finish() error {
	if err := ld.flush(); err != nil {
		return err
	}
	if len(ld.waiting) > 0 {
		return fmt.Errorf("%w: op %x is answered and not recorded", ledger.ErrCorrupt, ld.waiting[0].Op)
	}
	if err := ld.sums(); err != nil {
		return err
	}
	// No journal vouches for holds.
	check := audit{snapshot: &snapshot{ctx: ld.t.ctx, conn: ld.t.conn}, out: &ledger.Audit{}}
	if err := errors.Join(check.holds(), check.out.Err()); err != nil {
		return err
	}
	heads := ld.checker.Heads()
	lanes := map[string]struct{}{ld.l.opts.Lane: {}}
	for _, h := range heads {
		lanes[h.Lane] = struct{}{}
	}
	rec, err := lockLanes(ld.t, slices.Sorted(maps.Keys(lanes)))
	if err != nil {
		return err
	}
	for _, h := range heads {
		*rec.heads[h.Lane] = h
		rec.changed[h.Lane] = struct{}{}
	}
	fence := ledger.Fence{Reason: ledger.FenceRestored, At: time.Now(), Heads: heads}
	if err := setMeta(ld.t, rec, ld.l.opts.Lane, ledger.MetaFence, fence.Encode()); err != nil {
		return err
	}
	return rec.write(ld.t)
}

// sums writes what is only known when all rows were read: balances, counters
// and the versions of tokens.
func (ld *load) sums() error {
	purses := slices.Collect(maps.Keys(ld.rows.sums))
	accounts, currencies := split(purses)
	amounts := make([]int64, len(purses))
	for i, purse := range purses {
		amounts[i] = ld.rows.sums[purse]
	}
	names := slices.Sorted(maps.Keys(ld.rows.counted))
	counted := make([]int64, len(names))
	for i, name := range names {
		counted[i] = ld.rows.counted[name]
	}
	var hashes [][]byte
	var revs []int64
	for hash, rev := range ld.tokens {
		hashes, revs = append(hashes, hash[:]), append(revs, int64(rev))
	}
	p := ld.t.pipeline()
	p.all(len(hashes), `UPDATE access_tokens AS k SET rev = u.rev
		FROM unnest($1::bytea[], $2::bigint[]) AS u (hash, rev) WHERE k.hash = u.hash`, hashes, revs)
	p.all(len(purses), `INSERT INTO balances (account, currency, amount, posted)
		SELECT account, currency, amount, TRUE FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (account, currency, amount)`,
		accounts, currencies, amounts)
	p.all(len(names), "INSERT INTO quotas (name, counted) SELECT * FROM unnest($1::text[], $2::bigint[])", names, counted)
	return p.run()
}
