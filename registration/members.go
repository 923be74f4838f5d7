package registration

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/ledger"
)

// Member is a member as the operator sees him.
type Member struct {
	ID       enrol.ID
	Name     string
	Expelled bool
	// Epoch is the newest one that a credential was issued for.
	Epoch uint64
	// Tag is F, a compressed point.
	Tag      [33]byte
	JoinedAt time.Time
}

// Member returns a member by id. His name is decrypted for this answer only.
func (m *Manager) Member(ctx context.Context, id enrol.ID) (*Member, error) {
	row, err := m.member(ctx, id)
	if err != nil {
		return nil, err
	}
	form, err := m.form(row)
	if err != nil {
		return nil, err
	}
	return &Member{
		ID: row.ID, Name: form.Name, Expelled: row.State == ledger.MemberExpelled,
		Epoch: uint64(row.Epoch), Tag: row.F, JoinedAt: row.JoinedAt,
	}, nil
}

// Expel ends a membership for ever: no renewal, no second registration of
// that TPM. What the member holds is good until the epoch ends.
func (m *Manager) Expel(ctx context.Context, id enrol.ID) error {
	err := m.cfg.Register.Expel(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return fmt.Errorf("%w: no such member", ErrNotFound)
	}
	if err != nil {
		return stored("expel", err)
	}
	m.log.Warn("member expelled", "member", id)
	return nil
}

// Identify verifies a combined opening and states who the member is whose tag
// it found (a JWS of enrol.Statement). Errors: [ErrOpening], [ErrNotFound],
// [ErrUnavailable].
func (m *Manager) Identify(ctx context.Context, opening []byte) ([]byte, error) {
	if m.cfg.Opening == nil {
		return nil, fmt.Errorf("%w: this manager takes none", ErrOpening)
	}
	tag, err := m.cfg.Opening(ctx, opening)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOpening, err)
	}
	row, err := m.cfg.Register.MemberByTag(ctx, tag)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, fmt.Errorf("%w: no member has this tag", ErrNotFound)
	}
	if err != nil {
		return nil, stored("identify", err)
	}
	t, err := readTranscript(row)
	if err != nil {
		return nil, err
	}
	form, err := m.form(row)
	if err != nil {
		return nil, err
	}
	jws, err := enrol.SignStatement(m.params, &enrol.Statement{
		Group: m.cfg.ID, Member: row.ID, Form: form.Text, Salt: form.Salt, EK: row.EK,
		KeyPublic: t.KeyPublic, Nonce: t.Nonce, Join: t.Join, JoinedAt: row.JoinedAt.Truncate(time.Second),
	}, m.cfg.Signer, m.cfg.Chain)
	if err != nil {
		return nil, fmt.Errorf("%w: statement: %w", ErrUnavailable, err)
	}
	m.log.Warn("member identified after an opening", "member", enrol.ID(row.ID))
	return jws, nil
}

// member returns a member in whatever state.
func (m *Manager) member(ctx context.Context, id enrol.ID) (*ledger.Member, error) {
	row, err := m.cfg.Register.MemberByID(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, fmt.Errorf("%w: no such member", ErrNotFound)
	}
	if err != nil {
		return nil, stored("member", err)
	}
	return row, nil
}

// form opens the form that a member was registered with.
func (m *Manager) form(row *ledger.Member) (*enrol.OpenedForm, error) {
	t, err := readTranscript(row)
	if err != nil {
		return nil, err
	}
	form, err := enrol.OpenForm(m.cfg.FormKey, m.cfg.ID, t.Nonce, row.Form, t.FormDigest)
	if err != nil {
		return nil, fmt.Errorf("registration: recorded form: %w", err)
	}
	return form, nil
}
