package registration

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/ledger"
)

// MaxEKPublic bounds an endorsement key's public area, in bytes; its chain is
// bounded as in package attest.
const MaxEKPublic = 1 << 10

const purgeEvery = time.Minute

// sessionsEach is how many registrations of one TPM may be under way: whoever
// knows its certificate can begin one, and with a key of his own join, and must
// neither end its owner's nor take all the room. One that has joined gives way only
// where all have.
const sessionsEach = 16

// BeginRequest shows a TPM's endorsement key.
type BeginRequest struct {
	// EKChain is the certificate in DER and its intermediates, leaf first.
	EKChain [][]byte
	// EKPublic is the endorsement key's public area (TPMT_PUBLIC).
	EKPublic []byte
}

func (r *BeginRequest) check() error {
	if len(r.EKChain) == 0 || len(r.EKChain) > attest.MaxChain || len(r.EKPublic) == 0 || len(r.EKPublic) > MaxEKPublic {
		return fmt.Errorf("%w: %d certificates, public area of %d bytes", ErrMalformed, len(r.EKChain), len(r.EKPublic))
	}
	for i, c := range r.EKChain {
		if len(c) == 0 || len(c) > attest.MaxCertificate {
			return fmt.Errorf("%w: certificate %d of %d bytes", ErrMalformed, i, len(c))
		}
	}
	return nil
}

// Session is an open registration.
type Session struct {
	ID      enrol.ID
	Nonce   [32]byte
	Expires time.Time
}

// Begin verifies an endorsement key and opens a session for it, beside others of
// the same key: anybody may show its certificate. Errors: [ErrMalformed], [ErrEKChain],
// [ErrEKProfile], [ErrFirmware], [ErrSoftwareTPM], [ErrEKRegistered],
// [ErrBusy], [ErrUnavailable].
func (m *Manager) Begin(ctx context.Context, r *BeginRequest) (*Session, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	leave, err := m.gate.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	now := m.Now()
	ek, _, err := m.verifyEK(&endorsement{Chain: r.EKChain, Public: r.EKPublic}, now)
	if err != nil {
		return nil, err
	}
	if err := m.ekMayJoin(ctx, ek.ID, now); err != nil {
		return nil, err
	}
	m.purge(ctx, now)
	payload, err := encodeRecord(session{EK: endorsement{Chain: r.EKChain, Public: r.EKPublic}})
	if err != nil {
		return nil, err
	}
	s := ledger.Session{EK: ek.ID, State: stepOpen, Expires: now.Add(m.cfg.Session), Payload: payload}
	for _, b := range [][]byte{s.ID[:], s.Nonce[:]} {
		if _, err := rand.Read(b); err != nil {
			return nil, fmt.Errorf("registration: begin: %w", err)
		}
	}
	if err := m.putSession(ctx, s, now); err != nil {
		return nil, err
	}
	return &Session{ID: s.ID, Nonce: s.Nonce, Expires: s.Expires}, nil
}

// putSession makes room among expired sessions before it gives up.
func (m *Manager) putSession(ctx context.Context, s ledger.Session, now time.Time) error {
	err := m.cfg.Register.PutSession(ctx, s, m.cfg.MaxSessions, sessionsEach)
	if errors.Is(err, ledger.ErrFull) {
		if err := m.cfg.Register.PurgeSessions(ctx, now); err != nil {
			return stored("purge", err)
		}
		err = m.cfg.Register.PutSession(ctx, s, m.cfg.MaxSessions, sessionsEach)
	}
	if errors.Is(err, ledger.ErrFull) {
		return fmt.Errorf("%w: too many registrations are open", ErrBusy)
	}
	if err != nil {
		return stored("session", err)
	}
	return nil
}

// isNew reads a lookup's error: found is the refusal taken.
func isNew(err, taken error) error {
	if err == nil {
		return taken
	}
	if errors.Is(err, ledger.ErrNotFound) {
		return nil
	}
	return stored("lookup", err)
}

// purge drops expired sessions now and then. That it fails is no reason to
// refuse anybody.
func (m *Manager) purge(ctx context.Context, now time.Time) {
	m.mu.Lock()
	due := now.Sub(m.purged) >= purgeEvery
	if due {
		m.purged = now
	}
	m.mu.Unlock()
	if !due {
		return
	}
	if err := m.cfg.Register.PurgeSessions(ctx, now); err != nil {
		m.log.Warn("expired sessions not purged", "error", err)
	}
}
