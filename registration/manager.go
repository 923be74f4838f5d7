package registration

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/trust"
)

// DefaultSession is how long a registration may take.
const DefaultSession = 10 * time.Minute

// DefaultMaxSessions is how many registrations may be open at once: at most
// 100 KiB each, a few as a rule.
const DefaultMaxSessions = 4096

// OpeningVerifier verifies a combined opening by itself, with the scalars of
// broken TPMs that are known now, and that its warrant is in force now. It
// returns the tag that the opening found and the warrant's entry. Its errors
// mean that nobody is named.
type OpeningVerifier func(ctx context.Context, opening []byte, leaked [][]byte) (tag [33]byte, entry warrant.Entry, err error)

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
	// Policy is in force at first; Reload puts another in its place.
	Policy
	// Schedule says which epoch it is.
	Schedule Schedule
	// Register is the durable state.
	Register ledger.Register
	// Keeper keeps the newest document; without one a restored register is not
	// noticed. Restored is for the one start after the register was restored.
	Keeper   Keeper
	Restored *Restored
	// Opening verifies openings; without it Identify refuses all.
	Opening OpeningVerifier
	// Session is how long a registration may take, DefaultSession if zero.
	Session time.Duration
	// MaxSessions is how many registrations may be open at once,
	// DefaultMaxSessions if zero.
	MaxSessions int
	// Parallel is how many requests are verified at once, one a processor if
	// zero. Others wait their turn, sixteen for each.
	Parallel int
	// Clock is time.Now if nil, Logger silent if nil.
	Clock  func() time.Time
	Logger *slog.Logger
}

// Manager is a group manager at work.
type Manager struct {
	cfg          Config
	params       *group.Parameters
	supervision  *groupdoc.Supervision
	proof        group.IssuerKeyProof
	challengeKey []byte
	papers       cipher.AEAD // for warrants at rest
	gate         *gate
	log          *slog.Logger
	policy       atomic.Pointer[policy]

	entering sync.Mutex // one warrant after the other
	kinds    sync.Mutex // no policy comes into force while a TPM's kind is put down

	mu     sync.Mutex
	doc    *SignedDocument // the newest, of epoch doc.Epoch
	stale  bool            // doc does not say what holds
	tried  time.Time       // when it was last to be signed anew, and was not
	purged time.Time
}

// New checks that the parts belong together: supervisors, certificate and
// register are those of this group ([ErrOtherGroup]), its members' keys were made
// after the policy's template ([ErrTemplateFixed]), the policy takes no other
// kinds of endorsement keys than members have ([ErrPolicy]), the register of
// warrants is whole ([ErrRegister]), the register has all that the document kept
// last says ([ErrRestored]), and a document made of all of them is one that a
// stranger accepts.
func New(ctx context.Context, cfg Config) (*Manager, error) {
	cfg.fill()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	first, err := newPolicy(cfg.Policy)
	if err != nil {
		return nil, err
	}
	m := &Manager{cfg: cfg, log: cfg.Logger, gate: newGate(cfg.Parallel)}
	m.policy.Store(first)
	if m.supervision, err = groupdoc.ParseSupervision(cfg.Root, cfg.Supervision, cfg.Clock()); err != nil {
		return nil, fmt.Errorf("registration: %w", err)
	}
	if m.supervision.Group != cfg.ID {
		return nil, fmt.Errorf("%w: the supervisors of %s", ErrOtherGroup, m.supervision.Group)
	}
	key := m.supervision.Key
	m.params = &group.Parameters{Name: cfg.ID, W: cfg.Issuer.Public(), O: key.O(), O2: key.O2()}
	if err := m.derive(); err != nil {
		return nil, err
	}
	id := m.params.ID()
	if err := m.pin(ctx, "group", id[:]); err != nil {
		return nil, err
	}
	if err := m.pin(ctx, "schedule", []byte(cfg.Schedule.String())); err != nil {
		return nil, err
	}
	if err := m.pinTemplate(ctx, first); err != nil {
		return nil, err
	}
	if err := m.checkKinds(ctx, first); err != nil {
		return nil, err
	}
	if err := m.checkWarrants(ctx); err != nil {
		return nil, err
	}
	if err := m.checkRestored(ctx); err != nil {
		return nil, err
	}
	if _, err := m.Document(ctx); err != nil {
		return nil, err
	}
	first.announce(m.log)
	return m, nil
}

// derive makes what hangs on γ.
func (m *Manager) derive() (err error) {
	if m.proof, err = m.cfg.Issuer.Prove(m.cfg.ID); err != nil {
		return fmt.Errorf("registration: %w", err)
	}
	if m.challengeKey, err = hkdf.Key(sha256.New, m.cfg.Issuer.Bytes(), nil, "specie/registration/challenges/1", 32); err != nil {
		return fmt.Errorf("registration: %w", err)
	}
	papers, err := hkdf.Key(sha256.New, m.cfg.Issuer.Bytes(), nil, "specie/registration/warrants/1", 32)
	if err != nil {
		return fmt.Errorf("registration: %w", err)
	}
	block, err := aes.NewCipher(papers)
	if err != nil {
		return fmt.Errorf("registration: %w", err)
	}
	m.papers, err = cipher.NewGCMWithRandomNonce(block)
	return err
}

func (c *Config) fill() {
	if c.Session == 0 {
		c.Session = DefaultSession
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = DefaultMaxSessions
	}
	if c.Parallel == 0 {
		c.Parallel = runtime.GOMAXPROCS(0)
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
		c.Register == nil || c.Session < 0 || c.MaxSessions < 0 || c.Parallel < 0 {
		return fmt.Errorf("%w: the manager's configuration lacks a part", ErrMalformed)
	}
	return c.Schedule.check()
}

// GroupID names the group.
func (m *Manager) GroupID() group.ID { return m.params.ID() }

// Name is the manager's id, and the group's name.
func (m *Manager) Name() string { return m.cfg.ID }

// Policy is the one in force.
func (m *Manager) Policy() Policy { return m.policy.Load().Policy }

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
