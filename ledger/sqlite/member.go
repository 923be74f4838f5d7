package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/ledger"
)

const memberColumns = "id, ek, f, uh, epoch, state, transcript, form, issued, name, joined_at"

func scanMember(scan func(...any) error, m *ledger.Member) error {
	var id, ek, f, uh []byte
	var joined int64
	err := scan(&id, &ek, &f, &uh, &m.Epoch, &m.State, &m.Transcript, &m.Form, &m.Issued, &m.Name, &joined)
	copy(m.ID[:], id)
	copy(m.F[:], f)
	copy(m.Uh[:], uh)
	m.EK, m.JoinedAt = toID(ek), fromMicro(joined)
	return err
}

// memberValues are the values of memberColumns.
func memberValues(m *ledger.Member) []any {
	return []any{m.ID[:], m.EK[:], m.F[:], m.Uh[:], int64(m.Epoch), string(m.State),
		blob(m.Transcript), blob(m.Form), blob(m.Issued), m.Name, m.JoinedAt.UnixMicro()}
}

// Enrol implements ledger.Register.
func (r *Register) Enrol(ctx context.Context, session [16]byte, now time.Time, m ledger.Member) error {
	if err := m.Validate(); err != nil {
		return fmt.Errorf("sqlite: enrol: %w", err)
	}
	m.Transcript, m.Form, m.Issued = bytes.Clone(m.Transcript), bytes.Clone(m.Form), bytes.Clone(m.Issued)
	// refused is why the session is used up and nobody enrolled: it must not
	// undo the transaction.
	var refused error
	err := r.writer.do(ctx, func(t *tx) error {
		s, err := take(t, session)
		if err != nil {
			return err
		}
		if refused = expired(s, now); refused != nil {
			return nil
		}
		if m.EK != s.EK {
			refused = fmt.Errorf("%w: the session is another EK's", ledger.ErrMalformed)
			return nil
		}
		err = insertMember(t, &m)
		if errors.Is(err, ledger.ErrDuplicate) {
			refused, err = err, nil
		}
		return err
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return fmt.Errorf("sqlite: enrol: %w", err)
	}
	return nil
}

// insertMember adds m, or puts it in the place of the pending member that it
// is: same EK, F and Uh. Nothing is written when it is refused.
func insertMember(t *tx, m *ledger.Member) error {
	// A blob, even if there is no such member: NULL would make every
	// comparison below come out unknown.
	same := []byte{}
	_, err := t.get([]any{&same}, "SELECT id FROM members WHERE ek=? AND f=? AND uh=? AND state=?",
		m.EK[:], m.F[:], m.Uh[:], string(ledger.MemberPending))
	if err != nil {
		return err
	}
	for _, unique := range []struct {
		field, column string
		value         []byte
	}{
		{ledger.FieldEK, "ek", m.EK[:]},
		{ledger.FieldTag, "f", m.F[:]},
		{ledger.FieldUh, "uh", m.Uh[:]},
		{ledger.FieldMember, "id", m.ID[:]},
	} {
		err := free(t, unique.field, "SELECT id FROM members WHERE "+unique.column+"=? AND id<>?", unique.value, same)
		if err != nil {
			return err
		}
	}
	if err := t.exec("DELETE FROM members WHERE id=?", same); err != nil {
		return err
	}
	return t.exec("INSERT INTO members ("+memberColumns+") VALUES (?,?,?,?,?,?,?,?,?,?,?)", memberValues(m)...)
}

// Activate implements ledger.Register.
func (r *Register) Activate(ctx context.Context, id [16]byte) error {
	return r.change(ctx, "activate", id, func(t *tx, m *ledger.Member) error {
		switch m.State {
		case ledger.MemberActive:
			return errNothing
		case ledger.MemberPending:
			return setState(t, id, ledger.MemberActive)
		}
		return fmt.Errorf("%w: %s", ledger.ErrState, m.State)
	})
}

// Expel implements ledger.Register.
func (r *Register) Expel(ctx context.Context, id [16]byte) error {
	return r.change(ctx, "expel", id, func(t *tx, m *ledger.Member) error {
		if m.State == ledger.MemberExpelled {
			return errNothing
		}
		return setState(t, id, ledger.MemberExpelled)
	})
}

func setState(t *tx, id [16]byte, state ledger.MemberState) error {
	return t.exec("UPDATE members SET state=? WHERE id=?", string(state), id[:])
}

// Renew implements ledger.Register.
func (r *Register) Renew(ctx context.Context, id [16]byte, epoch uint32, issued []byte) error {
	if len(issued) > ledger.MaxSession {
		return fmt.Errorf("sqlite: renew member: %w: %d bytes issued", ledger.ErrMalformed, len(issued))
	}
	issued = bytes.Clone(issued)
	return r.change(ctx, "renew", id, func(t *tx, m *ledger.Member) error {
		if m.State != ledger.MemberActive {
			return fmt.Errorf("%w: %s", ledger.ErrState, m.State)
		}
		if epoch < m.Epoch {
			return fmt.Errorf("%w: epoch %d, now %d", ledger.ErrStale, epoch, m.Epoch)
		}
		return t.exec("UPDATE members SET epoch=?, issued=? WHERE id=?", int64(epoch), blob(issued), id[:])
	})
}

// change runs body on a member as it stands, in one transaction.
func (r *Register) change(ctx context.Context, verb string, id [16]byte, body func(*tx, *ledger.Member) error) error {
	err := r.writer.do(ctx, func(t *tx) error {
		var m *ledger.Member
		err := t.query(func(rows *sql.Rows) error {
			m = new(ledger.Member)
			return classify(scanMember(rows.Scan, m))
		}, "SELECT "+memberColumns+" FROM members WHERE id=?", id[:])
		if err != nil {
			return err
		}
		if m == nil {
			return ledger.ErrNotFound
		}
		return body(t, m)
	})
	if err != nil {
		return fmt.Errorf("sqlite: %s member %x: %w", verb, id[:4], err)
	}
	return nil
}

// MemberByID implements ledger.Register.
func (r *Register) MemberByID(ctx context.Context, id [16]byte) (*ledger.Member, error) {
	return r.member(ctx, "id", id[:])
}

// MemberByEK implements ledger.Register.
func (r *Register) MemberByEK(ctx context.Context, ek [32]byte) (*ledger.Member, error) {
	return r.member(ctx, "ek", ek[:])
}

// MemberByTag implements ledger.Register.
func (r *Register) MemberByTag(ctx context.Context, tag [33]byte) (*ledger.Member, error) {
	return r.member(ctx, "f", tag[:])
}

// MemberByUh implements ledger.Register.
func (r *Register) MemberByUh(ctx context.Context, uh [33]byte) (*ledger.Member, error) {
	return r.member(ctx, "uh", uh[:])
}

func (r *Register) member(ctx context.Context, column string, value []byte) (*ledger.Member, error) {
	var m *ledger.Member
	err := r.list(ctx, func(rows *sql.Rows) error {
		m = new(ledger.Member)
		return classify(scanMember(rows.Scan, m))
	}, "SELECT "+memberColumns+" FROM members WHERE "+column+"=?", value)
	if err == nil && m == nil {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("sqlite: member by %s: %w", column, err)
	}
	return m, nil
}
