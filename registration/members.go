package registration

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/ledger"
)

// Member is a member as the operator sees him.
type Member struct {
	ID enrol.ID
	// Name is empty in a list without names.
	Name  string
	State ledger.MemberState
	// Epoch is the newest one that a credential was issued for.
	Epoch uint64
	// Tag is F, a compressed point.
	Tag      [33]byte
	JoinedAt time.Time
	// Succeeds and SucceededBy are zero where there is none.
	Succeeds, SucceededBy enrol.ID
	// Subject is what a warrant about him is about. It tells nobody who he is.
	Subject warrant.Subject
	// TPM is on what ground his TPM was taken for a genuine one, nil if that
	// was not recorded.
	TPM *Vouched
}

// Vouched is on what ground a TPM was taken for a genuine one.
type Vouched struct {
	// Roots is the digest of the list of manufacturers (attest.Roots.Digest),
	// Root that of the certificate that the chain led to.
	Roots, Root [32]byte
	// Manufacturer, Model and Version are as the certificate says.
	Manufacturer, Model, Version string
	// Software tells that it is an emulated one.
	Software bool
}

// Member returns a member by id. His name is decrypted for this answer only.
func (m *Manager) Member(ctx context.Context, id enrol.ID) (*Member, error) {
	row, err := m.member(ctx, id)
	if err != nil {
		return nil, err
	}
	return m.show(row, true)
}

// Members returns members in the order of their ids, from the first one behind
// after; at most limit of them, fifty if zero, never more than 500. Their names
// are decrypted only if asked for.
func (m *Manager) Members(ctx context.Context, after enrol.ID, limit int, names bool) ([]*Member, error) {
	rows, err := m.cfg.Register.Members(ctx, after, limit)
	if err != nil {
		return nil, stored("members", err)
	}
	out := make([]*Member, len(rows))
	for i := range rows {
		if out[i], err = m.show(&rows[i], names); err != nil {
			return nil, err
		}
	}
	if names {
		m.log.Info("members listed by name", "members", len(out))
	}
	return out, nil
}

func (m *Manager) show(row *ledger.Member, name bool) (*Member, error) {
	t, err := readTranscript(row)
	if err != nil {
		return nil, err
	}
	j, err := group.ParseJoin(t.Join)
	if err != nil {
		return nil, fmt.Errorf("registration: recorded join: %w: %w", ledger.ErrCorrupt, err)
	}
	out := &Member{
		ID: row.ID, State: row.State, Epoch: uint64(row.Epoch), Tag: row.F, JoinedAt: row.JoinedAt,
		Succeeds: row.Succeeds, SucceededBy: row.SucceededBy, Subject: warrant.MembershipOf(row.ID, j).Subject(),
	}
	if v := t.Vouched; v != nil {
		out.TPM = &Vouched{Roots: v.Roots, Root: v.Root, Manufacturer: v.Manufacturer, Model: v.Model, Version: v.Version, Software: v.Software}
	}
	if name {
		form, err := m.form(row)
		if err != nil {
			return nil, err
		}
		out.Name = form.Name
	}
	return out, nil
}

// Counts are numbers of a manager's register.
type Counts struct {
	// Members by state, every state there is.
	Members map[ledger.MemberState]int64
	// Sessions are the registrations under way, expired ones not yet swept away
	// too.
	Sessions int64
	// Warrants by scope, every scope there is.
	Warrants map[warrant.Scope]int64
}

// Counts counts.
func (m *Manager) Counts(ctx context.Context) (*Counts, error) {
	members, err := m.cfg.Register.MemberCounts(ctx)
	if err != nil {
		return nil, stored("count", err)
	}
	c := &Counts{Members: make(map[ledger.MemberState]int64)}
	for _, s := range []ledger.MemberState{ledger.MemberActive, ledger.MemberRevoked, ledger.MemberSucceeded, ledger.MemberExpelled} {
		c.Members[s] = members[s]
	}
	if c.Sessions, err = m.cfg.Register.Sessions(ctx); err != nil {
		return nil, stored("count", err)
	}
	c.Warrants, err = m.warrantCounts(ctx)
	return c, err
}

// Expel ends a membership for ever: no renewal, no second registration of
// that TPM, no code. What the member holds is good until the epoch ends.
// Errors: [ErrNotFound], [ErrState] if he has been succeeded: then expel his
// successor.
func (m *Manager) Expel(ctx context.Context, id enrol.ID) error {
	err := m.cfg.Register.Expel(ctx, id)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return fmt.Errorf("%w: no such member", ErrNotFound)
	case errors.Is(err, ledger.ErrState):
		return fmt.Errorf("%w: he has been succeeded; expel his successor", ErrState)
	case err != nil:
		return stored("expel", err)
	}
	m.log.Warn("member expelled", "member", id)
	return nil
}

// Identify verifies a combined opening, that its warrant stands in this
// manager's register, and states who the member is whose tag it found (a JWS
// of enrol.Statement). Errors: [ErrOpening], [ErrUnregistered], [ErrNotFound],
// [ErrUnavailable].
func (m *Manager) Identify(ctx context.Context, opening []byte) ([]byte, error) {
	if m.cfg.Opening == nil {
		return nil, fmt.Errorf("%w: this manager takes none", ErrOpening)
	}
	tag, carried, err := m.cfg.Opening(ctx, opening, m.policy.Load().Leaked)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOpening, err)
	}
	entered, err := m.entry(ctx, carried.Warrant)
	if err != nil {
		return nil, err
	}
	if entered.Hash() != carried.Hash() {
		return nil, fmt.Errorf("%w: its entry is another one", ErrUnregistered)
	}
	row, err := m.cfg.Register.MemberByTag(ctx, tag)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, fmt.Errorf("%w: no member has this tag", ErrNotFound)
	}
	if err != nil {
		return nil, stored("identify", err)
	}
	jws, err := m.statement(row)
	if err != nil {
		return nil, err
	}
	m.log.Warn("member identified after an opening", "member", enrol.ID(row.ID), "warrant", entered.Seq)
	return jws, nil
}

// statement is the manager's word about a member, with his join transcript.
func (m *Manager) statement(row *ledger.Member) ([]byte, error) {
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
