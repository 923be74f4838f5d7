package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	moderncsqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/batch"
)

// loadAtOnce is how many rows of the journal are written together, and
// loadBytes about how many bytes they may carry.
const (
	loadAtOnce = 1024
	loadBytes  = 8 << 20
)

// loader is a Load under way, within one transaction.
type loader struct {
	t       *tx
	check   ledger.RowChecker
	sums    *batch.Picture // of which only the sums are painted
	epochs  []string
	lane    string
	seq     uint64 // of the last record
	size    int
	records []any
	ops     []placed
	answers []loadedAnswer
	later   bool // answers wait for ops of lanes to come
}

type loadedAnswer struct {
	ledger.AnswerRow
	lane string
	seq  uint64
}

// Load implements ledger.Ledger.
func (l *Ledger) Load(ctx context.Context, next func() (*ledger.Row, error)) error {
	d := &loader{sums: batch.NewPicture()}
	// The caller waits for the end whatever becomes of his context: next is
	// his, and nobody may call it when he has left.
	err := l.writer.do(context.WithoutCancel(ctx), func(t *tx) error {
		d.t = t
		err := d.run(ctx, next)
		if err == nil {
			err = l.raiseFence(t, d.check.Heads())
		}
		return unfit(err)
	})
	if err != nil {
		return fmt.Errorf("sqlite: load: %w", err)
	}
	for _, epoch := range d.epochs {
		l.learnEpoch(epoch)
	}
	return nil
}

// unfit makes a constraint that the rows break what it is: they disagree with
// each other.
func unfit(err error) error {
	var e *moderncsqlite.Error
	if errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_CONSTRAINT {
		return fmt.Errorf("%w: %s", ledger.ErrCorrupt, e.Error())
	}
	return err
}

func (d *loader) run(ctx context.Context, next func() (*ledger.Row, error)) error {
	var filled bool
	if _, err := d.t.get([]any{&filled}, "SELECT EXISTS (SELECT 1 FROM journal) OR EXISTS (SELECT 1 FROM holds)"); err != nil {
		return err
	}
	if filled {
		return fmt.Errorf("%w: the store is not empty", ledger.ErrState)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		row, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := d.check.Check(row); err != nil {
			return err
		}
		if err := d.add(row); err != nil {
			return err
		}
	}
	if err := d.check.Close(); err != nil {
		return err
	}
	return d.finish(ctx)
}

// add takes a row that was checked.
func (d *loader) add(row *ledger.Row) error {
	switch {
	case row.Meta != nil:
		return d.t.exec("INSERT INTO meta (name, value, rev) VALUES (?,?,?)", row.Meta.Key, blob(row.Meta.Value), int64(row.Meta.Rev))
	case row.Epoch != "":
		d.epochs = append(d.epochs, row.Epoch)
		return makeEpoch(d.t, row.Epoch)
	case row.Account != nil:
		return d.t.exec("INSERT INTO accounts ("+accountColumns+") VALUES (?,?,?,?,?,?,?,?,?)", accountValues(row.Account)...)
	case row.Token != nil:
		return insertToken(d.t, row.Token)
	case row.Hold != nil:
		if err := d.flush(); err != nil {
			return err
		}
		return insertHold(d.t, row.Hold)
	case row.Try != nil:
		return d.t.exec("INSERT INTO hold_tries (hold, try) VALUES (?,?)", row.Try.Hold[:], row.Try.Try[:])
	}
	return d.journal(row)
}

func (d *loader) journal(row *ledger.Row) error {
	switch {
	case row.Record != nil:
		r := *row.Record
		d.lane, d.seq = r.Lane, r.Seq
		d.records = append(d.records, r.Lane, int64(r.Seq), string(r.Event), blob(r.Subject), int64(r.Rev), r.Digest[:], r.Prev[:], r.Hash[:])
		d.size += 256
		if r.Event == ledger.EventToken && r.Rev > 1 {
			err := d.t.exec("UPDATE access_tokens SET rev=max(rev, ?) WHERE hash=?", int64(r.Rev), r.Subject)
			if err != nil {
				return err
			}
		}
	case row.Op != nil:
		d.ops = append(d.ops, placed{row.Op, d.seq})
		d.size += len(row.Op.Request) + len(row.Op.Answer)
		if err := d.addUp(row.Op); err != nil {
			return err
		}
	case row.Answer != nil:
		d.answers = append(d.answers, loadedAnswer{*row.Answer, d.lane, d.seq})
		d.size += len(row.Answer.Answer)
	}
	if len(d.records) >= 8*loadAtOnce || d.size >= loadBytes {
		return d.flush()
	}
	return nil
}

// addUp adds an op to the sums. Lanes come one after the other and not as
// things happened: what is out of range now need not be at the end.
func (d *loader) addUp(op *ledger.Op) error {
	const most = 1 << 62
	for _, p := range op.Postings {
		purse := batch.Purse{Account: p.Account, Currency: p.Currency}
		sum := d.sums.Balances[purse] + p.Amount
		if sum > most || sum < -most {
			return fmt.Errorf("%w: balance of %s is out of range", ledger.ErrCorrupt, p.Account)
		}
		d.sums.Balances[purse] = sum
	}
	for _, q := range op.Quotas {
		sum := d.sums.Counts[q.Name] + q.Amount
		if sum > ledger.MaxAmount {
			return fmt.Errorf("%w: count of %s is out of range", ledger.ErrCorrupt, q.Name)
		}
		d.sums.Counts[q.Name] = sum
	}
	return nil
}

// flush writes what was gathered of the journal.
func (d *loader) flush() error {
	records, ops, answers := d.records, d.ops, d.answers
	d.records, d.ops, d.answers, d.size = nil, nil, nil, 0
	if err := insertRecords(d.t, records); err != nil {
		return err
	}
	if err := writeOps(d.t, ops); err != nil {
		return err
	}
	return d.writeAnswers(answers)
}

// writeAnswers writes those whose ops are there already. A lane may answer ops
// of a later one: such answers wait in a table of their own.
func (d *loader) writeAnswers(answers []loadedAnswer) error {
	type at struct {
		lane string
		seq  int64
	}
	keys := make([]any, len(answers))
	for i := range answers {
		keys[i] = answers[i].Op[:]
	}
	places := make(map[ledger.ID]at)
	err := d.t.lookup(func(rows *sql.Rows) error {
		var id []byte
		var p at
		err := rows.Scan(&id, &p.lane, &p.seq)
		places[toID(id)] = p
		return classify(err)
	}, "SELECT id, lane, seq FROM ops WHERE id IN ", sorted(keys))
	if err != nil {
		return err
	}
	var rows, waiting []any
	for i := range answers {
		a := &answers[i]
		if p, ok := places[a.Op]; ok {
			rows = append(rows, a.lane, int64(a.seq), p.lane, p.seq, int64(a.Rev), a.State, blob(a.Answer))
		} else {
			waiting = append(waiting, a.lane, int64(a.seq), a.Op[:], int64(a.Rev), a.State, blob(a.Answer))
		}
	}
	if err := insertAnswers(d.t, rows); err != nil || waiting == nil {
		return err
	}
	if !d.later {
		d.later = true
		if err := d.t.exec("CREATE TABLE load_answers (lane TEXT, seq INTEGER, op BLOB, rev INTEGER, state TEXT, answer BLOB) STRICT"); err != nil {
			return err
		}
	}
	return d.t.insert("INSERT INTO load_answers (lane, seq, op, rev, state, answer)", 6, "", waiting)
}

// finish writes what could not be written before the end, and looks at what
// only the whole can tell.
func (d *loader) finish(ctx context.Context) error {
	if err := d.flush(); err != nil {
		return err
	}
	if d.later {
		var want int64
		if _, err := d.t.get([]any{&want}, "SELECT COUNT(*) FROM load_answers"); err != nil {
			return err
		}
		n, err := d.t.change(`INSERT INTO answers (lane, seq, op_lane, op_seq, rev, state, answer)
			SELECT x.lane, x.seq, o.lane, o.seq, x.rev, x.state, x.answer FROM load_answers x JOIN ops o ON o.id = x.op`)
		if err != nil {
			return err
		}
		if n != want {
			return fmt.Errorf("%w: %d answers of ops that are not there", ledger.ErrCorrupt, want-n)
		}
		if err := d.t.exec("DROP TABLE load_answers"); err != nil {
			return err
		}
	}
	for purse, sum := range d.sums.Balances {
		if sum > ledger.MaxAmount || sum < -ledger.MaxAmount {
			return fmt.Errorf("%w: balance of %s is out of range", ledger.ErrCorrupt, purse.Account)
		}
	}
	if err := writeBalances(d.t, slices.Collect(maps.Keys(d.sums.Balances)), d.sums.Balances); err != nil {
		return err
	}
	if err := writeCounts(d.t, slices.Collect(maps.Keys(d.sums.Counts)), d.sums.Counts); err != nil {
		return err
	}
	a := newAudit(ctx, ledger.Verification{})
	a.conn, a.open = d.t.w.conn, d.epochs
	return errors.Join(a.holds(), a.out.Err())
}

// raiseFence notes that what came after heads is not here.
func (l *Ledger) raiseFence(t *tx, heads []ledger.Head) error {
	fence := ledger.Fence{Reason: ledger.FenceRestored, At: time.Now(), Heads: heads}
	return l.putMeta(t, ledger.MetaFence, fence.Encode())
}
