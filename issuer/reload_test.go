package issuer_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/trust"
)

// keep is the receipts of a Reload that keeps the ones in force.
var keep issuer.ReceiptSigner

func TestReloadBringsANewKeyIntoForce(t *testing.T) {
	h := issuertest.NewHouse(t)
	log := &issuertest.Log{}
	b := h.NewBank(t, func(c *issuer.Config) { c.Logger = log.Logger() })
	account, _ := b.Funded(t, 100)
	p := h.NewPurse(t)
	// The ceremony comes after the bank has opened: the token is asked again.
	d := h.NewKey(t, h.Key(t, coin.Bearer, 16))
	batch := p.PrepareUnder(t, &d)
	_, err := b.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, coin.ErrUnknownKey)

	next := h.Successor(t, b.Keyset(), func(k *coin.Keyset) { k.Denominations = append(k.Denominations, d) })
	expect(t, b.Reload(t.Context(), next, keep), nil)
	if k, signed := b.SignedKeyset(); k.Seq != 2 || !slices.Equal(signed, next) {
		t.Errorf("keyset %d is in force", k.Seq)
	}
	signed, err := b.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, nil)
	coins := batch.Finalize(t, signed.Signatures)
	spend, authorisation := p.Exchange(t, coins, p.Prepare(t, 16).Outputs)
	_, err = b.Exchange(t.Context(), spend, authorisation) // its spent set is open
	expect(t, err, nil)

	expect(t, b.Reload(t.Context(), next, keep), nil) // nothing differs, nothing happens
	if got := b.Reloads(); got[issuer.ReloadOK] != 1 || len(got) != 1 {
		t.Errorf("reloads %v", got)
	}
	if len(log.Lines("keyset in force", "seq=2")) != 1 {
		t.Error("the log does not say that keyset 2 is in force, once")
	}
	_, err = issuer.New(t.Context(), b.Config) // with the one before
	expect(t, err, coin.ErrRollback)
}

// failingSets is a ledger that can't open spent sets.
type failingSets struct{ ledger.Ledger }

func (failingSets) OpenEpoch(context.Context, string) error { return ledger.ErrUnavailable }

func TestARefusedKeysetLeavesTheOldOneInForce(t *testing.T) {
	h := issuertest.NewHouse(t)
	unmade := issuertest.NewLeakedKey(t).Denomination(t, h.Key(t, coin.Bearer, 16)) // in no token
	revoking := func(k *coin.Keyset) { k.RevokedSigners = [][32]byte{coin.SignerKey(h.Receipts.Chain[0])} }
	next := func(change func(*coin.Keyset)) func(*issuertest.Bank) []byte {
		return func(b *issuertest.Bank) []byte { return h.Successor(t, b.Keyset(), change) }
	}
	stolen := h.NewReceipts(t)
	tests := []struct {
		name     string
		keyset   func(b *issuertest.Bank) []byte
		receipts issuer.ReceiptSigner
		want     error
		result   string
	}{
		{"an older one", func(*issuertest.Bank) []byte {
			k := h.Draft
			k.IssuedAt = k.IssuedAt.AddDate(0, 0, -1)
			return h.SignKeyset(t, k)
		}, keep, coin.ErrRollback, issuer.ReloadRollback},
		{"another of the same number", func(*issuertest.Bank) []byte {
			return h.Successor(t, h.Keyset, func(k *coin.Keyset) { k.IssuedAt = k.IssuedAt.AddDate(0, 0, 1) })
		}, keep, coin.ErrFork, issuer.ReloadFork},
		{"one of another line", next(func(k *coin.Keyset) { k.Prev = [32]byte{1} }), keep, coin.ErrFork, issuer.ReloadFork},
		{"one that takes back a promise", next(func(k *coin.Keyset) { k.Denominations = k.Denominations[1:] }), keep, coin.ErrKeyset, issuer.ReloadPromise},
		{"one of another bank", func(*issuertest.Bank) []byte {
			k := h.Draft
			k.Bank = "OTHERBANK"
			return h.SignKeyset(t, k)
		}, keep, coin.ErrBank, issuer.ReloadPromise},
		{"one that the master did not sign", func(b *issuertest.Bank) []byte {
			signed := next(nil)(b)
			return append(slices.Clone(signed[:len(signed)-4]), "AAAA"...)
		}, keep, trust.ErrSignature, issuer.ReloadSignature},
		{"one signed by the bank's online key", func(b *issuertest.Bank) []byte {
			k := *b.Keyset()
			k.Seq, k.Prev = k.Seq+1, k.Digest
			payload, err := k.Marshal()
			expect(t, err, nil)
			signed, err := trust.Sign(trust.TypKeyset, payload, h.Receipts.Key, h.Receipts.Chain)
			expect(t, err, nil)
			return signed
		}, keep, trust.ErrRole, issuer.ReloadSignature},
		{"half a file", func(b *issuertest.Bank) []byte {
			signed := next(nil)(b)
			return signed[:len(signed)/2]
		}, keep, trust.ErrMalformed, issuer.ReloadMalformed},
		{"no file", func(*issuertest.Bank) []byte { return nil }, keep, trust.ErrMalformed, issuer.ReloadMalformed},
		{"one with a critical field of a later version", func(b *issuertest.Bank) []byte {
			k := *b.Keyset()
			k.Seq, k.Prev, k.Crit = k.Seq+1, k.Digest, []string{"revoked"}
			payload, err := k.Marshal()
			expect(t, err, nil)
			payload = bytes.Replace(payload, []byte(`"crit":["revoked"]`), []byte(`"crit":["expires"]`), 1)
			signed, err := trust.Sign(trust.TypKeyset, payload, h.Master.Key, h.Master.Chain)
			expect(t, err, nil)
			return signed
		}, keep, coin.ErrCritical, issuer.ReloadMalformed},
		{"one with a key that the token lacks", next(func(k *coin.Keyset) { k.Denominations = append(k.Denominations, unmade) }), keep, coin.ErrUnknownKey, issuer.ReloadKeysMissing},
		{"one that revokes the key of receipts", next(revoking), keep, coin.ErrRevokedSigner, issuer.ReloadSignerRevoked},
		{"a chain for receipts without its key", next(nil), issuer.ReceiptSigner{Chain: stolen.Chain}, issuer.ErrConfig, issuer.ReloadRefused},
		{"another key than the chain's", next(nil), issuer.ReceiptSigner{Key: h.Receipts.Key, Chain: stolen.Chain}, issuer.ErrConfig, issuer.ReloadRefused},
		{"a chain of another role", next(nil), issuer.ReceiptSigner{Key: h.Manager.Key, Chain: h.Manager.Chain}, issuer.ErrConfig, issuer.ReloadRefused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log := &issuertest.Log{}
			b := h.NewBank(t, func(c *issuer.Config) { c.Logger = log.Logger() })
			expect(t, b.Reload(t.Context(), h.Successor(t, b.Keyset(), nil), keep), nil)
			expect(t, b.Reload(t.Context(), tt.keyset(b), tt.receipts), tt.want)
			if b.Keyset().Seq != 2 {
				t.Errorf("keyset %d is in force", b.Keyset().Seq)
			}
			if got := b.Reloads(); got[tt.result] != 1 || got[issuer.ReloadOK] != 1 {
				t.Errorf("counted %v, want one of %s", got, tt.result)
			}
			if len(log.Lines("level=ERROR", "keyset refused", "reason="+tt.result)) != 1 {
				t.Error("the log does not name the reason")
			}
			h.NewPurse(t).Withdraw(t, b, 1) // and the bank goes on
			// The ledger has not moved either: what follows the old one is taken.
			expect(t, b.Reload(t.Context(), h.Successor(t, b.Keyset(), nil), keep), nil)
		})
	}
}

// unsureSigner can't say whether it has a key.
type unsureSigner struct {
	issuer.BlindSigner
	fail error
}

func (s *unsureSigner) Has(ctx context.Context, kid coin.KeyID) error {
	if s.fail != nil {
		return s.fail
	}
	return s.BlindSigner.Has(ctx, kid)
}

func TestAReloadThatCannotBeCheckedNowMayBeRepeated(t *testing.T) {
	h := issuertest.NewHouse(t)
	signer := &unsureSigner{}
	var sets *ledgerSwitch
	b := h.NewBank(t, func(c *issuer.Config) {
		signer.BlindSigner = c.Signer
		sets = &ledgerSwitch{Ledger: c.Ledger}
		c.Signer, c.Ledger = signer, sets
	})
	next := h.Successor(t, b.Keyset(), nil)
	signer.fail = issuertest.ErrInjected
	expect(t, b.Reload(t.Context(), next, keep), issuer.ErrUnavailable)
	_, err := issuer.New(t.Context(), b.Config)
	expect(t, err, issuer.ErrUnavailable)
	signer.fail = nil
	sets.set(failingSets{b.Ledger})
	expect(t, b.Reload(t.Context(), next, keep), issuer.ErrUnavailable)
	if b.Keyset().Seq != 1 {
		t.Fatal("a keyset whose coins can't be taken back is in force")
	}
	sets.set(b.Ledger)
	_, err = issuer.New(t.Context(), b.Config) // the ledger does not know the refused one
	expect(t, err, nil)
	expect(t, b.Reload(t.Context(), next, keep), nil)
	if got := b.Reloads(); got[issuer.ReloadUnavailable] != 2 || got[issuer.ReloadOK] != 1 {
		t.Errorf("counted %v", got)
	}
}

// ledgerSwitch is a ledger that can be exchanged for another.
type ledgerSwitch struct {
	ledger.Ledger
	mu sync.Mutex
	on ledger.Ledger
}

func (s *ledgerSwitch) set(l ledger.Ledger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = l
}

func (s *ledgerSwitch) OpenEpoch(ctx context.Context, epoch string) error {
	s.mu.Lock()
	on := s.on
	s.mu.Unlock()
	if on == nil {
		on = s.Ledger
	}
	return on.OpenEpoch(ctx, epoch)
}

func TestWhatWasRecordedBeforeARevocationIsHonoured(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	account, _ := b.Funded(t, 16)
	p := h.NewPurse(t)
	batch := p.Prepare(t, 8)
	b.Signer.FailNext.Store(1)
	_, err := b.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, issuer.ErrUnavailable) // recorded; the signature is due

	d := h.Key(t, coin.Bearer, 8)
	expect(t, b.Reload(t.Context(), h.Successor(t, b.Keyset(), revoke(d.KeyID)), keep), nil)
	signed, err := b.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, nil)
	coins := batch.Finalize(t, signed.Signatures)
	_, err = b.Withdraw(t.Context(), account, p.Prepare(t, 8).Outputs)
	expect(t, err, coin.ErrRevoked)
	spend, authorisation := p.Exchange(t, coins, p.Prepare(t, 4, 4).Outputs)
	_, err = b.Exchange(t.Context(), spend, authorisation)
	expect(t, err, coin.ErrRevoked)
	b.CheckBooks(t, 8, 0, 8)
}

func revoke(kids ...coin.KeyID) func(*coin.Keyset) {
	return func(k *coin.Keyset) {
		for i := range k.Denominations {
			d := &k.Denominations[i]
			d.Revoked = d.Revoked || slices.Contains(kids, d.KeyID)
		}
	}
}

// meddlingGroups does something while a deposit is being verified.
type meddlingGroups struct {
	issuer.Groups
	meddle func()
}

func (g *meddlingGroups) Verifier(ctx context.Context, group [32]byte) (coin.PresentationVerifier, error) {
	if g.meddle != nil {
		g.meddle()
	}
	return g.Groups.Verifier(ctx, group)
}

func TestARequestEndsByTheKeysetThatItBeganWith(t *testing.T) {
	h := issuertest.NewHouse(t)
	m := h.Admit(t)
	groups := &meddlingGroups{}
	b := h.NewBank(t, func(c *issuer.Config) {
		groups.Groups = c.Groups
		c.Groups = groups
	})
	account, _ := b.Funded(t, 16)
	till, p := b.NewTill(t), h.NewPurse(t)
	batch := p.PrepareBound(t, m, 4, 4)
	signed, err := b.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, nil)
	coins := batch.Finalize(t, signed.Signatures)
	groups.meddle = func() {
		next := h.Successor(t, b.Keyset(), revoke(h.Key(t, coin.Bound, 4).KeyID))
		expect(t, b.Reload(t.Context(), next, keep), nil)
	}
	pay := func(c coin.Coin) error {
		offer := till.Offer(t, 4, nil)
		spend, authorisation := p.AuthoriseBound(t, m, issuertest.Payment(offer, []coin.Coin{c}, nil))
		_, err := b.Deposit(t.Context(), till.Account, till.Deposit(offer, spend, authorisation))
		return err
	}
	expect(t, pay(coins[0]), nil)
	if b.Keyset().Seq != 2 {
		t.Fatal("the keyset did not change under the deposit")
	}
	groups.meddle = nil
	expect(t, pay(coins[1]), coin.ErrRevoked)
	b.CheckBooks(t, 8, 4, 4)
}

func TestKeysetsChangeUnderLoad(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var sums [3]int64
	for i := range sums {
		account, _ := b.Funded(t, 10_000)
		p := h.NewPurse(t)
		load.Go(func() {
			for ctx.Err() == nil {
				batch := p.Prepare(t, 2, 1, 1)
				signed, err := b.Withdraw(t.Context(), account, batch.Outputs)
				if err != nil {
					t.Error(err)
					return
				}
				coins := batch.Finalize(t, signed.Signatures)
				spend, authorisation := p.Exchange(t, coins, p.Prepare(t, 4).Outputs)
				if _, err := b.Exchange(t.Context(), spend, authorisation); err != nil {
					t.Error(err)
					return
				}
				sums[i] += 4
			}
		})
	}
	for range 15 {
		next := h.Successor(t, b.Keyset(), func(k *coin.Keyset) {
			k.Denominations[0].SpendUntil = k.Denominations[0].SpendUntil.AddDate(0, 0, 1)
		})
		if err := b.Reload(t.Context(), next, keep); err != nil {
			t.Error(err)
		}
	}
	stop()
	load.Wait()
	if b.Keyset().Seq != 16 || sums[0] == 0 {
		t.Errorf("keyset %d is in force, %v withdrawn", b.Keyset().Seq, sums)
	}
	total := sums[0] + sums[1] + sums[2]
	b.CheckBooks(t, 30_000-total, 0, total)
}

func TestABankSignsNothingUnderARevokedKeyForReceipts(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	revoked := h.Successor(t, b.Keyset(), func(k *coin.Keyset) {
		k.RevokedSigners = append(k.RevokedSigners, coin.SignerKey(h.Receipts.Chain[0]))
	})
	cfg := b.Config
	cfg.Keyset = revoked
	_, err := issuer.New(t.Context(), cfg)
	expect(t, err, coin.ErrRevokedSigner)
	expect(t, b.Reload(t.Context(), revoked, keep), coin.ErrRevokedSigner)
	expect(t, b.Reload(t.Context(), revoked, h.NewReceipts(t)), nil) // with the key after it
}

func TestAReceiptOfARevokedKeyIsSignedAgain(t *testing.T) {
	s := newShop(t)
	h := s.House
	offer, _, request := s.payment(t)
	first, err := s.Deposit(t.Context(), s.till.Account, request)
	expect(t, err, nil)
	// A new key alone changes nothing of what is recorded.
	receipts := h.NewReceipts(t)
	expect(t, s.Reload(t.Context(), h.KeysetJWS, receipts), nil)
	again, err := s.Deposit(t.Context(), s.till.Account, request)
	expect(t, err, nil)
	if !slices.Equal(again.Receipt, first.Receipt) {
		t.Error("a repeated deposit got another receipt")
	}
	revoking := h.Successor(t, s.Keyset(), func(k *coin.Keyset) {
		k.RevokedSigners = [][32]byte{coin.SignerKey(h.Receipts.Chain[0])}
	})
	expect(t, s.Reload(t.Context(), revoking, keep), nil)
	_, err = s.Keyset().VerifyDepositReceipt(h.Root, first.Receipt, issuertest.Now)
	expect(t, err, coin.ErrRevokedSigner)

	again, err = s.Deposit(t.Context(), s.till.Account, request)
	expect(t, err, nil)
	receipt, err := s.Keyset().VerifyDepositReceipt(h.Root, again.Receipt, issuertest.Now)
	expect(t, err, nil)
	expect(t, receipt.Covers(request.Spend, offer.Offer.Payee), nil)
	op, err := s.Operation(t.Context(), again.Op)
	expect(t, err, nil)
	_, err = s.Keyset().VerifyDepositReceipt(h.Root, op.Receipt, issuertest.Now)
	expect(t, err, nil)
	before, err := h.Root.Verify(first.Receipt, trust.TypReceipt, trust.RoleSigning, issuertest.Now)
	expect(t, err, nil)
	after, err := h.Root.Verify(again.Receipt, trust.TypReceipt, trust.RoleSigning, issuertest.Now)
	expect(t, err, nil)
	if before.Digest != after.Digest {
		t.Error("it says something else")
	}
	s.Clock.Set(issuertest.Now.AddDate(2, 0, 0)) // the new key's certificate has run out too
	_, err = s.Deposit(t.Context(), s.till.Account, request)
	expect(t, err, issuer.ErrUnavailable)
}

func TestNoReceiptIsSignedOutsideTheDatesOfItsCertificate(t *testing.T) {
	s := newShop(t)
	_, _, paid := s.payment(t)
	_, err := s.Deposit(t.Context(), s.till.Account, paid)
	expect(t, err, nil)
	expect(t, s.Ready(t.Context()), nil)
	for _, at := range []struct{ years int }{{-2}, {2}} {
		s.Clock.Set(issuertest.Now.AddDate(at.years, 0, 0))
		if err := s.Ready(t.Context()); !errors.Is(err, issuer.ErrUnavailable) {
			t.Errorf("ready: %v", err)
		}
		_, err = s.Deposit(t.Context(), s.till.Account, paid) // signed when it was recorded
		expect(t, err, nil)
	}
	// Coins outlive the certificate: a payment waits, and nothing is recorded.
	soon := s.House.ReceiptsUntil(t, issuertest.Now.AddDate(0, 1, 0))
	s.Clock.Set(issuertest.Now)
	expect(t, s.Reload(t.Context(), s.House.KeysetJWS, soon), nil)
	s.Clock.Set(soon.Chain[0].NotAfter.AddDate(0, 0, 1))
	offer := s.till.Offer(t, 3, func(o *coin.Offer) { o.Expires = s.Clock.Now().AddDate(0, 0, 1) })
	spend, authorisation := s.purse.Pay(t, offer, s.coins[2:], nil)
	_, err = s.Deposit(t.Context(), s.till.Account, s.till.Deposit(offer, spend, authorisation))
	expect(t, err, issuer.ErrUnavailable)
	_, err = s.Operation(t.Context(), spend.Op())
	expect(t, err, issuer.ErrNotFound)
	expect(t, s.Reload(t.Context(), s.House.KeysetJWS, s.House.Receipts), nil)
	_, err = s.Deposit(t.Context(), s.till.Account, s.till.Deposit(offer, spend, authorisation))
	expect(t, err, nil)
}
