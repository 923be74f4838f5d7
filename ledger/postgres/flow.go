package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/speciecash/specie/ledger"
)

// Flows implements ledger.Ledger. Records of a lane are appended under the lock
// of its row, so that a part of a journal is whole once its last record is seen.
func (l *Ledger) Flows(ctx context.Context, r ledger.FlowRange) ([]ledger.Flow, error) {
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("postgres: flows: %w", err)
	}
	span := r.Span.Microseconds()
	var out []ledger.Flow
	err := l.list(ctx, func(rows pgx.Rows) error {
		var f ledger.Flow
		var at int64
		err := rows.Scan(&f.Kind, &at, &f.Account, &f.Currency, &f.Amount, &f.Ops)
		f.At = fromMicro(at * span)
		out = append(out, f)
		return err
	}, `SELECT o.kind, p.at / $1::bigint AS span,
			CASE WHEN p.account >= $2 AND p.account < $3 THEN p.account ELSE split_part(p.account, '/', 1) END AS whose,
			p.currency, SUM(p.amount)::bigint, COUNT(*) FILTER (WHERE p.n = 0)
		FROM postings p JOIN ops o ON o.lane = p.lane AND o.seq = p.seq
		WHERE p.lane = $4 AND p.seq > $5 AND p.seq <= $6 GROUP BY o.kind, span, whose, p.currency`,
		span, r.Apart, beyond(r.Apart), r.Lane, int64(r.After), int64(r.UpTo))
	if err != nil {
		return nil, fmt.Errorf("postgres: flows of lane %s: %w", r.Lane, err)
	}
	return out, nil
}

// allHeads reads the ends of all journals.
const allHeads = "SELECT lane, seq, hash FROM lanes WHERE seq > 0 ORDER BY lane"

// heads reads what allHeads selects.
func (list lister) heads() ([]ledger.Head, error) {
	out := []ledger.Head{}
	err := list(func(rows pgx.Rows) error {
		var h ledger.Head
		var hash []byte
		err := rows.Scan(&h.Lane, &h.Seq, &hash)
		h.Hash = toID(hash)
		out = append(out, h)
		return err
	}, allHeads)
	return out, err
}

// Heads implements ledger.Ledger.
func (l *Ledger) Heads(ctx context.Context) ([]ledger.Head, error) {
	heads, err := l.lister(ctx).heads()
	if err != nil {
		return nil, fmt.Errorf("postgres: heads: %w", err)
	}
	return heads, nil
}

// Condition implements ledger.Ledger. The functions are PostgreSQL's own; an
// engine that lacks one has no condition to tell.
func (l *Ledger) Condition(ctx context.Context) (*ledger.Condition, error) {
	c := &ledger.Condition{Driver: "postgres", Server: true}
	_, err := l.get(ctx, []any{&c.Version, &c.Bytes, &c.Commit, &c.Standbys, &c.Replicas},
		`SELECT current_setting('server_version'), pg_database_size(current_database()), current_setting('synchronous_commit'),
			current_setting('synchronous_standby_names'), (SELECT COUNT(*) FROM pg_stat_replication)`)
	if err != nil {
		return nil, fmt.Errorf("postgres: condition: %w", err)
	}
	return c, nil
}
