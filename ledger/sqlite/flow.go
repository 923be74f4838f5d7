package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/speciecash/specie/ledger"
)

// Flows implements ledger.Ledger. The time is taken from the postings: an op's
// own stands behind its request and answer, whose pages would have to be read.
func (l *Ledger) Flows(ctx context.Context, r ledger.FlowRange) ([]ledger.Flow, error) {
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("sqlite: flows: %w", err)
	}
	span := r.Span.Microseconds()
	var out []ledger.Flow
	err := l.list(ctx, func(rows *sql.Rows) error {
		var f ledger.Flow
		var at int64
		err := rows.Scan(&f.Kind, &at, &f.Account, &f.Currency, &f.Amount, &f.Ops)
		f.At = fromMicro(at * span)
		out = append(out, f)
		return classify(err)
	}, `SELECT o.kind, p.at / ? AS span,
			CASE WHEN p.account >= ? AND p.account < ? THEN p.account
				ELSE substr(p.account, 1, instr(p.account || '/', '/') - 1) END AS whose,
			p.currency, SUM(p.amount), SUM(p.n = 0)
		FROM postings p JOIN ops o ON o.lane = p.lane AND o.seq = p.seq
		WHERE p.lane = ? AND p.seq > ? AND p.seq <= ? GROUP BY o.kind, span, whose, p.currency`,
		span, r.Apart, beyond(r.Apart), r.Lane, int64(r.After), int64(r.UpTo))
	if err != nil {
		return nil, fmt.Errorf("sqlite: flows of lane %s: %w", r.Lane, err)
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
