package merchant

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/speciecash/specie/sqlitefile"
)

// migrations of the till's file; see sqlitefile.Open. payments.held_until is when
// the bank's hold ends, in Unix microseconds, 0 without one; such a payment's spend
// is without its authorisation. payments.kept_at is when it was accepted without the
// bank, 0 if it was not; refunds.op is the bank's, of a claimed one,
// refunds.asked the amount that was asked for, 0 for all that is left. offers.closed is
// empty, "expired" or "cancelled"; offers.expires is 0 in rows of before there was
// such a column. events has the steps of sales, see Event; deliveries
// what came of telling a web shop of one, see SetWebhook.
var migrations = []string{`
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE offers (
	digest  BLOB PRIMARY KEY,
	jws     BLOB NOT NULL,
	private BLOB NOT NULL,
	amount  INTEGER NOT NULL,
	created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE payments (
	op      BLOB PRIMARY KEY,
	offer   BLOB NOT NULL REFERENCES offers (digest),
	spend   BLOB NOT NULL,
	request BLOB NOT NULL,
	state   TEXT NOT NULL,
	answer  BLOB,
	reason  TEXT NOT NULL DEFAULT '',
	created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX payments_offer ON payments (offer);
`, `
ALTER TABLE payments ADD COLUMN held_until INTEGER NOT NULL DEFAULT 0;
CREATE TABLE refunds (
	id      BLOB PRIMARY KEY,
	payment BLOB NOT NULL REFERENCES payments (op),
	amount  INTEGER NOT NULL,
	state   TEXT NOT NULL,
	op      BLOB UNIQUE,
	request BLOB,
	answer  BLOB,
	reason  TEXT NOT NULL DEFAULT '',
	created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX refunds_payment ON refunds (payment);
`, `
ALTER TABLE offers ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;
ALTER TABLE offers ADD COLUMN closed TEXT NOT NULL DEFAULT '';
CREATE INDEX offers_open ON offers (closed, expires);
CREATE INDEX offers_created ON offers (created);
ALTER TABLE payments ADD COLUMN kept_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX payments_created ON payments (created);
CREATE INDEX payments_state ON payments (state);
CREATE TABLE events (
	seq    INTEGER PRIMARY KEY AUTOINCREMENT,
	offer  BLOB NOT NULL,
	step   TEXT NOT NULL,
	op     BLOB,
	code   TEXT NOT NULL DEFAULT '',
	reason TEXT NOT NULL DEFAULT '',
	at     INTEGER NOT NULL
);
CREATE INDEX events_offer ON events (offer);
CREATE TABLE payment_coins (
	coin BLOB NOT NULL,
	op   BLOB NOT NULL,
	PRIMARY KEY (coin, op)
) WITHOUT ROWID;
CREATE INDEX payment_coins_op ON payment_coins (op);
CREATE TABLE desk_keys (
	name    TEXT PRIMARY KEY,
	hash    BLOB NOT NULL UNIQUE,
	created INTEGER NOT NULL
) WITHOUT ROWID;
`, `
CREATE TABLE deliveries (
	seq     INTEGER PRIMARY KEY,
	tries   INTEGER NOT NULL,
	next    INTEGER NOT NULL,
	outcome TEXT NOT NULL,
	done    TEXT NOT NULL
);
`, `
ALTER TABLE refunds ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
UPDATE refunds SET asked = amount;
`}

// handle is the file or a transaction on it.
type handle interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func getMeta(ctx context.Context, db handle, key string, v any) (bool, error) {
	var raw []byte
	err := db.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", key).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("till: %s: %w", key, err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("till: %s: %w: %w", key, sqlitefile.ErrDamaged, err)
	}
	return true, nil
}

func putMeta(ctx context.Context, db handle, key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("till: %s: %w", key, err)
	}
	_, err = db.ExecContext(ctx, "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, raw)
	if err != nil {
		return fmt.Errorf("till: %s: %w", key, err)
	}
	return nil
}
