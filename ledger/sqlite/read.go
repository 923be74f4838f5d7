package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

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
func scanOp(scan func(...any) error, op *ledger.Op, seq *int64) error {
	var id []byte
	var at int64
	err := scan(&op.Lane, seq, &id, &op.Kind, &op.Account, &op.Issuer, &op.Acquirer, &op.State,
		&op.Request, &op.Answer, &at)
	op.ID, op.At = toID(id), fromMicro(at)
	return err
}

func fromMicro(at int64) time.Time { return time.UnixMicro(at).UTC() }

// Op implements ledger.Ledger.
func (l *Ledger) Op(ctx context.Context, id ledger.ID) (*ledger.Op, error) {
	var op ledger.Op
	var seq int64
	found := false
	err := l.list(ctx, func(rows *sql.Rows) error {
		found = true
		return classify(scanOp(rows.Scan, &op, &seq))
	}, "SELECT "+opColumns+" FROM ops o WHERE o.id=?", id[:])
	switch {
	case err == nil && found:
		err = l.complete(ctx, &op, seq)
	case err == nil:
		err = ledger.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("sqlite: op %x: %w", id[:8], err)
	}
	return &op, nil
}

// complete adds to an op what is kept outside its row: its lists, and state
// and answer as settled since. Rows are only ever added, and the lists with
// the op, so that several reads make one consistent op.
func (l *Ledger) complete(ctx context.Context, op *ledger.Op, seq int64) error {
	var state string
	var answer []byte
	settled, err := l.get(ctx)([]any{&state, &answer},
		"SELECT state, answer FROM answers WHERE op_lane=? AND op_seq=? ORDER BY rev DESC LIMIT 1", op.Lane, seq)
	if err != nil {
		return err
	}
	if settled {
		op.State, op.Answer = state, answer
	}
	err = l.list(ctx, func(rows *sql.Rows) error {
		var p ledger.Posting
		err := rows.Scan(&p.Account, &p.Amount, &p.Currency)
		op.Postings = append(op.Postings, p)
		return classify(err)
	}, "SELECT account, amount, currency FROM postings WHERE lane=? AND seq=? ORDER BY n", op.Lane, seq)
	if err != nil {
		return err
	}
	err = l.list(ctx, func(rows *sql.Rows) error {
		var s ledger.Spend
		var id []byte
		err := rows.Scan(&s.Epoch, &id, &s.Value)
		s.ID = toID(id)
		op.Spends = append(op.Spends, s)
		return classify(err)
	}, "SELECT epoch, id, value FROM op_spends WHERE lane=? AND seq=? ORDER BY n", op.Lane, seq)
	if err != nil {
		return err
	}
	return l.list(ctx, func(rows *sql.Rows) error {
		var q ledger.Quota
		err := rows.Scan(&q.Name, &q.Amount)
		op.Quotas = append(op.Quotas, q)
		return classify(err)
	}, "SELECT name, amount FROM op_quotas WHERE lane=? AND seq=? ORDER BY n", op.Lane, seq)
}

// span returns the bounds of a page's times: from the first to before the
// second.
func span(page ledger.Page) (from, until int64) {
	from, until = 0, math.MaxInt64
	if !page.From.IsZero() {
		from = page.From.UnixMicro()
	}
	if !page.Until.IsZero() {
		until = page.Until.UnixMicro()
	}
	return from, until
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
	found, err := l.get(ctx)([]any{&p.at, &p.lane, &p.seq}, "SELECT at, lane, seq FROM ops WHERE id=?", id[:])
	if err == nil && !found {
		err = fmt.Errorf("%w: cursor names no op", ledger.ErrMalformed)
	}
	return p, err
}

// OpsByAccount implements ledger.Ledger.
func (l *Ledger) OpsByAccount(ctx context.Context, account string, page ledger.Page) ([]ledger.Op, ledger.Cursor, error) {
	ops, next, err := l.opsByAccount(ctx, account, page)
	if err != nil {
		return nil, "", fmt.Errorf("sqlite: ops of %s: %w", account, err)
	}
	return ops, next, nil
}

func (l *Ledger) opsByAccount(ctx context.Context, account string, page ledger.Page) ([]ledger.Op, ledger.Cursor, error) {
	below, err := l.start(ctx, page.After)
	if err != nil {
		return nil, "", err
	}
	from, until := span(page)
	var ops []ledger.Op
	var seqs []int64
	err = l.list(ctx, func(rows *sql.Rows) error {
		var op ledger.Op
		var seq int64
		err := scanOp(rows.Scan, &op, &seq)
		ops, seqs = append(ops, op), append(seqs, seq)
		return classify(err)
	}, "SELECT "+opColumns+` FROM ops o WHERE o.account=? AND o.at>=? AND o.at<? AND (o.at, o.lane, o.seq) < (?, ?, ?)
		ORDER BY o.at DESC, o.lane DESC, o.seq DESC LIMIT ?`, account, from, until, below.at, below.lane, below.seq, page.Size()+1)
	if err != nil {
		return nil, "", err
	}
	var next ledger.Cursor
	if len(ops) > page.Size() {
		ops = ops[:page.Size()]
		next = ledger.NewCursor(ops[len(ops)-1].ID, 0)
	}
	for i := range ops {
		if err := l.complete(ctx, &ops[i], seqs[i]); err != nil {
			return nil, "", err
		}
	}
	return ops, next, nil
}

// Entries implements ledger.Ledger.
func (l *Ledger) Entries(ctx context.Context, account string, page ledger.Page) ([]ledger.Entry, ledger.Cursor, error) {
	entries, next, err := l.entries(ctx, account, page)
	if err != nil {
		return nil, "", fmt.Errorf("sqlite: entries of %s: %w", account, err)
	}
	return entries, next, nil
}

func (l *Ledger) entries(ctx context.Context, account string, page ledger.Page) ([]ledger.Entry, ledger.Cursor, error) {
	below, err := l.start(ctx, page.After)
	if err != nil {
		return nil, "", err
	}
	from, until := span(page)
	var entries []ledger.Entry
	var ns []int
	err = l.list(ctx, func(rows *sql.Rows) error {
		e := ledger.Entry{Account: account}
		var id []byte
		var at int64
		var n int
		err := rows.Scan(&id, &e.Kind, &e.State, &e.Amount, &e.Currency, &at, &n)
		e.Op, e.At = toID(id), fromMicro(at)
		entries, ns = append(entries, e), append(ns, n)
		return classify(err)
	}, `SELECT o.id, o.kind, COALESCE((SELECT a.state FROM answers a
			WHERE a.op_lane = o.lane AND a.op_seq = o.seq ORDER BY a.rev DESC LIMIT 1), o.state),
			p.amount, p.currency, p.at, p.n
		FROM postings p JOIN ops o ON o.lane = p.lane AND o.seq = p.seq
		WHERE p.account=? AND p.at>=? AND p.at<? AND (p.at, p.lane, p.seq, p.n) < (?, ?, ?, ?)
		ORDER BY p.at DESC, p.lane DESC, p.seq DESC, p.n DESC LIMIT ?`,
		account, from, until, below.at, below.lane, below.seq, below.n, page.Size()+1)
	if err != nil {
		return nil, "", err
	}
	var next ledger.Cursor
	if len(entries) > page.Size() {
		entries = entries[:page.Size()]
		last := len(entries) - 1
		next = ledger.NewCursor(entries[last].Op, ns[last])
	}
	return entries, next, nil
}

// SpentBy implements ledger.Ledger.
func (l *Ledger) SpentBy(ctx context.Context, epoch string, ids []ledger.ID) (map[ledger.ID]ledger.ID, error) {
	out := make(map[ledger.ID]ledger.ID)
	open, err := l.epochIsOpen(ctx, epoch)
	if err == nil && !open {
		err = ledger.ErrUnknownEpoch
	}
	if err == nil {
		err = inChunks("SELECT id, op FROM spent_"+epoch+" WHERE id IN ", keysOf(ids), func(query string, args []any) error {
			return l.list(ctx, func(rows *sql.Rows) error {
				var id, op []byte
				err := rows.Scan(&id, &op)
				out[toID(id)] = toID(op)
				return classify(err)
			}, query, args...)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("sqlite: spent ids of epoch %q: %w", epoch, err)
	}
	return out, nil
}

func keysOf(ids []ledger.ID) []any {
	keys := make([]any, len(ids))
	for i := range ids {
		keys[i] = ids[i][:]
	}
	return keys
}

// Balance implements ledger.Ledger.
func (l *Ledger) Balance(ctx context.Context, account, currency string) (int64, error) {
	var amount int64
	_, err := l.get(ctx)([]any{&amount}, "SELECT amount FROM balances WHERE account=? AND currency=?", account, currency)
	if err != nil {
		return 0, fmt.Errorf("sqlite: balance of %s: %w", account, err)
	}
	return amount, nil
}

// BalanceAt implements ledger.Ledger. Most who ask mean a time not long ago: it
// takes back what was posted since.
func (l *Ledger) BalanceAt(ctx context.Context, account, currency string, at time.Time) (int64, error) {
	var amount int64
	_, err := l.get(ctx)([]any{&amount}, `SELECT COALESCE((SELECT amount FROM balances WHERE account=? AND currency=?), 0)
		- COALESCE((SELECT SUM(amount) FROM postings WHERE account=? AND currency=? AND at>=?), 0)`,
		account, currency, account, currency, at.UnixMicro())
	if err != nil {
		return 0, fmt.Errorf("sqlite: balance of %s at %v: %w", account, at, err)
	}
	return amount, nil
}

// Count implements ledger.Ledger.
func (l *Ledger) Count(ctx context.Context, name string) (n int64, err error) {
	if _, err := l.get(ctx)([]any{&n}, "SELECT counted FROM quotas WHERE name=?", name); err != nil {
		return 0, fmt.Errorf("sqlite: count of %s: %w", name, err)
	}
	return n, nil
}

// Head implements ledger.Ledger.
func (l *Ledger) Head(ctx context.Context, lane string, seq uint64) (ledger.Head, error) {
	head := ledger.Head{Lane: lane}
	var hash []byte
	where, args := "lane=? ORDER BY seq DESC LIMIT 1", []any{lane}
	if seq != 0 {
		where, args = "lane=? AND seq=?", []any{lane, int64(seq)}
	}
	found, err := l.get(ctx)([]any{&head.Seq, &hash}, "SELECT seq, hash FROM journal WHERE "+where, args...)
	if err == nil && !found {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return ledger.Head{}, fmt.Errorf("sqlite: head of lane %s: %w", lane, err)
	}
	head.Hash = toID(hash)
	return head, nil
}

// Totals implements ledger.Ledger.
func (l *Ledger) Totals(ctx context.Context, prefix string) ([]ledger.Balance, error) {
	var out []ledger.Balance
	err := l.list(ctx, func(rows *sql.Rows) error {
		var b ledger.Balance
		err := rows.Scan(&b.Account, &b.Currency, &b.Amount)
		out = append(out, b)
		return classify(err)
	}, "SELECT account, currency, amount FROM balances WHERE account >= ? AND account < ? ORDER BY account, currency",
		prefix, beyond(prefix))
	if err != nil {
		return nil, fmt.Errorf("sqlite: totals of %q: %w", prefix, err)
	}
	return out, nil
}

// beyond returns a string after every account path that begins with prefix:
// paths are ASCII.
func beyond(prefix string) string { return prefix + "\x7f" }
