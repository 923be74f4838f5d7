package registration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/ledger"
)

// Credential is a group credential on its way to one TPM.
type Credential struct {
	// Epoch is the one it is for.
	Epoch uint64 `json:"epoch"`
	// Sealed is the credential under the challenge's secret
	// (enrol.Secret.OpenCredential).
	Sealed []byte `json:"sealed"`
}

// Activation is what a new member is given.
type Activation struct {
	Credential
	// Successions are the manager's word about the memberships that this one
	// continues, one after the other (JWSs, enrol.ParseLine); none for a new one.
	Successions [][]byte
}

// Activate checks the answer to a challenge and makes the TPM a member, in
// one transaction in which session, EK, tag, Uh and code are used up, and the
// membership that this one continues ends. The member's id is the session's.
// Repeated, it returns the same credential, and the successions signed anew.
//
// A wrong answer leaves the session as it was. The policy may have changed since
// the join: endorsement, template and leaked keys are checked again. Errors:
// [ErrNotFound], [ErrNotJoined], [ErrSessionExpired], [ErrActivation],
// [ErrTemplate], [ErrLeaked], those of Begin for the endorsement,
// [ErrEKRegistered], [ErrTagRegistered], [ErrCode], [ErrCodeUsed], [ErrExpelled],
// [ErrRevoked], [ErrEpoch], [ErrUnavailable].
func (m *Manager) Activate(ctx context.Context, id enrol.ID, mac []byte) (*Activation, error) {
	if a, err := m.activated(ctx, id, mac); a != nil || err != nil {
		return a, err
	}
	a, err := m.becomeMember(ctx, id, mac)
	if err != nil {
		// Of equal activations at once one is the first, and the others are its
		// repetitions.
		if again, _ := m.activated(ctx, id, mac); again != nil {
			return again, nil
		}
	}
	return a, err
}

func (m *Manager) becomeMember(ctx context.Context, id enrol.ID, mac []byte) (*Activation, error) {
	now := m.Now()
	row, s, err := m.session(ctx, id, now)
	if err != nil {
		return nil, err
	}
	if row.State != stepJoined {
		return nil, ErrNotJoined
	}
	secret, err := m.joinSecret(id, row.Nonce, s.Request)
	if err != nil {
		return nil, err
	}
	if err := secret.CheckMAC(id, mac); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrActivation, err)
	}
	e, err := m.cfg.Schedule.At(now)
	if err != nil {
		return nil, err
	}
	if s.Vouched, err = m.stillTaken(ctx, s, now); err != nil {
		return nil, err
	}
	member, code, err := m.newMember(ctx, row, s, e.Number, now)
	if err != nil {
		return nil, err
	}
	out, err := m.activation(ctx, id, secret, member)
	if err != nil {
		return nil, err
	}
	if err := m.cfg.Register.Enrol(ctx, id, now, *member, code); err != nil {
		return nil, m.enrolFailed(ctx, row, s, err)
	}
	m.log.Info("member active", "member", id, "epoch", e.Number, "continues", member.Succeeds != [16]byte{})
	return out, nil
}

// stillTaken checks a join by the policy in force now, and says on what ground the
// TPM is taken. It puts the kind of its endorsement key down: from now on no other
// is taken from that manufacturer.
func (m *Manager) stillTaken(ctx context.Context, s *session, now time.Time) (*vouched, error) {
	m.kinds.Lock()
	defer m.kinds.Unlock()
	ek, p, err := m.verifyEK(&s.EK, now)
	if err != nil {
		return nil, err
	}
	if _, _, err := attest.CheckGroupKey(s.Request.KeyPublic, p.template); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	j, err := group.ParseJoin(s.Request.Join)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJoinProof, err)
	}
	if err := p.checkLeaked(j); err != nil {
		return nil, err
	}
	return vouchFor(ek, p), m.useKind(ctx, ek.Manufacturer, ek.Kind)
}

// activated answers a repeated activation; nil without an error means that
// there is no such member yet.
func (m *Manager) activated(ctx context.Context, id enrol.ID, mac []byte) (*Activation, error) {
	row, err := m.cfg.Register.MemberByID(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, stored("activate", err)
	}
	t, err := readTranscript(row)
	if err != nil {
		return nil, err
	}
	secret, err := m.joinSecret(id, t.Nonce, t.request(row.Form))
	if err != nil {
		return nil, err
	}
	if err := secret.CheckMAC(id, mac); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrActivation, err)
	}
	if err := standing(row); err != nil {
		return nil, err
	}
	return m.activation(ctx, id, secret, row)
}

// activation is what a member's first answer says.
func (m *Manager) activation(ctx context.Context, id enrol.ID, secret enrol.Secret, row *ledger.Member) (*Activation, error) {
	t, err := readTranscript(row)
	if err != nil {
		return nil, err
	}
	c, err := m.issue(id, secret, row, t.Epoch)
	if err != nil {
		return nil, err
	}
	words, err := m.line(ctx, row)
	if err != nil {
		return nil, err
	}
	return &Activation{Credential: *c, Successions: words}, nil
}

// enrolFailed names why the register refused.
func (m *Manager) enrolFailed(ctx context.Context, row *ledger.Session, s *session, err error) error {
	var dup *ledger.DuplicateError
	switch {
	case errors.As(err, &dup) && dup.Field == ledger.FieldEK:
		return ErrEKRegistered
	case errors.As(err, &dup) && (dup.Field == ledger.FieldTag || dup.Field == ledger.FieldUh):
		return ErrTagRegistered
	case errors.Is(err, ledger.ErrReadmission): // lost to another since it was looked at
		_, _, err := m.newMember(ctx, row, s, 1, m.Now())
		return cmp.Or(err, ErrCode)
	case errors.Is(err, ledger.ErrNotFound):
		return fmt.Errorf("%w: no such registration", ErrNotFound)
	case errors.Is(err, ledger.ErrExpired):
		return ErrSessionExpired
	}
	return stored("activate", err)
}

// newMember is the member whom a joined session makes, and the hash of the
// code with which he continues another membership, zero if he doesn't.
func (m *Manager) newMember(ctx context.Context, row *ledger.Session, s *session, epoch uint64, now time.Time) (out *ledger.Member, code [32]byte, err error) {
	form, err := enrol.OpenForm(m.cfg.FormKey, m.cfg.ID, row.Nonce, s.Request.Form, s.Request.FormDigest)
	if err != nil {
		return nil, code, fmt.Errorf("%w: %w", ErrForm, err)
	}
	old, err := m.predecessor(ctx, row.EK, form, now)
	if err != nil {
		return nil, code, err
	}
	t := transcript{
		EK: s.EK, Nonce: row.Nonce, KeyPublic: s.Request.KeyPublic, Join: s.Request.Join,
		FormDigest: s.Request.FormDigest, Epoch: epoch, Vouched: s.Vouched,
	}
	out = &ledger.Member{
		ID: row.ID, EK: row.EK, F: s.F, Uh: s.Uh, Epoch: uint32(epoch),
		State: ledger.MemberActive, Form: s.Request.Form, JoinedAt: now,
	}
	if old != nil {
		out.Succeeds, code = old.ID, form.Code.Digest()
	}
	out.Transcript, err = encodeRecord(t)
	return out, code, err
}

// issue makes the credential of a member for an epoch, sealed under a secret.
// It is a function of its arguments and γ.
func (m *Manager) issue(id enrol.ID, secret enrol.Secret, row *ledger.Member, epoch uint64) (*Credential, error) {
	f, err := fp256bn.ParseG1(row.F[:])
	if err != nil {
		return nil, fmt.Errorf("registration: issue: %w", err)
	}
	uh, err := fp256bn.ParseG1(row.Uh[:])
	if err != nil {
		return nil, fmt.Errorf("registration: issue: %w", err)
	}
	cred, err := m.cfg.Issuer.Issue(f, uh, epoch)
	if err != nil {
		return nil, fmt.Errorf("registration: %w", err)
	}
	sealed, err := secret.SealCredential(id, cred)
	if err != nil {
		return nil, fmt.Errorf("registration: %w", err)
	}
	return &Credential{Epoch: epoch, Sealed: sealed}, nil
}
