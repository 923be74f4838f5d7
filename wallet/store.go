package wallet

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/fault"
	"github.com/speciecash/specie/sqlitefile"
)

// migrations of the purse file; see sqlitefile.Open. coins.op is the
// operation that a coin is promised to or was spent by; only that operation
// may free it. coins.key is the Name of the key in the TPM that a bound coin is
// bound to; NULL is the only one that the wallet has had. Times are Unix
// microseconds.
var migrations = []string{`
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (kid BLOB PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE ops (
	id      BLOB PRIMARY KEY,
	kind    TEXT NOT NULL,
	state   TEXT NOT NULL,
	amount  INTEGER NOT NULL,
	created INTEGER NOT NULL,
	offer   BLOB,
	body    BLOB NOT NULL,
	note    TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX ops_offer ON ops (offer);
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
`, `
ALTER TABLE coins ADD COLUMN key BLOB;
`}

// Operation states.
const (
	OpPrepared  = "prepared"  // on disk byte for byte, not sent by this wallet
	OpSubmitted = "submitted" // sent, or about to be
	OpDone      = "done"
	OpRefused   = "refused" // will never be carried out
)

// Kinds of operation.
const (
	KindWithdraw = "withdraw"
	KindPay      = "pay"
	KindExchange = "exchange"
	KindRecoup   = "recoup"
	KindRecover  = "recover"
	KindRefund   = "refund"
	KindSend     = "send"    // an envelope for somebody, see Wallet.Send
	KindReceive  = "receive" // one that came from somebody, see Wallet.Receive
	KindRestore  = "restore" // coins found at the bank, see Wallet.Restore
)

// ID names an operation (16 bytes) or a coin (32). It prints and marshals as
// hexadecimal.
type ID []byte

// String is the id in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id) }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id), nil }

// purse is the file. Every method is one transaction or one read.
type purse struct{ db *sql.DB }

func openPurse(ctx context.Context, path string, key []byte) (*purse, error) {
	db, err := sqlitefile.OpenSealed(ctx, path, key, migrations)
	if err != nil {
		return nil, err
	}
	return &purse{db: db}, nil
}

func (p *purse) close() error { return p.db.Close() }

// update runs f in one durable transaction. f must use tx for everything: the
// file has one connection, and a query beside the transaction would wait for
// it for ever.
func (p *purse) update(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("purse: %w", sqlitefile.Meaning(err))
	}
	defer func() { _ = tx.Rollback() }()
	if err := f(tx); err != nil {
		return sqlitefile.Meaning(err)
	}
	fault.Point("wallet.commit")
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("purse: %w", sqlitefile.Meaning(err))
	}
	fault.Point("wallet.committed")
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
		return false, fmt.Errorf("purse: %s: %w", key, sqlitefile.Meaning(err))
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

// nextIndex takes the next coin number under a key. The transaction is over
// before the number is used for anything, so no number is used twice; a crash
// in between wastes it.
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
	ID      ID        `json:"id"`
	Kind    string    `json:"kind"`
	State   string    `json:"state"`
	Amount  int64     `json:"amount"`
	Created time.Time `json:"created"`
	// Note says in words why an operation is where it is.
	Note string `json:"note,omitempty"`

	offer []byte // digest, of a payment
	body  []byte
}

func (o *Operation) isOpen() bool { return o.State == OpPrepared || o.State == OpSubmitted }

func insertOp(ctx context.Context, tx *sql.Tx, op Operation, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("purse: operation: %w", err)
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO ops (id, kind, state, amount, created, offer, body, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		[]byte(op.ID), op.Kind, op.State, op.Amount, op.Created.UnixMicro(), op.offer, raw, op.Note)
	if err != nil {
		return fmt.Errorf("purse: operation: %w", err)
	}
	return nil
}

// moveOp puts an operation into a state; a nil body leaves the body alone.
func moveOp(ctx context.Context, tx *sql.Tx, id ID, state, note string, body any) error {
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return fmt.Errorf("purse: operation: %w", err)
		}
	}
	_, err := tx.ExecContext(ctx, "UPDATE ops SET state = ?, note = ?, body = coalesce(?, body) WHERE id = ?", state, note, raw, []byte(id))
	if err != nil {
		return fmt.Errorf("purse: operation: %w", err)
	}
	return nil
}

// querier is the file or a transaction on it.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func queryOps(ctx context.Context, q querier, where string, args ...any) ([]Operation, error) {
	rows, err := q.QueryContext(ctx, "SELECT id, kind, state, amount, created, offer, body, note FROM ops "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("purse: operations: %w", sqlitefile.Meaning(err))
	}
	defer rows.Close()
	var out []Operation
	for rows.Next() {
		var o Operation
		var at int64
		if err := rows.Scan((*[]byte)(&o.ID), &o.Kind, &o.State, &o.Amount, &at, &o.offer, &o.body, &o.Note); err != nil {
			return nil, fmt.Errorf("purse: operations: %w", sqlitefile.Meaning(err))
		}
		o.Created = time.UnixMicro(at).UTC()
		out = append(out, o)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("purse: operations: %w", sqlitefile.Meaning(err))
	}
	return out, nil
}

// op finds one operation of a kind, or returns ErrNoOperation.
func queryOp(ctx context.Context, q querier, kind string, id ID) (Operation, error) {
	ops, err := queryOps(ctx, q, "WHERE id = ? AND kind = ?", []byte(id), kind)
	if err != nil {
		return Operation{}, err
	}
	if len(ops) != 1 {
		return Operation{}, fmt.Errorf("%s %s: %w", kind, id, ErrNoOperation)
	}
	return ops[0], nil
}

// readOp is queryOp with the operation's body.
func readOp[T any](ctx context.Context, q querier, kind string, id ID) (op Operation, body T, err error) {
	if op, err = queryOp(ctx, q, kind, id); err == nil {
		err = decodeBody(op, &body)
	}
	return op, body, err
}

func decodeBody(op Operation, v any) error {
	if err := json.Unmarshal(op.body, v); err != nil {
		return fmt.Errorf("purse: operation %s: %w: %w", op.ID, sqlitefile.ErrDamaged, err)
	}
	return nil
}
