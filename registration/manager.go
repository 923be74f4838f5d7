package registration

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/trust"
)

// DefaultSession is how long a registration may take.
const DefaultSession = 10 * time.Minute

// DefaultMaxSessions is how many registrations may be open at once: at most
// 80 KiB each, a few as a rule.
const DefaultMaxSessions = 4096

// OpeningVerifier verifies a combined opening by itself and returns the tag
// that it found. Its errors mean that nobody is named.
type OpeningVerifier func(ctx context.Context, opening []byte) (tag [33]byte, err error)

// Config is what a manager is made of.
type Config struct {
	// Root is the pinned root.
	Root *trust.Root
	// ID is the manager's, as in his certificate.
	ID string
	// Issuer is γ, FormKey the private key for registration forms.
	Issuer  *group.IssuerKey
	FormKey hpke.PrivateKey
	// Signer and Chain are the manager's certificate and its key.
	Signer crypto.Signer
	Chain  []*x509.Certificate
	// Supervision is the supervisors' document, one JWS each.
	Supervision [][]byte
	// EKRoots are the accepted manufacturers, with the one kind of endorsement
	// key that is taken from each.
	EKRoots *attest.Roots
	// SoftwareTPMs takes emulated TPMs too. Their keys lie in files: never for
	// real money.
	SoftwareTPMs bool
	// Schedule says which epoch it is.
	Schedule Schedule
	// Leaked are scalars of broken TPMs, 32 bytes each, for the document.
	Leaked [][]byte
	// Register is the durable state.
	Register ledger.Register
	// Opening verifies openings; without it Identify refuses all.
	Opening OpeningVerifier
	// Session is how long a registration may take, DefaultSession if zero.
	Session time.Duration
	// MaxSessions is how many registrations may be open at once,
	// DefaultMaxSessions if zero.
	MaxSessions int
	// Clock is time.Now if nil, Logger silent if nil.
	Clock  func() time.Time
	Logger *slog.Logger
}

// Manager is a group manager at work.
type Manager struct {
	cfg          Config
	params       *group.Parameters
	proof        group.IssuerKeyProof
	challengeKey []byte
	log          *slog.Logger

	mu     sync.Mutex
	doc    *SignedDocument // the newest, of epoch doc.Epoch
	purged time.Time
}

// New checks that the parts belong together: supervisors, certificate and
// register are those of this group ([ErrOtherGroup]), and a document made of
// them is one that a stranger accepts.
func New(ctx context.Context, cfg Config) (*Manager, error) {
	cfg.fill()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s, err := groupdoc.ParseSupervision(cfg.Root, cfg.Supervision, cfg.Clock())
	if err != nil {
		return nil, fmt.Errorf("registration: %w", err)
	}
	if s.Group != cfg.ID {
		return nil, fmt.Errorf("%w: the supervisors of %s", ErrOtherGroup, s.Group)
	}
	m := &Manager{cfg: cfg, log: cfg.Logger}
	m.params = &group.Parameters{Name: cfg.ID, W: cfg.Issuer.Public(), O: s.Key.O(), O2: s.Key.O2()}
	if m.proof, err = cfg.Issuer.Prove(cfg.ID); err != nil {
		return nil, fmt.Errorf("registration: %w", err)
	}
	if m.challengeKey, err = hkdf.Key(sha256.New, cfg.Issuer.Bytes(), nil, "specie/registration/challenges/1", 32); err != nil {
		return nil, fmt.Errorf("registration: %w", err)
	}
	id := m.params.ID()
	if err := m.pin(ctx, "group", id[:]); err != nil {
		return nil, err
	}
	if err := m.pin(ctx, "schedule", []byte(cfg.Schedule.String())); err != nil {
		return nil, err
	}
	if _, err := m.Document(ctx); err != nil {
		return nil, err
	}
	return m, nil
}

func (c *Config) fill() {
	if c.Session == 0 {
		c.Session = DefaultSession
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = DefaultMaxSessions
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

func (c *Config) check() error {
	if err := trust.CheckID(c.ID); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if c.Root == nil || c.Issuer == nil || c.FormKey == nil || c.Signer == nil || len(c.Chain) == 0 ||
		c.EKRoots == nil || c.Register == nil || c.Session < 0 || c.MaxSessions < 0 {
		return fmt.Errorf("%w: the manager's configuration lacks a part", ErrMalformed)
	}
	return c.Schedule.check()
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

// GroupID names the group.
func (m *Manager) GroupID() group.ID { return m.params.ID() }

// Now is the manager's clock, UTC.
func (m *Manager) Now() time.Time { return m.cfg.Clock().UTC() }

// Ready says whether the manager can do his work now: the register answers,
// and the document of this epoch is signed.
func (m *Manager) Ready(ctx context.Context) error {
	if _, err := m.cfg.Register.Meta(ctx, "group"); err != nil {
		return stored("ready", err)
	}
	_, err := m.Document(ctx)
	return err
}

// secret derives a challenge's secret. Whoever repeats a request gets the
// same one, and none is ever stored.
func (m *Manager) secret(parts ...[]byte) (enrol.Secret, error) {
	b, err := hkdf.Key(sha256.New, m.challengeKey, nil, string(frame.Join(parts...)), enrol.SecretSize)
	if err != nil {
		return enrol.Secret{}, fmt.Errorf("registration: %w", err)
	}
	return enrol.NewSecret(b)
}
