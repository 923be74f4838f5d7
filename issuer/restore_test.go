package issuer_test

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

func TestALostWalletFindsWhatTheBankSigned(t *testing.T) {
	s := newShop(t)
	ctx := t.Context()
	account, _ := s.Funded(t, 3)
	drawn := s.purse.Prepare(t, 2, 1)
	signed, err := s.Withdraw(ctx, account, drawn.Outputs)
	expect(t, err, nil)
	_, change, request := s.payment(t)
	paid, err := s.Deposit(ctx, s.till.Account, request)
	expect(t, err, nil)
	never := s.purse.Prepare(t, 4)

	// Long after the keys issued, and after their coins could be spent.
	s.Clock.Set(issuertest.SpendUntil.AddDate(0, 1, 0))
	asked := slices.Concat(change.Outputs[1:], never.Outputs, drawn.Outputs)
	got, err := s.Restore(ctx, asked)
	expect(t, err, nil)
	want := []issuer.Restored{
		{Op: paid.Op, Index: 1, Signature: paid.Signatures[1]}, {},
		{Op: signed.Op, Index: 0, Signature: signed.Signatures[0]},
		{Op: signed.Op, Index: 1, Signature: signed.Signatures[1]},
	}
	if !slices.EqualFunc(got, want, func(a, b issuer.Restored) bool {
		return a.Op == b.Op && a.Index == b.Index && bytes.Equal(a.Signature, b.Signature)
	}) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	drawn.Finalize(t, [][]byte{got[2].Signature, got[3].Signature})
}

func TestARestoreIsRefused(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, func(c *issuer.Config) {
		limits := issuer.DefaultLimits()
		limits.RestoreOutputs = 2
		c.Limits = &limits
	})
	tests := []struct {
		name    string
		outputs []coin.Output
		want    error
	}{
		{"of nothing", nil, issuer.ErrMalformed},
		{"of more than the bank answers at once", h.NewPurse(t).Prepare(t, 1, 2, 4).Outputs, coin.ErrTooLarge},
		{"under a key that the bank does not have", output(t, h, 1, func(o *coin.Output) { o.KeyID[0] ^= 1 }), coin.ErrUnknownKey},
		{"of what no token may be asked to sign", output(t, h, 1, func(o *coin.Output) { clear(o.Blinded) }), coin.ErrOutput},
		{"of what was never signed", h.NewPurse(t).Prepare(t, 1, 2).Outputs, nil},
		{"under a key that issues no more", output(t, h, issuertest.ValueExpired, nil), nil},
		{"under a revoked key", output(t, h, issuertest.ValueRevoked, nil), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := b.Restore(t.Context(), tt.outputs)
			expect(t, err, tt.want)
			for _, r := range got {
				if r.Op != (ledger.ID{}) || r.Signature != nil {
					t.Errorf("the bank knows of an output that it never signed: %+v", r)
				}
			}
		})
	}
}

func TestARestoreWaitsForTheToken(t *testing.T) {
	s := newShop(t)
	account, _ := s.Funded(t, 1)
	batch := s.purse.Prepare(t, 1)
	_, err := s.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, nil)
	s.Signer.FailNext.Store(1)
	_, err = s.Restore(t.Context(), batch.Outputs)
	expect(t, err, issuer.ErrUnavailable)
	got, err := s.Restore(t.Context(), batch.Outputs)
	expect(t, err, nil)
	batch.Finalize(t, [][]byte{got[0].Signature})
}

func TestASignatureThatWillNeverBeIsFoundWithoutOne(t *testing.T) {
	w := newWreck(t, nil)
	batch := w.purse.Prepare(t, 16)
	w.withdraw(t, w.holder, batch)
	w.lost(t, batch.Outputs[0].KeyID)
	got, err := w.Restore(t.Context(), batch.Outputs)
	expect(t, err, nil)
	if got[0].Op == (ledger.ID{}) || len(got[0].Signature) != 0 {
		t.Errorf("got %+v", got[0])
	}
}

// TestAKeyThatIsDestroyedInItsTimeHoldsNothingElseUp: what a key signed can't be
// signed again once it is gone, and all else is answered.
func TestAKeyThatIsDestroyedInItsTimeHoldsNothingElseUp(t *testing.T) {
	s := newRescue(t)
	ctx := t.Context()
	short := s.House.NewKey(t, s.House.Key(t, coin.Bearer, 2))
	short.IssueUntil, short.SpendUntil, short.LegalUntil = issuertest.Now.Add(hour), issuertest.Now.Add(mark), issuertest.Now.Add(2*mark)
	s.publish(t, func(k *coin.Keyset) { k.Denominations = append(k.Denominations, short) })
	coins := s.draw(t, 8)
	change := s.purse.PrepareUnder(t, &short, s.House.Key(t, coin.Bearer, 1))
	offer := s.till.Offer(t, 5, nil)
	spend, authorisation := s.purse.Pay(t, offer, coins, change.Outputs)
	request := s.till.Deposit(offer, spend, authorisation)
	paid, err := s.Deposit(ctx, s.till.Account, request)
	expect(t, err, nil)
	// Tills repeat old deposits beside new ones when a bank was restored.
	again := func(signed bool) {
		t.Helper()
		got, err := s.Redeposit(ctx, s.till.Account, request, paid.Receipt)
		expect(t, err, nil)
		if !bytes.Equal(got.Receipt, paid.Receipt) || (len(got.Signatures[0]) != 0) != signed || !bytes.Equal(got.Signatures[1], paid.Signatures[1]) {
			t.Errorf("the repetition got %+v", got)
		}
	}

	s.Clock.Set(short.SpendUntil.Add(-time.Second))
	again(true)
	s.token.lose(short.KeyID)
	_, err = s.Restore(ctx, change.Outputs)
	expect(t, err, issuer.ErrUnavailable) // not before its time
	s.Clock.Set(short.SpendUntil)
	got, err := s.Restore(ctx, change.Outputs)
	expect(t, err, nil)
	if got[0].Op != paid.Op || len(got[0].Signature) != 0 || !bytes.Equal(got[1].Signature, paid.Signatures[1]) {
		t.Errorf("got %+v", got)
	}
	again(false)

	// And when the keyset has forgotten the key.
	s.Clock.Set(short.LegalUntil)
	s.publish(t, func(k *coin.Keyset) {
		k.IssuedAt = s.Clock.Now()
		k.Denominations = slices.DeleteFunc(k.Denominations, func(d coin.Denomination) bool { return d.KeyID == short.KeyID })
	})
	again(false)
}

func TestCoinsAreUnspentHeldOrSpent(t *testing.T) {
	s := newShop(t)
	ctx := t.Context()
	_, _, request := s.payment(t)
	_, err := s.Deposit(ctx, s.till.Account, request)
	expect(t, err, nil)
	var refs []issuer.CoinRef
	for i := range s.coins {
		refs = append(refs, issuer.CoinRef{KeyID: s.coins[i].KeyID, ID: s.coins[i].ID()})
	}
	hold := ledger.Hold{ID: ledger.ID{1}, Account: s.till.Account.ID, Amount: 1, At: issuertest.Now, Until: issuertest.Now.Add(time.Minute)}
	for _, c := range s.coins[3:] {
		hold.Coins = append(hold.Coins, ledger.Spend{Epoch: s.epochOf(t, c.KeyID), ID: c.ID(), Value: 1})
	}
	out, err := s.Ledger.PlaceHold(ctx, hold, ledger.HoldLimits{})
	expect(t, err, nil)
	if out.Status != ledger.Applied {
		t.Fatalf("ledger answered %s", out.Status)
	}
	states := func() []issuer.CoinState {
		got, err := s.CoinStates(ctx, refs)
		expect(t, err, nil)
		return got
	}
	spent, unspent, held := issuer.CoinSpent, issuer.CoinUnspent, issuer.CoinHeld
	if got, want := states(), []issuer.CoinState{spent, spent, unspent, held}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s.Clock.Set(hold.Until)
	if got, want := states(), []issuer.CoinState{spent, spent, unspent, unspent}; !slices.Equal(got, want) {
		t.Errorf("after the hold: got %v, want %v", got, want)
	}
	_, err = s.CoinStates(ctx, nil)
	expect(t, err, issuer.ErrMalformed)
	_, err = s.CoinStates(ctx, make([]issuer.CoinRef, issuer.DefaultLimits().RestoreOutputs+1))
	expect(t, err, coin.ErrTooLarge)
	_, err = s.CoinStates(ctx, []issuer.CoinRef{{KeyID: coin.KeyID{1}}})
	expect(t, err, coin.ErrUnknownKey)
}

// epochOf is the spent set that coins of a key are in.
func (s *shop) epochOf(t *testing.T, kid coin.KeyID) string {
	t.Helper()
	batch := s.purse.PrepareUnder(t, s.House.Key(t, coin.Bearer, 1))
	account, _ := s.Funded(t, 1)
	signed, err := s.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, nil)
	spend, authorisation := s.purse.Exchange(t, batch.Finalize(t, signed.Signatures), s.purse.Prepare(t, 1).Outputs)
	_, err = s.Exchange(t.Context(), spend, authorisation)
	expect(t, err, nil)
	op, err := s.Ledger.Op(t.Context(), spend.Op())
	expect(t, err, nil)
	if spend.Coins[0].KeyID != kid {
		t.Fatal("a coin of another key")
	}
	return op.Spends[0].Epoch
}

func TestEveryKeysetThatTheBankWorkedUnderIsKept(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	next := h.Successor(t, h.Keyset, nil)
	expect(t, b.Reload(t.Context(), next, issuer.ReceiptSigner{}), nil)
	for seq, want := range map[uint64][]byte{1: h.KeysetJWS, 2: next} {
		got, err := b.ArchivedKeyset(t.Context(), seq)
		expect(t, err, nil)
		if !bytes.Equal(got, want) {
			t.Errorf("keyset %d is another", seq)
		}
	}
	for _, seq := range []uint64{0, 3} {
		_, err := b.ArchivedKeyset(t.Context(), seq)
		expect(t, err, issuer.ErrNotFound)
	}
	k, err := coin.ParseKeyset(h.Root, next, issuertest.Now)
	expect(t, err, nil)
	if k.Prev != h.Keyset.Digest || sha256.Sum256(next) == sha256.Sum256(h.KeysetJWS) {
		t.Error("the archive does not chain")
	}
}
