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

// Enrol implements ledger.Register.
func (r *Register) Enrol(ctx context.Context, session [16]byte, now time.Time, m ledger.Member, code [32]byte) error {
	if err := m.Validate(); err != nil {
		return fmt.Errorf("sqlite: enrol: %w", err)
	}
	if (m.Succeeds == [16]byte{}) != (code == [32]byte{}) {
		return fmt.Errorf("sqlite: enrol: %w: a code without a member to succeed, or none with one", ledger.ErrMalformed)
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
		if err = mayEnrol(t, now, &m, code); err == nil {
			err = insertMember(t, &m)
		}
		if errors.Is(err, ledger.ErrDuplicate) || errors.Is(err, ledger.ErrReadmission) {
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

// mayEnrol checks the code, and that everything unique is free. It writes
// nothing.
func mayEnrol(t *tx, now time.Time, m *ledger.Member, code [32]byte) error {
	if err := mayHold(t, m); err != nil {
		return err
	}
	same, err := pending(t, m)
	if err != nil {
		return err
	}
	for _, unique := range []struct {
		field, column string
		value         []byte
	}{
		{ledger.FieldTag, "f", m.F[:]},
		{ledger.FieldUh, "uh", m.Uh[:]},
		{ledger.FieldMember, "id", m.ID[:]},
	} {
		err := free(t, unique.field, "SELECT id FROM members WHERE "+unique.column+"=? AND id<>?", unique.value, same)
		if err != nil {
			return err
		}
	}
	if code == [32]byte{} {
		return nil
	}
	a, err := readmission(t, "code", code[:])
	if err != nil {
		return err
	}
	if a == nil || a.Used || a.Member != m.Succeeds || !a.Expires.After(now) {
		return ledger.ErrReadmission
	}
	var state string
	if _, err := t.get([]any{&state}, "SELECT state FROM members WHERE id=?", m.Succeeds[:]); err != nil {
		return err
	}
	if ledger.MemberState(state) != ledger.MemberRevoked {
		return ledger.ErrReadmission
	}
	return nil
}

// mayHold refuses an EK that is held by another than the members of the line
// that m continues, or the pending member that m is.
func mayHold(t *tx, m *ledger.Member) error {
	var holder []byte
	held, err := t.get([]any{&holder}, "SELECT member FROM holders WHERE ek=?", m.EK[:])
	if err != nil || !held {
		return err
	}
	if same, err := pending(t, m); err != nil || bytes.Equal(same, holder) {
		return err
	}
	for id := some(m.Succeeds); len(id) > 0; {
		if bytes.Equal(id, holder) {
			return nil
		}
		var before []byte
		if _, err := t.get([]any{&before}, "SELECT succeeds FROM members WHERE id=?", id); err != nil {
			return err
		}
		id = before
	}
	return &ledger.DuplicateError{Field: ledger.FieldEK}
}

// pending returns the id of the pending member that m is: same EK, F and Uh.
// If there is none it is empty, not NULL, which would make every comparison
// come out unknown.
func pending(t *tx, m *ledger.Member) ([]byte, error) {
	same := []byte{}
	_, err := t.get([]any{&same}, "SELECT id FROM members WHERE ek=? AND f=? AND uh=? AND state=?",
		m.EK[:], m.F[:], m.Uh[:], string(ledger.MemberPending))
	return same, err
}

// insertMember adds m, or puts it in the place of the pending member that it
// is, and ends the membership that it continues.
func insertMember(t *tx, m *ledger.Member) error {
	same, err := pending(t, m)
	if err != nil {
		return err
	}
	if err := t.exec("DELETE FROM members WHERE id=?", same); err != nil {
		return err
	}
	if err := t.exec("INSERT INTO members ("+memberColumns+") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", memberValues(m)...); err != nil {
		return err
	}
	err = t.exec("INSERT INTO holders (ek, member) VALUES (?, ?) ON CONFLICT (ek) DO UPDATE SET member = excluded.member", m.EK[:], m.ID[:])
	if err != nil || m.Succeeds == [16]byte{} {
		return err
	}
	err = t.exec("UPDATE members SET state=?, succeeded_by=? WHERE id=?", string(ledger.MemberSucceeded), m.ID[:], m.Succeeds[:])
	if err != nil {
		return err
	}
	return t.exec("UPDATE readmissions SET used=1 WHERE member=?", m.Succeeds[:])
}

// Readmit implements ledger.Register.
func (r *Register) Readmit(ctx context.Context, a ledger.Readmission) error {
	if a.Code == [32]byte{} || a.Used || a.Expires.IsZero() {
		return fmt.Errorf("sqlite: readmit: %w: a used readmission, or one without code or end", ledger.ErrMalformed)
	}
	return r.change(ctx, "readmit", a.Member, func(t *tx, m *ledger.Member) error {
		if m.State != ledger.MemberActive && m.State != ledger.MemberRevoked {
			return fmt.Errorf("%w: %s", ledger.ErrState, m.State)
		}
		if err := free(t, ledger.FieldCode, "SELECT member FROM readmissions WHERE code=?", a.Code[:]); err != nil {
			return err
		}
		err := t.exec(`INSERT INTO readmissions (member, code, expires, used) VALUES (?, ?, ?, 0)
			ON CONFLICT (member) DO UPDATE SET code = excluded.code, expires = excluded.expires, used = 0`,
			a.Member[:], a.Code[:], a.Expires.UnixMicro())
		if err != nil {
			return err
		}
		return setState(t, a.Member, ledger.MemberRevoked)
	})
}

const readmissionColumns = "member, code, expires, used"

func scanReadmission(scan func(...any) error, a *ledger.Readmission) error {
	var member, code []byte
	var expires int64
	err := scan(&member, &code, &expires, &a.Used)
	copy(a.Member[:], member)
	a.Code, a.Expires = toID(code), fromMicro(expires)
	return err
}

// readmission is nil if there is none.
func readmission(t *tx, column string, value []byte) (a *ledger.Readmission, err error) {
	err = t.query(func(rows *sql.Rows) error {
		a = new(ledger.Readmission)
		return classify(scanReadmission(rows.Scan, a))
	}, "SELECT "+readmissionColumns+" FROM readmissions WHERE "+column+"=?", value)
	return a, err
}

// ReadmissionByCode implements ledger.Register.
func (r *Register) ReadmissionByCode(ctx context.Context, code [32]byte) (*ledger.Readmission, error) {
	return r.readmission(ctx, "code", code[:])
}

// ReadmissionOf implements ledger.Register.
func (r *Register) ReadmissionOf(ctx context.Context, member [16]byte) (*ledger.Readmission, error) {
	return r.readmission(ctx, "member", member[:])
}

func (r *Register) readmission(ctx context.Context, column string, value []byte) (*ledger.Readmission, error) {
	var a *ledger.Readmission
	err := r.list(ctx, func(rows *sql.Rows) error {
		a = new(ledger.Readmission)
		return classify(scanReadmission(rows.Scan, a))
	}, "SELECT "+readmissionColumns+" FROM readmissions WHERE "+column+"=?", value)
	if err == nil && a == nil {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("sqlite: readmission by %s: %w", column, err)
	}
	return a, nil
}
