package issuer

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
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
	Keyset []byte // the signed keyset, a compact JWS
	Signer BlindSigner
	// Receipts signs under a certificate of the keyset's bank.
	Receipts ReceiptSigner
	// Groups may be nil: then no bound coin is taken.
	Groups Groups
	Ledger ledger.Ledger
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
	cfg    Config
	keyset *coin.Keyset
	keys   map[coin.KeyID]*coin.Denomination
	clock  func() time.Time
	log    *slog.Logger

	helpers helpers
}

// New opens the bank. It verifies the keyset and the receipt signer's chain,
// binds the ledger to the bank on first use, refuses a keyset older than the
// last one that the ledger has seen, and opens each key's spent set. It
// returns errors that match ErrConfig, or those of coin.ParseKeyset and the
// ledger.
func New(ctx context.Context, cfg Config) (*Bank, error) {
	if cfg.Root == nil || cfg.Signer == nil || cfg.Receipts.Key == nil || cfg.Ledger == nil {
		return nil, fmt.Errorf("%w: a part is missing", ErrConfig)
	}
	b := &Bank{cfg: cfg, clock: cfg.Clock, log: cfg.Logger}
	if b.clock == nil {
		b.clock = time.Now
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Workers <= 0 {
		cfg.Workers = 7
	}
	b.helpers = make(helpers, cfg.Workers)
	now := b.now()
	var err error
	if b.keyset, err = coin.ParseKeyset(cfg.Root, cfg.Keyset, now); err != nil {
		return nil, err
	}
	signer, err := cfg.Root.CheckChain(cfg.Receipts.Chain, now)
	if err != nil {
		return nil, fmt.Errorf("issuer: receipt signer: %w", err)
	}
	if want := (trust.Name{Role: trust.RoleSigning, ID: b.keyset.Bank}); signer != want {
		return nil, fmt.Errorf("%w: receipts signed by %s, not by %s", ErrConfig, signer, want)
	}
	b.keys = make(map[coin.KeyID]*coin.Denomination, len(b.keyset.Denominations))
	for i := range b.keyset.Denominations {
		d := &b.keyset.Denominations[i]
		b.keys[d.KeyID] = d
	}
	if err := b.openLedger(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// metaKeyset is the ledger's memory of the newest keyset.
const metaKeyset = "keyset"

// openLedger ties the ledger to this bank and keyset. The order matters: no
// spent set is opened for a keyset that is refused.
func (b *Bank) openLedger(ctx context.Context) error {
	l := b.cfg.Ledger
	err := b.remember(ctx, ledger.MetaBank, []byte(b.keyset.Bank), func(known []byte) error {
		if string(known) != b.keyset.Bank {
			return fmt.Errorf("%w: the ledger belongs to bank %s", ErrConfig, known)
		}
		return nil
	})
	if err != nil {
		return err
	}
	mark := fmt.Appendf(nil, "%d %x", b.keyset.Seq, b.keyset.Digest)
	if err := b.remember(ctx, metaKeyset, mark, b.checkKeyset); err != nil {
		return err
	}
	for i := range b.keyset.Denominations {
		if err := l.OpenEpoch(ctx, epochOf(b.keyset.Denominations[i].KeyID)); err != nil {
			return fmt.Errorf("issuer: open spent set: %w", store(err))
		}
	}
	return nil
}

// remember checks a value of the ledger's identity and brings it up to date.
func (b *Bank) remember(ctx context.Context, key string, value []byte, check func(known []byte) error) error {
	known, err := b.cfg.Ledger.Meta(ctx, key)
	switch {
	case err == nil:
		if err := check(known); err != nil {
			return err
		}
		if string(known) == string(value) {
			return nil
		}
	case !errors.Is(err, ledger.ErrNotFound):
		return fmt.Errorf("issuer: read %s: %w", key, store(err))
	}
	if err := b.cfg.Ledger.SetMeta(ctx, key, value); err != nil {
		return fmt.Errorf("issuer: record %s: %w", key, store(err))
	}
	return nil
}

// checkKeyset refuses to go back: an older keyset lacks a revocation.
func (b *Bank) checkKeyset(known []byte) error {
	var seq uint64
	var digest string
	if _, err := fmt.Sscanf(string(known), "%d %s", &seq, &digest); err != nil {
		return fmt.Errorf("%w: the ledger's record of the keyset does not read", ErrConfig)
	}
	switch k := b.keyset; {
	case k.Seq < seq:
		return fmt.Errorf("%w: keyset %d after %d", coin.ErrRollback, k.Seq, seq)
	case k.Seq == seq && hex.EncodeToString(k.Digest[:]) != digest,
		k.Seq == seq+1 && hex.EncodeToString(k.Prev[:]) != digest:
		return fmt.Errorf("%w: keyset %d does not follow the ledger's", coin.ErrFork, k.Seq)
	}
	return nil
}

// epochOf names a key's spent set: 160 bits of the key id in hex.
func epochOf(kid coin.KeyID) string { return hex.EncodeToString(kid[:20]) }

// now is the bank's time, UTC, in whole seconds as signed documents have it.
func (b *Bank) now() time.Time { return b.clock().UTC().Truncate(time.Second) }

// find returns a key of the keyset, or coin.ErrUnknownKey.
func (b *Bank) find(kid coin.KeyID) (*coin.Denomination, error) {
	if d, ok := b.keys[kid]; ok {
		return d, nil
	}
	return nil, coin.ErrUnknownKey
}

// Keyset returns the keyset in force, not to be modified.
func (b *Bank) Keyset() *coin.Keyset { return b.keyset }

// SignedKeyset returns the keyset as the master key signed it, a compact JWS.
func (b *Bank) SignedKeyset() []byte { return b.cfg.Keyset }

// Root returns SHA-256 of the root certificate that the bank works under.
func (b *Bank) Root() [32]byte { return b.cfg.Root.Fingerprint() }

// Now returns the bank's clock, in whole seconds.
func (b *Bank) Now() time.Time { return b.now() }

// Ready says whether the bank can do its work now: the ledger answers, and
// the token makes a signature that verifies. The signature is under the
// receipt key over a fixed text that is no document.
func (b *Bank) Ready(ctx context.Context) error {
	if _, err := b.cfg.Ledger.Meta(ctx, ledger.MetaBank); err != nil {
		return fmt.Errorf("issuer: ledger: %w", store(err))
	}
	digest := sha256.Sum256([]byte("specie/ready/1"))
	if _, err := b.cfg.Receipts.Key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
		return fmt.Errorf("%w: token: %w", ErrUnavailable, err)
	}
	return nil
}
