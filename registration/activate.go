package registration

import (
	"context"
	"errors"
	"fmt"

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

// Activate checks the answer to a challenge and makes the TPM a member, in
// one transaction in which session, EK, tag and Uh are used up. The member's
// id is the session's. Repeated, it returns the same credential.
//
// A wrong answer leaves the session as it was. Errors: [ErrNotFound],
// [ErrNotJoined], [ErrSessionExpired], [ErrActivation], [ErrEKRegistered],
// [ErrTagRegistered], [ErrExpelled], [ErrEpoch], [ErrUnavailable].
func (m *Manager) Activate(ctx context.Context, id enrol.ID, mac []byte) (*Credential, error) {
	if c, err := m.activated(ctx, id, mac); c != nil || err != nil {
		return c, err
	}
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
	member, err := newMember(row, s, e.Number)
	if err != nil {
		return nil, err
	}
	member.JoinedAt = now
	c, err := m.issue(id, secret, member, e.Number)
	if err != nil {
		return nil, err
	}
	if err := m.cfg.Register.Enrol(ctx, id, now, *member, [32]byte{}); err != nil {
		return m.enrolFailed(ctx, id, mac, err)
	}
	m.log.Info("member active", "member", id, "epoch", e.Number)
	return c, nil
}

// activated answers a repeated activation; nil without an error means that
// there is no such member yet.
func (m *Manager) activated(ctx context.Context, id enrol.ID, mac []byte) (*Credential, error) {
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
	if row.State == ledger.MemberExpelled {
		return nil, ErrExpelled
	}
	return m.issue(id, secret, row, t.Epoch)
}

// enrolFailed names why the register refused. Of two equal activations at
// once, one finds the session taken by the other and answers as a repetition.
func (m *Manager) enrolFailed(ctx context.Context, id enrol.ID, mac []byte, err error) (*Credential, error) {
	if errors.Is(err, ledger.ErrNotFound) || errors.Is(err, ledger.ErrDuplicate) {
		if c, err := m.activated(ctx, id, mac); c != nil || err != nil {
			return c, err
		}
	}
	var dup *ledger.DuplicateError
	switch {
	case errors.As(err, &dup) && dup.Field == ledger.FieldEK:
		return nil, ErrEKRegistered
	case errors.As(err, &dup) && (dup.Field == ledger.FieldTag || dup.Field == ledger.FieldUh):
		return nil, ErrTagRegistered
	case errors.Is(err, ledger.ErrNotFound):
		return nil, fmt.Errorf("%w: no such registration", ErrNotFound)
	case errors.Is(err, ledger.ErrExpired):
		return nil, ErrSessionExpired
	}
	return nil, stored("activate", err)
}

// newMember is the member whom a joined session makes.
func newMember(row *ledger.Session, s *session, epoch uint64) (*ledger.Member, error) {
	f, uh, err := points(s.Request.Join)
	if err != nil {
		return nil, err
	}
	t, err := encodeRecord(transcript{
		EK: s.EK, Nonce: row.Nonce, KeyPublic: s.Request.KeyPublic, Join: s.Request.Join,
		FormDigest: s.Request.FormDigest, Epoch: epoch,
	})
	if err != nil {
		return nil, err
	}
	return &ledger.Member{
		ID: row.ID, EK: row.EK, F: f.Bytes(), Uh: uh.Bytes(), Epoch: uint32(epoch),
		State: ledger.MemberActive, Transcript: t, Form: s.Request.Form,
	}, nil
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
