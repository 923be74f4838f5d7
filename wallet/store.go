package wallet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/sqlitefile"
)

// migrations of the purse file; see sqlitefile.Open.
var migrations = []string{`
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (kid BLOB PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE ops (
	id      BLOB PRIMARY KEY,
	kind    TEXT NOT NULL,
	state   TEXT NOT NULL,
	amount  INTEGER NOT NULL,
	created INTEGER NOT NULL,
	body    BLOB NOT NULL,
	note    TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE coins (
	id      BLOB PRIMARY KEY,
	kid     BLOB NOT NULL,
	value   INTEGER NOT NULL,
	kind    TEXT NOT NULL,
	idx     INTEGER NOT NULL,
	coin    BLOB NOT NULL,
	state   TEXT NOT NULL,
	op      BLOB,
	created INTEGER NOT NULL,
	UNIQUE (kid, idx)
) WITHOUT ROWID;
CREATE INDEX coins_state ON coins (state);
`}

// Coin states.
const (
	CoinFresh     = "fresh"
	CoinCommitted = "committed"
	CoinSpent     = "spent"
	CoinDormant   = "dormant"
)

// Operation states.
const (
	OpPrepared  = "prepared"
	OpSubmitted = "submitted"
	OpDone      = "done"
	OpRefused   = "refused"
)

// purse is the file. Every method is one transaction or one read.
type purse struct{ db *sql.DB }

func openPurse(ctx context.Context, path string) (*purse, error) {
	db, err := sqlitefile.Open(ctx, path, sqlitefile.Exclusive, migrations)
	if err != nil {
		return nil, err
	}
	return &purse{db: db}, nil
}

func (p *purse) close() error { return p.db.Close() }

// update runs f in one durable transaction.
func (p *purse) update(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("purse: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("purse: %w", err)
	}
	return nil
}

// get reads a setting into v; it reports whether the setting is there.
func (p *purse) get(ctx context.Context, key string, v any) (bool, error) {
	var raw []byte
	err := p.db.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", key).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("purse: %s: %w", key, err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("purse: %s: %w: %w", key, sqlitefile.ErrDamaged, err)
	}
	return true, nil
}

func (p *purse) put(ctx context.Context, key string, v any) error {
	return p.update(ctx, func(tx *sql.Tx) error { return putMeta(ctx, tx, key, v) })
}

func putMeta(ctx context.Context, tx *sql.Tx, key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("purse: %s: %w", key, err)
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, raw)
	if err != nil {
		return fmt.Errorf("purse: %s: %w", key, err)
	}
	return nil
}

// nextIndex takes the next coin number under a key. It is part of the
// transaction that records what the number is for, so no number is used twice.
func nextIndex(ctx context.Context, tx *sql.Tx, kid []byte) (uint64, error) {
	var n int64
	err := tx.QueryRowContext(ctx, `INSERT INTO counters (kid, next) VALUES (?, 1)
		ON CONFLICT (kid) DO UPDATE SET next = next + 1 RETURNING next - 1`, kid).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("purse: counter: %w", err)
	}
	return uint64(n), nil
}

// Operation is one line of the purse's history.
type Operation struct {
	ID      []byte    `json:"id"`
	Kind    string    `json:"kind"`
	State   string    `json:"state"`
	Amount  int64     `json:"amount"`
	Created time.Time `json:"created"`
	// Note says in words why an operation is where it is.
	Note string `json:"note,omitempty"`
	body []byte
}

func insertOp(ctx context.Context, tx *sql.Tx, op Operation, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("purse: operation: %w", err)
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO ops (id, kind, state, amount, created, body, note) VALUES (?, ?, ?, ?, ?, ?, ?)",
		op.ID, op.Kind, op.State, op.Amount, op.Created.Unix(), raw, op.Note)
	if err != nil {
		return fmt.Errorf("purse: operation: %w", err)
	}
	return nil
}

func updateOp(ctx context.Context, tx *sql.Tx, id []byte, state, note string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("purse: operation: %w", err)
	}
	_, err = tx.ExecContext(ctx, "UPDATE ops SET state = ?, note = ?, body = ? WHERE id = ?", state, note, raw, id)
	if err != nil {
		return fmt.Errorf("purse: operation: %w", err)
	}
	return nil
}

// querier is the file or a transaction on it.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func (p *purse) ops(ctx context.Context, where string, args ...any) ([]Operation, error) {
	return queryOps(ctx, p.db, where, args...)
}

func queryOps(ctx context.Context, q querier, where string, args ...any) ([]Operation, error) {
	rows, err := q.QueryContext(ctx, "SELECT id, kind, state, amount, created, body, note FROM ops "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("purse: operations: %w", err)
	}
	defer rows.Close()
	var out []Operation
	for rows.Next() {
		var o Operation
		var at int64
		if err := rows.Scan(&o.ID, &o.Kind, &o.State, &o.Amount, &at, &o.body, &o.Note); err != nil {
			return nil, fmt.Errorf("purse: operations: %w", err)
		}
		o.Created = time.Unix(at, 0).UTC()
		out = append(out, o)
	}
	return out, rows.Err()
}
