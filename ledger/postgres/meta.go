package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/speciecash/specie/ledger"
)

// Meta implements ledger.Ledger.
func (l *Ledger) Meta(ctx context.Context, key string) ([]byte, error) {
	var value []byte
	found, err := l.get(ctx, []any{&value}, "SELECT value FROM meta WHERE name=$1", key)
	if err == nil && !found {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("postgres: meta %q: %w", key, err)
	}
	return value, nil
}

// SetMeta implements ledger.Ledger.
func (l *Ledger) SetMeta(ctx context.Context, key string, value []byte) error {
	if !ledger.ValidMetaKey(key) || len(value) > ledger.MaxMeta {
		return fmt.Errorf("postgres: %w: meta %q of %d bytes", ledger.ErrMalformed, key, len(value))
	}
	value = blob(bytes.Clone(value))
	err := l.recorded(ctx, func(t *tx, rec *recorder) error { return setMeta(t, rec, l.opts.Lane, key, value) })
	if err != nil {
		return fmt.Errorf("postgres: set meta %q: %w", key, err)
	}
	return nil
}

// setMeta writes a value and its record. Two processes that set the same key
// at once have the rev counted by the row's own lock.
func setMeta(t *tx, rec *recorder, lane, key string, value []byte) error {
	var rev uint64
	_, err := t.get([]any{&rev}, `INSERT INTO meta AS m (name, value, rev) VALUES ($1, $2, 1)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value, rev = m.rev + 1 RETURNING rev`, key, value)
	if err != nil {
		return err
	}
	rec.append(lane, ledger.EventMeta, []byte(key), rev, ledger.MetaDigest(key, value))
	return nil
}

// write writes the records of a transaction that has nothing else to write.
func (r *recorder) write(t *tx) error {
	p := t.pipeline()
	r.flush(p)
	return p.run()
}

// OpenEpoch implements ledger.Ledger.
func (l *Ledger) OpenEpoch(ctx context.Context, epoch string) error {
	if !ledger.ValidEpoch(epoch) {
		return fmt.Errorf("postgres: %w: epoch %q", ledger.ErrMalformed, epoch)
	}
	err := l.recorded(ctx, func(t *tx, rec *recorder) error {
		opened, err := openEpoch(t, epoch)
		if opened {
			rec.append(l.opts.Lane, ledger.EventEpoch, []byte(epoch), 1, ledger.EpochDigest(epoch))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("postgres: open epoch %s: %w", epoch, err)
	}
	l.learnEpoch(epoch)
	return nil
}

// openEpoch registers an epoch and makes its table, unless it is there.
func openEpoch(t *tx, epoch string) (opened bool, err error) {
	n, err := t.change("INSERT INTO epochs (name) VALUES ($1) ON CONFLICT DO NOTHING", epoch)
	if err != nil || n == 0 {
		return false, err
	}
	// No IF NOT EXISTS: a table that is there unregistered is none of ours, or
	// a set taken off the hot path that must not come back so.
	err = t.exec("CREATE TABLE spent_" + epoch + " (id BYTEA NOT NULL PRIMARY KEY, op BYTEA NOT NULL)")
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42P07" {
		err = fmt.Errorf("%w: table spent_%s is there and belongs to no epoch", ledger.ErrCorrupt, epoch)
	}
	return true, err
}

func (l *Ledger) learnEpoch(epoch string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epochs[epoch] = struct{}{}
}

// knowsEpoch tells whether an epoch is open; ask looks in the database for one
// opened by another process, or before this one started.
func (l *Ledger) knowsEpoch(epoch string, ask func(into []any, query string, args ...any) (bool, error)) (bool, error) {
	l.mu.RLock()
	_, ok := l.epochs[epoch]
	l.mu.RUnlock()
	if ok {
		return true, nil
	}
	var name string
	ok, err := ask([]any{&name}, "SELECT name FROM epochs WHERE name=$1", epoch)
	if err != nil || !ok {
		return false, err
	}
	l.learnEpoch(epoch)
	return true, nil
}
