package sqlite

import (
	"context"
	"fmt"

	"github.com/speciecash/specie/ledger"
)

// Meta implements ledger.Ledger and ledger.Register.
func (s *store) Meta(ctx context.Context, key string) ([]byte, error) {
	var value []byte
	found, err := s.get(ctx)([]any{&value}, "SELECT value FROM meta WHERE name=?", key)
	if err == nil && !found {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("sqlite: meta %q: %w", key, err)
	}
	return value, nil
}

// setMeta writes a value with put, in a transaction.
func (s *store) setMeta(ctx context.Context, key string, value []byte, put func(t *tx, key string, value []byte) error) error {
	if !ledger.ValidMetaKey(key) || len(value) > ledger.MaxMeta {
		return fmt.Errorf("sqlite: %w: meta %q of %d bytes", ledger.ErrMalformed, key, len(value))
	}
	value = append([]byte{}, value...)
	err := s.writer.do(ctx, func(t *tx) error { return put(t, key, value) })
	if err != nil {
		return fmt.Errorf("sqlite: set meta %q: %w", key, err)
	}
	return nil
}

// writeMeta writes a value and returns its new rev.
func writeMeta(t *tx, key string, value []byte) (rev uint64, err error) {
	if _, err := t.get([]any{&rev}, "SELECT rev FROM meta WHERE name=?", key); err != nil {
		return 0, err
	}
	rev++
	return rev, t.exec(`INSERT INTO meta (name, value, rev) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value, rev = excluded.rev`, key, value, int64(rev))
}

// SetMeta implements ledger.Ledger.
func (l *Ledger) SetMeta(ctx context.Context, key string, value []byte) error {
	return l.setMeta(ctx, key, value, l.putMeta)
}

// putMeta writes a value and its record.
func (l *Ledger) putMeta(t *tx, key string, value []byte) error {
	rev, err := writeMeta(t, key, value)
	if err != nil {
		return err
	}
	return record(t, l.opts.Lane, ledger.EventMeta, key, rev, ledger.MetaDigest(key, value))
}

// record appends the one record of a transaction that has no others.
func record(t *tx, lane string, event ledger.Event, subject string, rev uint64, digest [32]byte) error {
	rec := newRecorder(t)
	if _, err := rec.append(lane, event, []byte(subject), rev, digest); err != nil {
		return err
	}
	return rec.flush()
}
