package issuer

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/trust"
)

// Groups finds who checks the presentations of a group.
type Groups interface {
	// Verifier returns a verifier for the group as it is now. It returns an
	// error that matches coin.ErrBinding for a group that the bank does not
	// take, and ErrUnavailable if it can't tell at the moment.
	Verifier(ctx context.Context, group [32]byte) (coin.PresentationVerifier, error)
}

// ReceiptSigner signs receipts with the bank's online key.
type ReceiptSigner struct {
	Key   crypto.Signer
	Chain []*x509.Certificate // the signing certificate, then the master's
}

// Config is what a bank is made of. All fields are needed but those that say
// otherwise.
type Config struct {
	Root   *trust.Root
	Keyset []byte // the signed keyset, a compact JWS; see Bank.Reload for the next
	Signer BlindSigner
	// Receipts signs under a certificate of the keyset's bank; Bank.Reload may
	// replace it.
	Receipts ReceiptSigner
	// Groups may be nil: then no bound coin is taken.
	Groups Groups
	Ledger ledger.Ledger
	// Reconciled, if not nil, is told when the bank works again after a
	// reconciliation, whichever process finished it.
	Reconciled func(ctx context.Context)
	// Limits are DefaultLimits if nil.
	Limits *Limits
	// Clock is time.Now if nil.
	Clock func() time.Time
	// Logger is silent if nil.
	Logger *slog.Logger
	// Workers is how many goroutines, all requests together, sign besides
	// those that the requests came in; 7 if zero. As many as the signer has
	// sessions, less one, is good.
	Workers int
}

// Bank is a bank at work.
type Bank struct {
	cfg      Config
	id       string // of the bank
	currency string
	clock    func() time.Time
	log      *slog.Logger
	limits   Limits

	force     atomic.Pointer[inForce]
	reloading sync.Mutex // one Reload at a time
	reloads   reloads
	watch     keyWatch
	fence     fenceWatch
	helpers   helpers
	stats     stats
	pruned    atomic.Int64 // when holds were last pruned, in Unix seconds
	drain     drain
	figures   figures
}

// New opens the bank. It verifies the keyset and the receipt signer's chain,
// binds the ledger to the bank on first use, refuses a keyset older than the
// last one that the ledger has seen, asks the signer for every key that may
// still have to sign, and opens each key's spent set. It returns errors that
// match ErrConfig, ErrFenced or ErrUnavailable, or those of coin.ParseKeyset,
// coin.Keyset.CheckSigner and the ledger.
func New(ctx context.Context, cfg Config) (*Bank, error) {
	if cfg.Root == nil || cfg.Signer == nil || cfg.Receipts.Key == nil || cfg.Ledger == nil {
		return nil, fmt.Errorf("%w: a part is missing", ErrConfig)
	}
	b := &Bank{cfg: cfg, clock: cfg.Clock, log: cfg.Logger}
	b.stats.init()
	b.figures.book.portion = readPortion
	b.cfg.Ledger = &counted{Ledger: cfg.Ledger, stats: &b.stats}
	if b.clock == nil {
		b.clock = time.Now
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	limits := DefaultLimits()
	if cfg.Limits != nil {
		limits = *cfg.Limits
	}
	if limits.HoldTime <= 0 {
		limits.HoldTime = time.Minute
	}
	if limits.Strikes <= 0 {
		limits.Strikes = 3
	}
	b.limits = limits
	if cfg.Workers <= 0 {
		cfg.Workers = 7
	}
	b.helpers = make(helpers, cfg.Workers)
	f, err := newInForce(cfg.Root, cfg.Keyset, cfg.Receipts, b.now())
	if err != nil {
		return nil, err
	}
	b.id, b.currency = f.keyset.Bank, f.keyset.Currency
	if err := f.checkKeys(ctx, cfg.Signer, b.now()); err != nil {
		return nil, err
	}
	if err := b.checkFence(ctx); err != nil {
		return nil, err
	}
	if err := f.record(ctx, cfg.Ledger); err != nil {
		return nil, err
	}
	b.force.Store(f)
	b.watch.pending, b.watch.alarmed = make(map[coin.KeyID]int64), make(map[coin.KeyID]bool)
	if err := b.resumeStrikes(ctx); err != nil {
		return nil, err
	}
	if _, err := b.KeyBalances(ctx); err != nil { // sounds the alarm of a key that leaked before
		return nil, err
	}
	return b, nil
}

// current is the keyset in force and what hangs on it. A request takes it
// once.
func (b *Bank) current() *inForce { return b.force.Load() }

// now is the bank's time, UTC, in whole seconds as signed documents have it.
func (b *Bank) now() time.Time { return b.clock().UTC().Truncate(time.Second) }

// Keyset returns the keyset in force, not to be modified.
func (b *Bank) Keyset() *coin.Keyset { return b.current().keyset }

// SignedKeyset returns the keyset in force, and as the master key signed it, a
// compact JWS.
func (b *Bank) SignedKeyset() (*coin.Keyset, []byte) {
	f := b.current()
	return f.keyset, f.signed
}

// ReceiptsUntil returns when the first certificate of the chain runs out that
// receipts are signed under.
func (b *Bank) ReceiptsUntil() time.Time {
	chain := b.current().receipts.Chain
	until := chain[0].NotAfter
	for _, c := range chain[1:] {
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	return until
}

// Limits are what the bank allows.
func (b *Bank) Limits() Limits { return b.limits }

// Root returns SHA-256 of the root certificate that the bank works under.
func (b *Bank) Root() [32]byte { return b.cfg.Root.Fingerprint() }

// Now returns the bank's clock, in whole seconds.
func (b *Bank) Now() time.Time { return b.now() }

// Ready says whether the bank can do its work now: CheckLedger and CheckToken.
func (b *Bank) Ready(ctx context.Context) error {
	if err := b.CheckLedger(ctx); err != nil {
		return err
	}
	return b.CheckToken(ctx)
}

// CheckLedger says whether the ledger answers.
func (b *Bank) CheckLedger(ctx context.Context) error {
	if _, err := b.cfg.Ledger.Meta(ctx, ledger.MetaBank); err != nil {
		return fmt.Errorf("issuer: ledger: %w", store(err))
	}
	return nil
}

// CheckToken says whether the token makes a signature, under a certificate that
// is valid. It is under the receipt key, over a fixed text that is no document.
func (b *Bank) CheckToken(_ context.Context) error {
	f := b.current()
	if err := f.receipts.check(b.now()); err != nil {
		return err
	}
	digest := sha256.Sum256([]byte("specie/ready/1"))
	if _, err := f.receipts.Key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
		return fmt.Errorf("%w: token: %w", ErrUnavailable, err)
	}
	return nil
}
