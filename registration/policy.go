package registration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/ledger"
)

// Policy is what a manager may change while he works. The group's document
// says all of it.
type Policy struct {
	// EKRoots are the accepted manufacturers, with the one kind of endorsement
	// key that is taken from each. Once a TPM of a manufacturer is a member, his
	// kind can't change.
	EKRoots *attest.Roots
	// SoftwareTPMs takes emulated TPMs too. Their keys lie in files: never for
	// real money.
	SoftwareTPMs bool
	// Leaked are scalars of broken TPMs, 32 bytes each.
	Leaked [][]byte
	// Platform is the rule about the state of members' machines, or nil. Its
	// key stands in the template of every member's key and can't change once
	// there is one.
	Platform *groupdoc.Platform
}

// policy is a Policy that was checked.
type policy struct {
	Policy
	template []byte
	leaked   map[[33]byte]bool // [f]G of the leaked scalars
}

// newPolicy checks a policy by itself: ErrPolicy.
func newPolicy(from Policy) (*policy, error) {
	if from.EKRoots == nil {
		return nil, fmt.Errorf("%w: no list of manufacturers", ErrPolicy)
	}
	if from.EKRoots.HasSoftware() && !from.SoftwareTPMs {
		return nil, fmt.Errorf("%w: the list of manufacturers has one of emulated TPMs, and those are not taken", ErrPolicy)
	}
	if len(from.Leaked) > groupdoc.MaxLeaked {
		return nil, fmt.Errorf("%w: %d leaked keys, at most %d have room in a document", ErrPolicy, len(from.Leaked), groupdoc.MaxLeaked)
	}
	if err := attest.CheckPlatform(from.Platform); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	p := &policy{Policy: from, template: attest.ClassTemplate(from.Platform), leaked: make(map[[33]byte]bool)}
	for i, b := range from.Leaked {
		f, err := fp256bn.ParseScalar(b)
		if err != nil {
			return nil, fmt.Errorf("%w: leaked key %d: %w", ErrPolicy, i+1, err)
		}
		q := fp256bn.Generator1().Mul(f)
		p.leaked[q.Bytes()] = true
	}
	return p, nil
}

// announce says aloud what must not be overheard.
func (p *policy) announce(log *slog.Logger) {
	if p.SoftwareTPMs {
		log.Warn("INSECURE: emulated TPMs are taken; whoever has their files can spend. For tests only, never for money.")
	}
}

// Reload puts another policy in force and signs the document anew with it.
// What is refused changes nothing. A leaked key stays one while the manager
// works: a list that lacks it is a file half written. Errors: [ErrPolicy],
// [ErrTemplateFixed] if the template would change under members, [ErrUnavailable].
func (m *Manager) Reload(ctx context.Context, next Policy) error {
	p, err := newPolicy(next)
	if err != nil {
		return err
	}
	for q := range m.policy.Load().leaked {
		if !p.leaked[q] {
			return fmt.Errorf("%w: a leaked key is gone from the list; to forget one, start the manager anew", ErrPolicy)
		}
	}
	if err := m.pinTemplate(ctx, p); err != nil {
		return err
	}
	m.kinds.Lock()
	defer m.kinds.Unlock()
	if err := m.checkKinds(ctx, p); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.Now()
	e, err := m.cfg.Schedule.At(now)
	if err != nil {
		return err
	}
	d, err := m.sign(ctx, p, e, now)
	if err != nil {
		return err
	}
	m.policy.Store(p)
	m.publish(d)
	p.announce(m.log)
	m.log.Info("policy in force", "group", m.cfg.ID, "ek_roots", fmt.Sprintf("%x", p.EKRoots.Digest()), "leaked", len(p.leaked))
	return nil
}

// pinTemplate refuses another template than the members' keys were made after:
// evidence about them is checked against the document's. A register in which
// none is recorded is from before there was a choice.
func (m *Manager) pinTemplate(ctx context.Context, p *policy) error {
	had, err := m.cfg.Register.Meta(ctx, "template")
	if errors.Is(err, ledger.ErrNotFound) {
		had, err = attest.GroupKeyTemplate(), nil
	}
	if err != nil {
		return stored("template", err)
	}
	if bytes.Equal(had, p.template) {
		return nil
	}
	members, err := m.hasMembers(ctx)
	if err != nil {
		return err
	}
	if members {
		return ErrTemplateFixed
	}
	if err := m.cfg.Register.SetMeta(ctx, "template", p.template); err != nil {
		return stored("template", err)
	}
	return nil
}

// verifyEK checks the endorsement as of a time, by the policy in force.
func (m *Manager) verifyEK(e *endorsement, at time.Time) (*attest.EK, *policy, error) {
	p := m.policy.Load()
	ek, err := attest.VerifyEK(e.Chain, e.Public, p.EKRoots, attest.Policy{At: at, SoftwareTPMs: p.SoftwareTPMs})
	switch {
	case err == nil:
		return ek, p, nil
	case errors.Is(err, attest.ErrEKProfile), errors.Is(err, attest.ErrEKKind):
		return nil, nil, fmt.Errorf("%w: %w", ErrEKProfile, err)
	case errors.Is(err, attest.ErrFirmware):
		return nil, nil, fmt.Errorf("%w: %w", ErrFirmware, err)
	case errors.Is(err, attest.ErrSoftwareTPM):
		return nil, nil, fmt.Errorf("%w: %w", ErrSoftwareTPM, err)
	}
	return nil, nil, fmt.Errorf("%w: %w", ErrEKChain, err)
}

// checkLeaked refuses a group key that is public.
func (p *policy) checkLeaked(j *group.Join) error {
	if p.leaked[j.Q.Bytes()] {
		return ErrLeaked
	}
	return nil
}

// pin records a value at first use and refuses another one for ever.
func (m *Manager) pin(ctx context.Context, key string, value []byte) error {
	had, err := m.cfg.Register.Meta(ctx, key)
	if errors.Is(err, ledger.ErrNotFound) {
		if err := m.cfg.Register.SetMeta(ctx, key, value); err != nil {
			return stored("pin "+key, err)
		}
		return nil
	}
	if err != nil {
		return stored("pin "+key, err)
	}
	if !bytes.Equal(had, value) {
		return fmt.Errorf("%w: its %s differs", ErrOtherGroup, key)
	}
	return nil
}
