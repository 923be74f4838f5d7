package issuertest

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc/successor"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/sqlite"
)

// Clock is a clock that tests set.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// Now returns the time that was set.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Set sets the clock.
func (c *Clock) Set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// ErrInjected is the failure that Signer injects.
var ErrInjected = errors.New("injected failure")

// Signer is the house's real signer with faults around it.
type Signer struct {
	inner issuer.BlindSigner
	// FailNext is how many of the next calls fail before they reach the token.
	FailNext atomic.Int64
	// Cut drops the last byte of every signature that the token makes.
	Cut atomic.Bool
	// Calls counts the calls that reached the token.
	Calls atomic.Int64
}

// BlindSign implements issuer.BlindSigner.
func (s *Signer) BlindSign(ctx context.Context, kid coin.KeyID, blinded []byte) ([]byte, error) {
	if s.FailNext.Add(-1) >= 0 {
		return nil, ErrInjected
	}
	s.FailNext.Store(0)
	s.Calls.Add(1)
	out, err := s.inner.BlindSign(ctx, kid, blinded)
	if err == nil && s.Cut.Load() {
		out = out[:len(out)-1]
	}
	return out, err
}

// BlindSignBatch implements issuer.BatchSigner. With faults to come, it asks
// for one signature after the other.
func (s *Signer) BlindSignBatch(ctx context.Context, outputs []coin.Output) ([][]byte, error) {
	inner, ok := s.inner.(issuer.BatchSigner)
	if ok && s.FailNext.Load() <= 0 && !s.Cut.Load() {
		s.Calls.Add(int64(len(outputs)))
		return inner.BlindSignBatch(ctx, outputs)
	}
	signatures := make([][]byte, len(outputs))
	for i := range outputs {
		var err error
		if signatures[i], err = s.BlindSign(ctx, outputs[i].KeyID, outputs[i].Blinded); err != nil {
			return nil, err
		}
	}
	return signatures, nil
}

// Has implements issuer.BlindSigner.
func (s *Signer) Has(ctx context.Context, kid coin.KeyID) error { return s.inner.Has(ctx, kid) }

// Bank is a bank with its own ledger and clock.
type Bank struct {
	*issuer.Bank
	House  *House
	Config issuer.Config
	Ledger ledger.Ledger
	Clock  *Clock
	Signer *Signer
	Path   string // of the ledger's file
}

// Groups takes the one group that Verify is of, or answers Err.
type Groups struct {
	Verify coin.PresentationVerifier
	Err    error
}

// Verifier implements issuer.Groups.
func (g Groups) Verifier(_ context.Context, id [32]byte) (coin.PresentationVerifier, error) {
	if g.Err != nil {
		return nil, g.Err
	}
	if g.Verify.GroupID() != id {
		return nil, coin.ErrBinding
	}
	return g.Verify, nil
}

// NewBank opens a new bank. change, if not nil, may alter its configuration.
func (h *House) NewBank(t testing.TB, change func(*issuer.Config)) *Bank {
	t.Helper()
	b := &Bank{House: h, Clock: &Clock{at: Now}, Path: filepath.Join(t.TempDir(), "ledger.db")}
	store := must(sqlite.OpenLedger(t.Context(), b.Path, sqlite.Options{}))(t)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	b.Ledger = store
	b.Signer = &Signer{inner: issuer.NewKeyring(h.Token.RSAKeys, h.Token.BlindSignBatch)}
	doc := h.Document(t)
	verifier := coin.WithSuccessors(coin.NewPresentationVerifier(must(doc.Verifier(Now))(t)), &successor.Verifier{Root: h.Root, Doc: doc})
	b.Config = issuer.Config{
		Root: h.Root, Keyset: h.KeysetJWS, Signer: b.Signer, Receipts: h.Receipts,
		Groups: Groups{Verify: verifier},
		Ledger: store, Clock: b.Clock.Now, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&b.Config)
	}
	b.Bank = must(issuer.New(t.Context(), b.Config))(t)
	return b
}

// Funded opens a holder's account with that much money on it.
func (b *Bank) Funded(t testing.TB, amount coin.Amount) (*issuer.Account, issuer.Token) {
	t.Helper()
	account, token, err := b.CreateAccount(t.Context(), issuer.Holder, t.Name(), "")
	if err != nil {
		t.Fatal(err)
	}
	if amount > 0 {
		must(b.Fund(t.Context(), account.ID, amount, "for "+account.ID))(t)
	}
	return account, token
}

// CheckBooks fails the test unless the books balance, the classes hold what is
// given, and the ledger verifies from its rows.
func (b *Bank) CheckBooks(t testing.TB, holders, merchants, circulation int64) {
	t.Helper()
	books := must(b.Books(t.Context()))(t)
	want := map[string]int64{
		"holder": holders, "merchant": merchants, "circulation": circulation, "reserve": -holders - merchants - circulation,
	}
	if !books.Balanced {
		t.Errorf("the books do not balance: %+v", books)
	}
	for _, c := range books.Classes {
		if c.Balance != want[c.Class] {
			t.Errorf("%s hold %d, want %d", c.Class, c.Balance, want[c.Class])
		}
	}
	if _, err := b.Ledger.Verify(t.Context(), ledger.Verification{}); err != nil {
		t.Errorf("the ledger does not verify: %v", err)
	}
}
