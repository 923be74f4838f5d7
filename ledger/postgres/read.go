package postgres

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/speciecash/specie/ledger"
)

// opColumns is what scanOp reads of ops as o.
const opColumns = "o.lane, o.seq, o.id, o.kind, o.account, o.issuer, o.acquirer, o.state, o.request, o.answer, o.at"

// place is where a row stands in the order of accounts' lists.
type place struct {
	at   int64
	lane string
	seq  int64
	n    int
}

// scanOp reads opColumns into op, as first recorded and without its lists.
func scanOp(rows pgx.Rows, op *ledger.Op, seq *int64) error {
	var id []byte
	var at int64
	err := rows.Scan(&op.Lane, seq, &id, &op.Kind, &op.Account, &op.Issuer, &op.Acquirer, &op.State,
		&op.Request, &op.Answer, &at)
	op.ID, op.At = toID(id), fromMicro(at)
	return err
}

// Op implements ledger.Ledger. What it finds is confirmed.
func (l *Ledger) Op(ctx context.Context, id ledger.ID) (*ledger.Op, error) {
	var found ledger.Op
	exists, err := l.get(ctx, []any{new(int)}, "SELECT 1 FROM ops WHERE id=$1", id[:])
	if err == nil && !exists {
		err = ledger.ErrNotFound // a lookup that comes before every op, and costs no commit
	}
	if err == nil {
		err = l.within(ctx, func(t *tx) error {
			var ops []ledger.Op
			err := readOps(t.query, &ops, "WHERE o.id=$1", id[:])
			if err == nil && len(ops) == 0 {
				err = ledger.ErrNotFound
			}
			if err == nil {
				found = ops[0]
			}
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("postgres: op %x: %w", id[:8], err)
	}
	return &found, nil
}

// readOps reads the ops that rest selects, whole.
func readOps(list lister, ops *[]ledger.Op, rest string, args ...any) error {
	var lanes []string
	var seqs []int64
	err := list(func(rows pgx.Rows) error {
		var op ledger.Op
		var seq int64
		err := scanOp(rows, &op, &seq)
		*ops = append(*ops, op)
		lanes, seqs = append(lanes, op.Lane), append(seqs, seq)
		return err
	}, "SELECT "+opColumns+" FROM ops o "+rest, args...)
	if err != nil || len(seqs) == 0 {
		return err
	}
	return list.complete(*ops, lanes, seqs)
}

// complete adds to ops what is kept outside their rows: their lists, and state
// and answer as settled since. Rows are only ever added, and the lists with
// the op, so that several reads make one consistent op.
func (list lister) complete(ops []ledger.Op, lanes []string, seqs []int64) error {
	type at struct {
		lane string
		seq  int64
	}
	by := make(map[at]*ledger.Op, len(ops))
	for i := range ops {
		by[at{lanes[i], seqs[i]}] = &ops[i]
	}
	const these = " JOIN unnest($1::text[], $2::bigint[]) AS u (lane, seq) ON x.lane = u.lane AND x.seq = u.seq "
	var k at
	err := list(func(rows pgx.Rows) error {
		var state string
		var answer []byte
		err := rows.Scan(&k.lane, &k.seq, &state, &answer)
		if op := by[k]; op != nil {
			op.State, op.Answer = state, answer
		}
		return err
	}, `SELECT x.op_lane, x.op_seq, x.state, x.answer FROM answers x
		JOIN unnest($1::text[], $2::bigint[]) AS u (lane, seq) ON x.op_lane = u.lane AND x.op_seq = u.seq
		ORDER BY x.rev`, lanes, seqs)
	if err != nil {
		return err
	}
	err = list(func(rows pgx.Rows) error {
		var p ledger.Posting
		err := rows.Scan(&k.lane, &k.seq, &p.Account, &p.Amount, &p.Currency)
		if op := by[k]; op != nil {
			op.Postings = append(op.Postings, p)
		}
		return err
	}, "SELECT x.lane, x.seq, x.account, x.amount, x.currency FROM postings x"+these+"ORDER BY x.lane, x.seq, x.n", lanes, seqs)
	if err != nil {
		return err
	}
	err = list(func(rows pgx.Rows) error {
		var s ledger.Spend
		var id []byte
		err := rows.Scan(&k.lane, &k.seq, &s.Epoch, &id, &s.Value)
		s.ID = toID(id)
		if op := by[k]; op != nil {
			op.Spends = append(op.Spends, s)
		}
		return err
	}, "SELECT x.lane, x.seq, x.epoch, x.id, x.value FROM op_spends x"+these+"ORDER BY x.lane, x.seq, x.n", lanes, seqs)
	if err != nil {
		return err
	}
	return list(func(rows pgx.Rows) error {
		var q ledger.Quota
		err := rows.Scan(&k.lane, &k.seq, &q.Name, &q.Amount)
		if op := by[k]; op != nil {
			op.Quotas = append(op.Quotas, q)
		}
		return err
	}, "SELECT x.lane, x.seq, x.name, x.amount FROM op_quotas x"+these+"ORDER BY x.lane, x.seq, x.n", lanes, seqs)
}

// start returns the place that a page begins below.
func (l *Ledger) start(ctx context.Context, c ledger.Cursor) (place, error) {
	if c == "" {
		return place{at: math.MaxInt64}, nil
	}
	id, n, err := c.Position()
	if err != nil {
		return place{}, err
	}
	p := place{n: n}
	found, err := l.get(ctx, []any{&p.at, &p.lane, &p.seq}, "SELECT at, lane, seq FROM ops WHERE id=$1", id[:])
	if err == nil && !found {
		err = fmt.Errorf("%w: cursor names no op", ledger.ErrMalformed)
	}
	return p, err
}

// bounds are a page's From and Until, in microseconds.
func bounds(page ledger.Page) (from, until int64) {
	until = math.MaxInt64
	if !page.From.IsZero() {
		from = page.From.UnixMicro()
	}
	if !page.Until.IsZero() {
		until = page.Until.UnixMicro()
	}
	return from, until
}

// OpsByAccount implements ledger.Ledger.
func (l *Ledger) OpsByAccount(ctx context.Context, account string, page ledger.Page) ([]ledger.Op, ledger.Cursor, error) {
	var ops []ledger.Op
	below, err := l.start(ctx, page.After)
	from, until := bounds(page)
	if err == nil {
		err = readOps(l.lister(ctx), &ops, `WHERE o.account=$1 AND (o.at, o.lane, o.seq) < ($2, $3, $4) AND o.at >= $5 AND o.at < $6
			ORDER BY o.at DESC, o.lane DESC, o.seq DESC LIMIT $7`,
			account, below.at, below.lane, below.seq, from, until, page.Size()+1)
	}
	if err != nil {
		return nil, "", fmt.Errorf("postgres: ops of %s: %w", account, err)
	}
	var next ledger.Cursor
	if len(ops) > page.Size() {
		ops = ops[:page.Size()]
		next = ledger.NewCursor(ops[len(ops)-1].ID, 0)
	}
	return ops, next, nil
}

// Entries implements ledger.Ledger.
func (l *Ledger) Entries(ctx context.Context, account string, page ledger.Page) ([]ledger.Entry, ledger.Cursor, error) {
	var entries []ledger.Entry
	var ns []int
	below, err := l.start(ctx, page.After)
	from, until := bounds(page)
	if err == nil {
		err = l.list(ctx, func(rows pgx.Rows) error {
			e := ledger.Entry{Account: account}
			var id []byte
			var at int64
			var n int
			err := rows.Scan(&id, &e.Kind, &e.State, &e.Amount, &e.Currency, &at, &n)
			e.Op, e.At = toID(id), fromMicro(at)
			entries, ns = append(entries, e), append(ns, n)
			return err
		}, `SELECT o.id, o.kind, COALESCE((SELECT a.state FROM answers a
				WHERE a.op_lane = o.lane AND a.op_seq = o.seq ORDER BY a.rev DESC LIMIT 1), o.state),
				p.amount, p.currency, p.at, p.n
			FROM postings p JOIN ops o ON o.lane = p.lane AND o.seq = p.seq
			WHERE p.account=$1 AND (p.at, p.lane, p.seq, p.n) < ($2, $3, $4, $5) AND p.at >= $6 AND p.at < $7
			ORDER BY p.at DESC, p.lane DESC, p.seq DESC, p.n DESC LIMIT $8`,
			account, below.at, below.lane, below.seq, below.n, from, until, page.Size()+1)
	}
	if err != nil {
		return nil, "", fmt.Errorf("postgres: entries of %s: %w", account, err)
	}
	var next ledger.Cursor
	if len(entries) > page.Size() {
		entries = entries[:page.Size()]
		last := len(entries) - 1
		next = ledger.NewCursor(entries[last].Op, ns[last])
	}
	return entries, next, nil
}

// wantEpoch is ErrMalformed or ErrUnknownEpoch for an epoch that is not open.
func (l *Ledger) wantEpoch(ctx context.Context, epoch string) error {
	if !ledger.ValidEpoch(epoch) {
		return ledger.ErrMalformed
	}
	open, err := l.knowsEpoch(epoch, func(into []any, query string, args ...any) (bool, error) {
		return l.get(ctx, into, query, args...)
	})
	if err == nil && !open {
		err = ledger.ErrUnknownEpoch
	}
	return err
}

// SpentBy implements ledger.Ledger. What it finds is confirmed.
func (l *Ledger) SpentBy(ctx context.Context, epoch string, ids []ledger.ID) (map[ledger.ID]ledger.ID, error) {
	out := make(map[ledger.ID]ledger.ID)
	err := l.wantEpoch(ctx, epoch)
	if err == nil && len(ids) > 0 {
		err = l.within(ctx, func(t *tx) error {
			clear(out)
			return t.query(func(rows pgx.Rows) error {
				var id, op []byte
				err := rows.Scan(&id, &op)
				out[toID(id)] = toID(op)
				return err
			}, "SELECT id, op FROM spent_"+epoch+" WHERE id = ANY($1)", sortedIDs(ids))
		})
	}
	if err != nil {
		return nil, fmt.Errorf("postgres: spent ids of epoch %q: %w", epoch, err)
	}
	return out, nil
}

// Count implements ledger.Ledger.
func (l *Ledger) Count(ctx context.Context, name string) (int64, error) {
	var counted int64
	if _, err := l.get(ctx, []any{&counted}, "SELECT counted FROM quotas WHERE name=$1", name); err != nil {
		return 0, fmt.Errorf("postgres: count of %s: %w", name, err)
	}
	return counted, nil
}

// Balance implements ledger.Ledger. One statement sees one state: what is
// folded meanwhile is seen before or after, and never twice.
func (l *Ledger) Balance(ctx context.Context, account, currency string) (int64, error) {
	var amount int64
	_, err := l.get(ctx, []any{&amount}, `SELECT (COALESCE((SELECT amount FROM balances WHERE account=$1 AND currency=$2), 0)
		+ COALESCE((SELECT SUM(amount) FROM deltas WHERE account=$1 AND currency=$2), 0))::bigint`, account, currency)
	if err != nil {
		return 0, fmt.Errorf("postgres: balance of %s: %w", account, err)
	}
	return amount, nil
}

// BalanceAt implements ledger.Ledger.
func (l *Ledger) BalanceAt(ctx context.Context, account, currency string, at time.Time) (int64, error) {
	var amount int64
	_, err := l.get(ctx, []any{&amount}, `SELECT COALESCE(SUM(amount), 0)::bigint FROM postings
		WHERE account=$1 AND currency=$2 AND at < $3`, account, currency, at.UnixMicro())
	if err != nil {
		return 0, fmt.Errorf("postgres: balance of %s at %v: %w", account, at, err)
	}
	return amount, nil
}

// Totals implements ledger.Ledger.
func (l *Ledger) Totals(ctx context.Context, prefix string) ([]ledger.Balance, error) {
	var out []ledger.Balance
	err := l.list(ctx, func(rows pgx.Rows) error {
		var b ledger.Balance
		err := rows.Scan(&b.Account, &b.Currency, &b.Amount)
		out = append(out, b)
		return err
	}, `SELECT account, currency, SUM(amount)::bigint FROM (
			SELECT account, currency, amount FROM balances WHERE posted AND account >= $1 AND account < $2
			UNION ALL SELECT account, currency, amount FROM deltas WHERE account >= $1 AND account < $2
		) AS parts GROUP BY account, currency ORDER BY account, currency`, prefix, beyond(prefix))
	if err != nil {
		return nil, fmt.Errorf("postgres: totals of %q: %w", prefix, err)
	}
	return out, nil
}

// beyond returns a string after every account path that begins with prefix:
// paths are ASCII.
func beyond(prefix string) string { return prefix + "\x7f" }
