package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"

	"github.com/speciecash/specie/ledger"
)

const memberColumns = "id, ek, f, uh, epoch, state, transcript, form, issued, name, joined_at, succeeds, succeeded_by"

func scanMember(scan func(...any) error, m *ledger.Member) error {
	var id, ek, f, uh, succeeds, successor []byte
	var joined int64
	err := scan(&id, &ek, &f, &uh, &m.Epoch, &m.State, &m.Transcript, &m.Form, &m.Issued, &m.Name, &joined, &succeeds, &successor)
	copy(m.ID[:], id)
	copy(m.Succeeds[:], succeeds)
	copy(m.SucceededBy[:], successor)
	copy(m.F[:], f)
	copy(m.Uh[:], uh)
	m.EK, m.JoinedAt = toID(ek), fromMicro(joined)
	return err
}

// memberValues are the values of memberColumns.
func memberValues(m *ledger.Member) []any {
	return []any{m.ID[:], m.EK[:], m.F[:], m.Uh[:], int64(m.Epoch), string(m.State),
		blob(m.Transcript), blob(m.Form), blob(m.Issued), m.Name, m.JoinedAt.UnixMicro(), some(m.Succeeds), some(m.SucceededBy)}
}

// some is a member's id as it stands in a row: nobody is empty.
func some(id [16]byte) []byte {
	if id == [16]byte{} {
		return []byte{}
	}
	return id[:]
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
		switch m.State {
		case ledger.MemberExpelled:
			return errNothing
		case ledger.MemberSucceeded:
			return fmt.Errorf("%w: %s", ledger.ErrState, m.State)
		}
		if err := t.exec("DELETE FROM readmissions WHERE member=?", id[:]); err != nil {
			return err
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
	return r.memberWhere(ctx, "ek", "id IN (SELECT member FROM holders WHERE ek=?)", ek[:])
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
	return r.memberWhere(ctx, column, column+"=?", value)
}

func (r *Register) memberWhere(ctx context.Context, by, where string, value []byte) (*ledger.Member, error) {
	found, err := r.members(ctx, "WHERE "+where, value)
	if err == nil && len(found) == 0 {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("sqlite: member by %s: %w", by, err)
	}
	return &found[0], nil
}

func (r *Register) members(ctx context.Context, tail string, args ...any) (out []ledger.Member, err error) {
	err = r.list(ctx, func(rows *sql.Rows) error {
		var m ledger.Member
		if err := scanMember(rows.Scan, &m); err != nil {
			return classify(err)
		}
		out = append(out, m)
		return nil
	}, "SELECT "+memberColumns+" FROM members "+tail, args...)
	return out, err
}

// Members implements ledger.Register.
func (r *Register) Members(ctx context.Context, after [16]byte, limit int) ([]ledger.Member, error) {
	out, err := r.members(ctx, "WHERE id>? ORDER BY id LIMIT ?", after[:], ledger.Page{Limit: limit}.Size())
	if err != nil {
		return nil, fmt.Errorf("sqlite: members: %w", err)
	}
	return out, nil
}

// MemberCounts implements ledger.Register.
func (r *Register) MemberCounts(ctx context.Context) (map[ledger.MemberState]int64, error) {
	out := make(map[ledger.MemberState]int64)
	err := r.list(ctx, func(rows *sql.Rows) error {
		var state string
		var n int64
		if err := rows.Scan(&state, &n); err != nil {
			return classify(err)
		}
		out[ledger.MemberState(state)] = n
		return nil
	}, "SELECT state, COUNT(*) FROM members GROUP BY state")
	if err != nil {
		return nil, fmt.Errorf("sqlite: count members: %w", err)
	}
	return out, nil
}
