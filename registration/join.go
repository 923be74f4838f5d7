package registration

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/ledger"
)

func (r *JoinRequest) check() error {
	if len(r.KeyPublic) == 0 || len(r.KeyPublic) > enrol.MaxKeyPublic || len(r.Join) != group.JoinSize ||
		len(r.Form) == 0 || len(r.Form) > enrol.MaxSealedForm {
		return fmt.Errorf("%w: join with a public area of %d bytes, a proof of %d, a form of %d",
			ErrMalformed, len(r.KeyPublic), len(r.Join), len(r.Form))
	}
	return nil
}

// Join checks everything about a new group key and answers the challenge for
// it. The same request gets the same challenge. A refused join leaves the
// session as it was; the nonce has answered only when a join was accepted.
//
// Errors: [ErrNotFound], [ErrSessionExpired], [ErrAnswered], [ErrMalformed],
// [ErrTemplate], [ErrJoinProof], [ErrLeaked], [ErrForm], [ErrCode],
// [ErrCodeUsed], [ErrIdentity], [ErrEKRegistered], [ErrTagRegistered], those of
// Begin for the endorsement, [ErrBusy], [ErrUnavailable].
func (m *Manager) Join(ctx context.Context, id enrol.ID, r *JoinRequest) (*Challenge, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	leave, err := m.gate.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	now := m.Now()
	row, s, err := m.session(ctx, id, now)
	if err != nil {
		return nil, m.complete(ctx, id, err)
	}
	if row.State == stepJoined {
		if s.Request.digest() != r.digest() {
			return nil, ErrAnswered
		}
		return s.Challenge, nil
	}
	j, form, err := m.verifyJoin(row, r)
	if err != nil {
		return nil, err
	}
	if err := m.joinIsNew(ctx, row.EK, j, form, now); err != nil {
		return nil, err
	}
	secret, err := m.joinSecret(id, row.Nonce, r)
	if err != nil {
		return nil, err
	}
	if s.Challenge, s.Vouched, err = m.challenge(&s.EK, enrol.KeyName(r.KeyPublic), secret, now); err != nil {
		return nil, err
	}
	s.Request, s.F, s.Uh, row.State = r, j.F.Bytes(), j.Uh.Bytes(), stepJoined
	if row.Payload, err = encodeRecord(s); err != nil {
		return nil, err
	}
	if err := m.putSession(ctx, *row, now); err != nil {
		return nil, err
	}
	return s.Challenge, nil
}

// complete tells a registration that is done from one that never was.
func (m *Manager) complete(ctx context.Context, id enrol.ID, err error) error {
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	if _, lookup := m.cfg.Register.MemberByID(ctx, id); lookup == nil {
		return fmt.Errorf("%w: it is complete", ErrAnswered)
	} else if !errors.Is(lookup, ledger.ErrNotFound) {
		return stored("session", lookup)
	}
	return err
}

// session returns an open session that is not expired.
func (m *Manager) session(ctx context.Context, id enrol.ID, now time.Time) (*ledger.Session, *session, error) {
	row, err := m.cfg.Register.Session(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, nil, fmt.Errorf("%w: no such registration", ErrNotFound)
	}
	if err != nil {
		return nil, nil, stored("session", err)
	}
	if !now.Before(row.Expires) {
		return nil, nil, ErrSessionExpired
	}
	s, err := readSession(row)
	return row, s, err
}

// verifyJoin checks key, proof and form, and returns proof and form.
func (m *Manager) verifyJoin(row *ledger.Session, r *JoinRequest) (*group.Join, *enrol.OpenedForm, error) {
	p := m.policy.Load()
	name, q, err := attest.CheckGroupKey(r.KeyPublic, p.template)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	j, err := group.ParseJoin(r.Join)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrJoinProof, err)
	}
	jc := group.JoinContext{Nonce: row.Nonce, KeyName: name, EK: row.EK, Form: r.FormDigest}
	if err := group.VerifyJoin(m.params, j, q, jc); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrJoinProof, err)
	}
	if err := p.checkLeaked(j); err != nil {
		return nil, nil, err
	}
	form, err := enrol.OpenForm(m.cfg.FormKey, m.cfg.ID, row.Nonce, r.Form, r.FormDigest)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	return j, form, nil
}

// joinIsNew tells a wallet early what the activation would refuse.
func (m *Manager) joinIsNew(ctx context.Context, ek [32]byte, j *group.Join, form *enrol.OpenedForm, now time.Time) error {
	if _, err := m.predecessor(ctx, ek, form, now); err != nil {
		return err
	}
	_, err := m.cfg.Register.MemberByTag(ctx, j.F.Bytes())
	if err := isNew(err, ErrTagRegistered); err != nil {
		return err
	}
	_, err = m.cfg.Register.MemberByUh(ctx, j.Uh.Bytes())
	return isNew(err, ErrTagRegistered)
}

// joinSecret is the secret of the challenge to one join in one session.
func (m *Manager) joinSecret(id enrol.ID, nonce [32]byte, r *JoinRequest) (enrol.Secret, error) {
	d := r.digest()
	return m.secret([]byte("join"), id[:], nonce[:], d[:])
}

// challenge wraps a secret for a TPM and a key in it, and says why it is
// trusted. The endorsement is verified again: nothing is wrapped for a key that
// was not.
func (m *Manager) challenge(e *endorsement, name []byte, secret enrol.Secret, at time.Time) (*Challenge, *vouched, error) {
	ek, p, err := m.verifyEK(e, at)
	if err != nil {
		return nil, nil, err
	}
	blob, enc, err := attest.MakeCredential(ek, name, secret.Bytes())
	if err != nil {
		return nil, nil, fmt.Errorf("registration: challenge: %w", err)
	}
	return &Challenge{CredentialBlob: blob, EncryptedSecret: enc}, vouchFor(ek, p), nil
}

// vouchFor records on what ground a TPM is taken for a genuine one.
func vouchFor(ek *attest.EK, p *policy) *vouched {
	return &vouched{
		Roots: p.EKRoots.Digest(), Root: ek.Root,
		Manufacturer: ek.Manufacturer, Model: ek.Model, Version: ek.Version, Software: ek.Software,
	}
}
