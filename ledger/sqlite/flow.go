package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/speciecash/specie/ledger"
)

// Flows implements ledger.Ledger. The time is taken from the postings: an op's
// own stands behind its request and answer, whose pages would have to be read.
// Rows are added up here: where many kinds, times and accounts differ, the engine
// takes four times as long to sort them.
func (l *Ledger) Flows(ctx context.Context, r ledger.FlowRange) ([]ledger.Flow, error) {
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("sqlite: flows: %w", err)
	}
	type key struct {
		kind, account, currency string
		span                    int64
	}
	span := r.Span.Microseconds()
	sums := make(map[key]*ledger.Flow)
	err := l.list(ctx, func(rows *sql.Rows) error {
		var k key
		var at, amount, n int64
		if err := rows.Scan(&k.kind, &at, &k.account, &k.currency, &amount, &n); err != nil {
			return classify(err)
		}
		k.span = at / span
		if !strings.HasPrefix(k.account, r.Apart) {
			k.account = ledger.Class(k.account)
		}
		f := sums[k]
		if f == nil {
			f = &ledger.Flow{Kind: k.kind, At: fromMicro(k.span * span), Account: k.account, Currency: k.currency}
			sums[k] = f
		}
		if n == 0 {
			f.Ops++
		}
		sum := f.Amount + amount
		if (sum > f.Amount) != (amount > 0) {
			return fmt.Errorf("%w: the sum of what was posted to %s", ledger.ErrOverflow, k.account)
		}
		f.Amount = sum
		return nil
	}, `SELECT o.kind, p.at, p.account, p.currency, p.amount, p.n
		FROM postings p JOIN ops o ON o.lane = p.lane AND o.seq = p.seq
		WHERE p.lane = ? AND p.seq > ? AND p.seq <= ?`, r.Lane, int64(r.After), int64(r.UpTo))
	if err != nil {
		return nil, fmt.Errorf("sqlite: flows of lane %s: %w", r.Lane, err)
	}
	out := make([]ledger.Flow, 0, len(sums))
	for _, f := range sums {
		out = append(out, *f)
	}
	return out, nil
}

// Heads implements ledger.Ledger. It goes from lane to lane by the index, not
// by all records.
func (l *Ledger) Heads(ctx context.Context) ([]ledger.Head, error) {
	var out []ledger.Head
	err := l.list(ctx, func(rows *sql.Rows) error {
		var h ledger.Head
		var hash []byte
		err := rows.Scan(&h.Lane, &h.Seq, &hash)
		h.Hash = toID(hash)
		out = append(out, h)
		return classify(err)
	}, `WITH RECURSIVE lanes (lane) AS (
			SELECT MIN(lane) FROM journal
			UNION ALL SELECT (SELECT MIN(j.lane) FROM journal j WHERE j.lane > lanes.lane) FROM lanes WHERE lanes.lane IS NOT NULL)
		SELECT j.lane, j.seq, j.hash FROM lanes JOIN journal j
			ON j.lane = lanes.lane AND j.seq = (SELECT MAX(seq) FROM journal WHERE lane = lanes.lane) ORDER BY j.lane`)
	if err != nil {
		return nil, fmt.Errorf("sqlite: heads: %w", err)
	}
	return out, nil
}

// Condition implements ledger.Ledger.
func (l *Ledger) Condition(ctx context.Context) (*ledger.Condition, error) {
	c := &ledger.Condition{Driver: "sqlite"}
	_, err := l.get(ctx)([]any{&c.Version, &c.Bytes},
		"SELECT sqlite_version(), page_count * page_size FROM pragma_page_count, pragma_page_size")
	if err != nil {
		return nil, fmt.Errorf("sqlite: condition: %w", err)
	}
	return c, nil
}
