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

// setMeta writes a value; record, if not nil, runs in the same transaction
// with the value's new rev.
func (s *store) setMeta(ctx context.Context, key string, value []byte, record func(t *tx, rev uint64) error) error {
	if !ledger.ValidMetaKey(key) || len(value) > ledger.MaxMeta {
		return fmt.Errorf("sqlite: %w: meta %q of %d bytes", ledger.ErrMalformed, key, len(value))
	}
	value = append([]byte{}, value...)
	err := s.writer.do(ctx, func(t *tx) error {
		var rev uint64
		if _, err := t.get([]any{&rev}, "SELECT rev FROM meta WHERE name=?", key); err != nil {
			return err
		}
		rev++
		err := t.exec(`INSERT INTO meta (name, value, rev) VALUES (?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value, rev = excluded.rev`, key, value, int64(rev))
		if err != nil || record == nil {
			return err
		}
		return record(t, rev)
	})
	if err != nil {
		return fmt.Errorf("sqlite: set meta %q: %w", key, err)
	}
	return nil
}

// SetMeta implements ledger.Ledger.
func (l *Ledger) SetMeta(ctx context.Context, key string, value []byte) error {
	digest := ledger.MetaDigest(key, value)
	return l.setMeta(ctx, key, value, func(t *tx, rev uint64) error {
		return record(t, l.opts.Lane, ledger.EventMeta, key, rev, digest)
	})
}

// record appends the one record of a transaction that has no others.
func record(t *tx, lane string, event ledger.Event, subject string, rev uint64, digest [32]byte) error {
	rec := newRecorder(t)
	if _, err := rec.append(lane, event, []byte(subject), rev, digest); err != nil {
		return err
	}
	return rec.flush()
}
