package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/speciecash/specie/ledger"
)

// Head implements ledger.Ledger.
func (l *Ledger) Head(ctx context.Context, lane string, seq uint64) (ledger.Head, error) {
	query, args := "SELECT seq, hash FROM journal WHERE lane=$1 ORDER BY seq DESC LIMIT 1", []any{lane}
	if seq != 0 {
		query, args = "SELECT seq, hash FROM journal WHERE lane=$1 AND seq=$2", []any{lane, seq}
	}
	h := ledger.Head{Lane: lane}
	var hash []byte
	found, err := l.get(ctx, []any{&h.Seq, &hash}, query, args...)
	if err == nil && !found {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return ledger.Head{}, fmt.Errorf("postgres: head of lane %q: %w", lane, err)
	}
	h.Hash = toID(hash)
	return h, nil
}

// dump is a Dump under way.
type dump struct {
	*snapshot
	show     func(*ledger.Row) error
	progress func(done, total int64)
	done     int64
	total    int64
}

// Dump implements ledger.Ledger.
func (l *Ledger) Dump(ctx context.Context, row func(*ledger.Row) error, progress func(done, total int64)) error {
	d := &dump{progress: progress}
	var checker ledger.RowChecker
	var damage error
	d.show = func(r *ledger.Row) error {
		if damage == nil {
			damage = checker.Check(r)
		}
		if err := row(r); err != nil {
			return callerError{err}
		}
		return nil
	}
	err := l.snapshot(ctx, func(s *snapshot) error {
		d.snapshot = s
		for _, part := range []func() error{d.heads, d.standing, d.records, d.holds} {
			if err := part(); err != nil {
				return err
			}
		}
		d.tell(0)
		if damage == nil {
			damage = checker.Close()
		}
		return damage
	})
	if err != nil {
		return fmt.Errorf("postgres: dump: %w", classifyKeeping(err))
	}
	return nil
}

// tell notes that n more records are shown.
func (d *dump) tell(n int64) {
	d.done += n
	if d.progress != nil && (n == 0 || d.done%progressEvery == 0) {
		d.progress(d.done, d.total)
	}
}

func (d *dump) heads() error {
	heads, err := lister(d.query).heads()
	if err != nil {
		return err
	}
	if _, err := d.get([]any{&d.total}, "SELECT COUNT(*) FROM journal"); err != nil {
		return err
	}
	d.tell(0)
	return d.show(&ledger.Row{Heads: &heads})
}

// standing shows the rows that have one version at a time.
func (d *dump) standing() error {
	for _, table := range []struct {
		query string
		scan  func(pgx.Rows) (*ledger.Row, error)
	}{
		{"SELECT name, value, rev FROM meta ORDER BY name", func(rows pgx.Rows) (*ledger.Row, error) {
			m, err := scanMeta(rows)
			return &ledger.Row{Meta: m}, err
		}},
		{"SELECT name FROM epochs ORDER BY name", func(rows pgx.Rows) (*ledger.Row, error) {
			var r ledger.Row
			err := rows.Scan(&r.Epoch)
			return &r, err
		}},
		{"SELECT " + accountColumns + " FROM accounts ORDER BY id", func(rows pgx.Rows) (*ledger.Row, error) {
			a, err := scanAccount(rows)
			return &ledger.Row{Account: a}, err
		}},
		{"SELECT " + tokenColumns + " FROM access_tokens ORDER BY hash", func(rows pgx.Rows) (*ledger.Row, error) {
			k, err := scanToken(rows)
			return &ledger.Row{Token: k}, err
		}},
	} {
		err := d.query(func(rows pgx.Rows) error {
			r, err := table.scan(rows)
			if err != nil {
				return err
			}
			return d.show(r)
		}, table.query)
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *dump) records() error {
	return d.journal(func(st *step) error {
		d.tell(1)
		if err := d.show(&ledger.Row{Record: &st.Record}); err != nil {
			return err
		}
		switch st.Event {
		case ledger.EventOp:
			if st.op == nil {
				return nil // the checker misses it
			}
			return d.show(&ledger.Row{Op: st.op})
		case ledger.EventAnswer:
			if st.answer == nil {
				return nil
			}
			return d.show(&ledger.Row{Answer: st.answer})
		}
		return nil
	})
}

// holdsAtOnce is how many holds are read in one piece.
const holdsAtOnce = 500

func (d *dump) holds() error {
	for after, id := int64(0), []byte{}; ; {
		holds, err := lister(d.query).holds("(SELECT * FROM holds WHERE (at, id) > ($1, $2) ORDER BY at, id LIMIT $3) AS h",
			"h.at, h.id", after, id, holdsAtOnce)
		if err != nil || len(holds) == 0 {
			return err
		}
		ids := make([][]byte, len(holds))
		for i := range holds {
			ids[i] = holds[i].ID[:]
		}
		tries := make(map[ledger.ID][]ledger.TryRow)
		err = d.query(func(rows pgx.Rows) error {
			var hold, try []byte
			err := rows.Scan(&hold, &try)
			tries[toID(hold)] = append(tries[toID(hold)], ledger.TryRow{Hold: toID(hold), Try: toID(try)})
			return err
		}, "SELECT hold, try FROM hold_tries WHERE hold = ANY($1) ORDER BY hold, try", ids)
		if err != nil {
			return err
		}
		for i := range holds {
			if err := d.show(&ledger.Row{Hold: &holds[i]}); err != nil {
				return err
			}
			for _, try := range tries[holds[i].ID] {
				if err := d.show(&ledger.Row{Try: &try}); err != nil {
					return err
				}
			}
		}
		after, id = holds[len(holds)-1].At.UnixMicro(), ids[len(ids)-1]
	}
}
