package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/speciecash/specie/ledger"
)

// Register is a group manager's register in one SQLite file. It implements
// ledger.Register.
type Register struct {
	*store
}

var _ ledger.Register = (*Register)(nil)

// OpenRegister opens the register at path, and makes it if there is no file.
// ledger.ErrSchema if the file is something else or newer,
// ledger.ErrUnavailable if it cannot be opened. ctx bounds the opening only.
func OpenRegister(ctx context.Context, path string, opts Options) (*Register, error) {
	// A register's writes are few: each has a transaction of its own.
	s, err := open(ctx, path, registerSchema(), opts, nil)
	if err != nil {
		return nil, err
	}
	return &Register{s}, nil
}

// SetMeta implements ledger.Register.
func (r *Register) SetMeta(ctx context.Context, key string, value []byte) error {
	return r.setMeta(ctx, key, value, func(t *tx, key string, value []byte) error {
		_, err := writeMeta(t, key, value)
		return err
	})
}

const sessionColumns = "id, ek, nonce, state, expires, payload"

func scanSession(scan func(...any) error, s *ledger.Session) error {
	var id, ek, nonce []byte
	var expires int64
	err := scan(&id, &ek, &nonce, &s.State, &expires, &s.Payload)
	copy(s.ID[:], id)
	s.EK, s.Nonce, s.Expires = toID(ek), toID(nonce), fromMicro(expires)
	return err
}

// PutSession implements ledger.Register.
func (r *Register) PutSession(ctx context.Context, s ledger.Session, limit, each int) error {
	if err := s.Validate(); err != nil {
		return fmt.Errorf("sqlite: put session: %w", err)
	}
	s.Payload = bytes.Clone(s.Payload)
	err := r.writer.do(ctx, func(t *tx) error {
		if err := t.exec("DELETE FROM sessions WHERE id=? AND ek=?", s.ID[:], s.EK[:]); err != nil {
			return err
		}
		if err := free(t, ledger.FieldSession, "SELECT id FROM sessions WHERE id=? OR nonce=?", s.ID[:], s.Nonce[:]); err != nil {
			return err
		}
		if err := makeRoom(t, &s, limit, each); err != nil {
			return err
		}
		return t.exec("INSERT INTO sessions ("+sessionColumns+") VALUES (?,?,?,?,?,?)",
			s.ID[:], s.EK[:], s.Nonce[:], s.State, s.Expires.UnixMicro(), blob(s.Payload))
	})
	if err != nil {
		return fmt.Errorf("sqlite: put session: %w", err)
	}
	return nil
}

// makeRoom ends older sessions of an EK, as PutSession has it.
func makeRoom(t *tx, s *ledger.Session, limit, each int) error {
	for {
		var own, same, all int
		_, err := t.get([]any{&own, &same, &all},
			"SELECT COUNT(*) FILTER (WHERE ek=?), COUNT(*) FILTER (WHERE ek=? AND state=?), COUNT(*) FROM sessions", s.EK[:], s.EK[:], s.State)
		switch {
		case err != nil:
			return err
		case own < each && all < limit:
			return nil
		case own < each && same == 0, own == 0:
			return fmt.Errorf("%w: %d", ledger.ErrFull, all)
		}
		err = t.exec("DELETE FROM sessions WHERE id=(SELECT id FROM sessions WHERE ek=? ORDER BY state=? DESC, expires, rowid LIMIT 1)", s.EK[:], s.State)
		if err != nil {
			return err
		}
	}
}

// Session implements ledger.Register.
func (r *Register) Session(ctx context.Context, id [16]byte) (*ledger.Session, error) {
	var s *ledger.Session
	err := r.list(ctx, func(rows *sql.Rows) error {
		s = new(ledger.Session)
		return classify(scanSession(rows.Scan, s))
	}, "SELECT "+sessionColumns+" FROM sessions WHERE id=?", id[:])
	if err == nil && s == nil {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("sqlite: session: %w", err)
	}
	return s, nil
}

// take ends a session within t. An expired one it returns as well: the caller
// says ErrExpired once its end is committed.
func take(t *tx, id [16]byte) (*ledger.Session, error) {
	var s *ledger.Session
	err := t.query(func(rows *sql.Rows) error {
		s = new(ledger.Session)
		return classify(scanSession(rows.Scan, s))
	}, "SELECT "+sessionColumns+" FROM sessions WHERE id=?", id[:])
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, ledger.ErrNotFound
	}
	return s, t.exec("DELETE FROM sessions WHERE id=?", id[:])
}

func expired(s *ledger.Session, now time.Time) error {
	if !s.Expires.After(now) {
		return ledger.ErrExpired
	}
	return nil
}

// TakeSession implements ledger.Register.
func (r *Register) TakeSession(ctx context.Context, id [16]byte, now time.Time) (*ledger.Session, error) {
	var s *ledger.Session
	err := r.writer.do(ctx, func(t *tx) (err error) {
		s, err = take(t, id)
		return err
	})
	if err == nil {
		err = expired(s, now)
	}
	if err != nil {
		return nil, fmt.Errorf("sqlite: take session: %w", err)
	}
	return s, nil
}

// PurgeSessions implements ledger.Register.
func (r *Register) PurgeSessions(ctx context.Context, now time.Time) error {
	err := r.writer.do(ctx, func(t *tx) error {
		return t.exec("DELETE FROM sessions WHERE expires <= ?", now.UnixMicro())
	})
	if err != nil {
		return fmt.Errorf("sqlite: purge sessions: %w", err)
	}
	return nil
}

// Sessions implements ledger.Register.
func (r *Register) Sessions(ctx context.Context) (n int64, err error) {
	if _, err := r.get(ctx)([]any{&n}, "SELECT COUNT(*) FROM sessions"); err != nil {
		return 0, fmt.Errorf("sqlite: sessions: %w", err)
	}
	return n, nil
}

// Next implements ledger.Register.
func (r *Register) Next(ctx context.Context, counter string) (uint64, error) {
	if !ledger.ValidMetaKey(counter) {
		return 0, fmt.Errorf("sqlite: %w: counter %q", ledger.ErrMalformed, counter)
	}
	var n uint64
	err := r.writer.do(ctx, func(t *tx) error {
		err := t.exec(`INSERT INTO counters (name, value) VALUES (?, 1)
			ON CONFLICT (name) DO UPDATE SET value = counters.value + 1`, counter)
		if err != nil {
			return err
		}
		_, err = t.get([]any{&n}, "SELECT value FROM counters WHERE name=?", counter)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sqlite: next %q: %w", counter, err)
	}
	return n, nil
}

// Counter implements ledger.Register.
func (r *Register) Counter(ctx context.Context, counter string) (n uint64, err error) {
	if _, err := r.get(ctx)([]any{&n}, "SELECT value FROM counters WHERE name=?", counter); err != nil {
		return 0, fmt.Errorf("sqlite: counter %q: %w", counter, err)
	}
	return n, nil
}

// Skip implements ledger.Register.
func (r *Register) Skip(ctx context.Context, counter string, n uint64) error {
	if !ledger.ValidMetaKey(counter) || n > 1<<62 {
		return fmt.Errorf("sqlite: %w: counter %q to %d", ledger.ErrMalformed, counter, n)
	}
	err := r.writer.do(ctx, func(t *tx) error {
		return t.exec(`INSERT INTO counters (name, value) VALUES (?, ?)
			ON CONFLICT (name) DO UPDATE SET value = max(counters.value, excluded.value)`, counter, int64(n))
	})
	if err != nil {
		return fmt.Errorf("sqlite: skip %q: %w", counter, err)
	}
	return nil
}
