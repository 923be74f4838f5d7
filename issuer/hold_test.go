package issuer_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

// holdOf is what a merchant asks to be held before the deposit comes.
func holdOf(r *issuer.DepositRequest) *issuer.HoldRequest {
	return &issuer.HoldRequest{Offer: r.Offer, PayeeSalt: r.PayeeSalt, Spend: r.Spend}
}

// wantHeld fails unless err is a HeldError until then.
func wantHeld(t *testing.T, err error, until time.Time, struck bool) {
	t.Helper()
	var held *issuer.HeldError
	if !errors.As(err, &held) || !errors.Is(err, issuer.ErrHeld) || !held.Until.Equal(until) || held.Struck != struck {
		t.Fatalf("got %v, want held until %s, struck %t", err, until, struck)
	}
}

// breakBearer gives a request another signature than the owner's, which varies
// with n.
func breakBearer(r *issuer.DepositRequest, n byte) *issuer.DepositRequest {
	wrong := *r
	wrong.Authorisation = &coin.Authorisation{Bearer: slices.Clone(r.Authorisation.Bearer)}
	wrong.Authorisation.Bearer[0] = slices.Clone(wrong.Authorisation.Bearer[0])
	wrong.Authorisation.Bearer[0][n] ^= 1
	return &wrong
}

func TestHeldCoinsAreNobodyElses(t *testing.T) {
	s := newShop(t)
	ctx := t.Context()
	offer, change, request := s.payment(t)
	held, err := s.Hold(ctx, s.till.Account, holdOf(request))
	expect(t, err, nil)
	until := issuertest.Now.Add(time.Minute)
	if held.Op != request.Spend.Op() || !held.Until.Equal(until) {
		t.Fatalf("held %+v", held)
	}
	again, err := s.Hold(ctx, s.till.Account, holdOf(request))
	expect(t, err, nil)
	if *again != *held {
		t.Errorf("the repetition got %+v, not %+v", again, held)
	}

	other := s.NewTill(t)
	elsewhere := other.Offer(t, 8, nil)
	spend, authorisation := s.purse.Pay(t, elsewhere, s.coins[:1], nil)
	payElsewhere := other.Deposit(elsewhere, spend, authorisation)
	exchanged, exchangeAuth := s.purse.Exchange(t, s.coins[:1], s.purse.Prepare(t, 8).Outputs)
	void, voidAuth := s.purse.Void(t, offer, s.coins[:2], s.purse.Prepare(t, 8, 4).Outputs)
	part, partAuth := s.purse.Void(t, offer, s.coins[:1], s.purse.Prepare(t, 8).Outputs)
	sameTill := s.till.Offer(t, 8, nil)
	spend, authorisation = s.purse.Pay(t, sameTill, s.coins[:1], nil)
	payAgain := s.till.Deposit(sameTill, spend, authorisation)
	attempts := map[string]func() error{
		"another merchant's check":            func() error { _, err := s.Hold(ctx, other.Account, holdOf(payElsewhere)); return err },
		"another merchant's deposit":          func() error { _, err := s.Deposit(ctx, other.Account, payElsewhere); return err },
		"with a wrong signature":              func() error { _, err := s.Deposit(ctx, other.Account, breakBearer(payElsewhere, 0)); return err },
		"the same merchant's other offer":     func() error { _, err := s.Deposit(ctx, s.till.Account, payAgain); return err },
		"the same payment at another account": func() error { _, err := s.Deposit(ctx, other.Account, request); return err },
		"its check at another account":        func() error { _, err := s.Hold(ctx, other.Account, holdOf(request)); return err },
		"an exchange":                         func() error { _, err := s.Exchange(ctx, exchanged, exchangeAuth); return err },
		"an exchange nobody authorised": func() error {
			_, err := s.Exchange(ctx, exchanged, &coin.Authorisation{Bearer: partAuth.Bearer})
			return err
		},
		"the payer's own void": func() error { _, err := s.Exchange(ctx, void, voidAuth); return err },
		"a void that nobody authorised": func() error {
			_, err := s.Exchange(ctx, void, &coin.Authorisation{Bearer: request.Authorisation.Bearer})
			return err
		},
		"a void of one coin of it": func() error { _, err := s.Exchange(ctx, part, partAuth); return err },
		"a recoup": func() error {
			r, a := s.purse.Authorise(t, coin.Spend{
				Purpose: coin.Recoup, Bank: issuertest.BankID, Currency: "EUR", OfferDigest: offer.Digest, Coins: s.coins[:2],
				ToIssuer: s.purse.Prepare(t, 8, 4).Outputs, IssuedAt: issuertest.Now.Unix(),
			})
			_, err := s.Recoup(ctx, r, a, nil)
			return err
		},
	}
	for name, try := range attempts {
		t.Run(name, func(t *testing.T) { wantHeld(t, try(), until, false) })
	}
	cases, _, err := s.Cases(ctx, ledgerPage)
	expect(t, err, nil)
	if len(cases) != 0 {
		t.Errorf("%d cases for coins that are not spent", len(cases))
	}
	s.CheckBooks(t, 0, 0, 15)

	done, err := s.Deposit(ctx, s.till.Account, request)
	expect(t, err, nil)
	change.Finalize(t, done.Signatures)
	_, err = s.Hold(ctx, s.till.Account, holdOf(request))
	expect(t, err, issuer.ErrConflict) // it is deposited
	_, err = s.Deposit(ctx, other.Account, payElsewhere)
	expect(t, err, issuer.ErrDoubleSpend)
	s.CheckBooks(t, 0, 10, 5)
}

func TestAHoldEndsByItselfOrWhenItIsReleased(t *testing.T) {
	ends := map[string]struct {
		end  func(s *shop, op ledger.ID)
		want error
	}{
		"its time is over":                {func(s *shop, _ ledger.ID) { s.Clock.Set(issuertest.Now.Add(time.Minute)) }, nil},
		"a second before, it is not":      {func(s *shop, _ ledger.ID) { s.Clock.Set(issuertest.Now.Add(59 * time.Second)) }, issuer.ErrHeld},
		"the merchant lets go":            {func(s *shop, op ledger.ID) { expect(t, s.ReleaseHold(t.Context(), s.till.Account, op), nil) }, nil},
		"the clock jumps ahead":           {func(s *shop, _ ledger.ID) { s.Clock.Set(issuertest.Now.Add(10 * time.Hour)) }, nil},
		"the clock jumps back, it is not": {func(s *shop, _ ledger.ID) { s.Clock.Set(issuertest.Now.Add(-time.Hour)) }, issuer.ErrHeld},
		"it was ahead and is right again": {func(s *shop, _ ledger.ID) { s.Clock.Set(issuertest.Now.Add(time.Hour)); s.Clock.Set(issuertest.Now) }, issuer.ErrHeld},
		"back and past the end, it is again": {func(s *shop, _ ledger.ID) {
			s.Clock.Set(issuertest.Now.Add(-time.Hour))
			s.Clock.Set(issuertest.Now.Add(61 * time.Second))
		}, nil},
	}
	for name, tt := range ends {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			ctx := t.Context()
			offer, _, request := s.payment(t)
			held, err := s.Hold(ctx, s.till.Account, holdOf(request))
			expect(t, err, nil)
			tt.end(s, held.Op)
			void, authorisation := s.purse.Void(t, offer, s.coins[:2], s.purse.Prepare(t, 8, 4).Outputs)
			_, err = s.Exchange(ctx, void, authorisation)
			expect(t, err, tt.want)
			_, err = s.Deposit(ctx, s.till.Account, request)
			if tt.want == nil {
				expect(t, err, issuer.ErrConflict) // the payer was first
			} else {
				expect(t, err, nil) // the merchant's own deposit goes through
			}
		})
	}
}

func TestOnlyWhoHoldsReleases(t *testing.T) {
	s := newShop(t)
	_, _, request := s.payment(t)
	held, err := s.Hold(t.Context(), s.till.Account, holdOf(request))
	expect(t, err, nil)
	expect(t, s.ReleaseHold(t.Context(), s.NewTill(t).Account, held.Op), issuer.ErrNotFound)
	expect(t, s.ReleaseHold(t.Context(), s.till.Account, ledger.ID{1}), issuer.ErrNotFound)
	for range 2 {
		expect(t, s.ReleaseHold(t.Context(), s.till.Account, held.Op), nil)
	}
	_, err = s.Hold(t.Context(), s.till.Account, holdOf(request))
	expect(t, err, issuer.ErrHoldEnded)
	_, err = s.Deposit(t.Context(), s.till.Account, request)
	expect(t, err, nil)
}

func TestAHoldIsRefused(t *testing.T) {
	s := newShop(t)
	b := newBoundShop(t)
	ctx := t.Context()
	_, _, request := s.payment(t)
	other := s.NewTill(t)
	holder, _ := s.Funded(t, 1)
	suspended := *s.till.Account
	suspended.Suspended = true
	bound := holdOf(b.pay(t, b.till, 8, b.bound[0]))
	withoutGroups := b.Config
	withoutGroups.Groups = nil
	noGroups, err := issuer.New(ctx, withoutGroups)
	expect(t, err, nil)
	exchange, _ := s.purse.Exchange(t, s.coins[:1], s.purse.Prepare(t, 8).Outputs)
	with := func(change func(*issuer.HoldRequest)) *issuer.HoldRequest {
		r := holdOf(request)
		change(r)
		return r
	}
	tests := []struct {
		name    string
		bank    *issuer.Bank
		account *issuer.Account
		request *issuer.HoldRequest
		want    error
	}{
		{"of a holder", s.Bank.Bank, holder, holdOf(request), issuer.ErrForbidden},
		{"of a suspended merchant", s.Bank.Bank, &suspended, holdOf(request), issuer.ErrSuspended},
		{"of another merchant's offer", s.Bank.Bank, other.Account, holdOf(request), coin.ErrForeignOffer},
		{"for an exchange", s.Bank.Bank, s.till.Account, with(func(r *issuer.HoldRequest) { r.Spend = exchange }), coin.ErrPurpose},
		{"that does not open the payee", s.Bank.Bank, s.till.Account, with(func(r *issuer.HoldRequest) { r.PayeeSalt[0] ^= 1 }), coin.ErrForeignOffer},
		{"of another offer than the spend's", s.Bank.Bank, s.till.Account, with(func(r *issuer.HoldRequest) { r.Offer = s.till.Offer(t, 10, nil).Public }), coin.ErrForeignOffer},
		{"of coins that are worth less", s.Bank.Bank, s.till.Account, with(func(r *issuer.HoldRequest) { c := *r.Spend; c.Coins = c.Coins[:1]; r.Spend = &c }), coin.ErrAmount},
		{"of a coin that the bank did not sign", s.Bank.Bank, s.till.Account, with(func(r *issuer.HoldRequest) {
			c := *r.Spend
			c.Coins = slices.Clone(c.Coins)
			c.Coins[0].Signature = slices.Clone(c.Coins[0].Signature)
			c.Coins[0].Signature[9] ^= 1
			r.Spend = &c
		}), coin.ErrCoinSignature},
		{"of bound coins where no group is taken", noGroups, b.till.Account, bound, coin.ErrBinding},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.bank.Hold(ctx, tt.account, tt.request)
			expect(t, err, tt.want)
		})
	}
	t.Run("after the offer's end", func(t *testing.T) {
		s.Clock.Set(issuertest.Now.Add(time.Hour))
		_, err := s.Hold(ctx, s.till.Account, holdOf(request))
		expect(t, err, coin.ErrOfferExpired)
		s.Clock.Set(issuertest.Now)
	})
	_, err = s.Hold(ctx, s.till.Account, holdOf(request))
	expect(t, err, nil) // nothing of it was held
}

func TestAHoldOfASpentCoinShowsTheSpendAndFilesNoCase(t *testing.T) {
	s := newBoundShop(t)
	_, err := s.Deposit(t.Context(), s.till.Account, s.pay(t, s.till, 12, s.bound...))
	expect(t, err, nil)
	other := s.NewTill(t)
	second := s.pay(t, other, 8, s.bound[0])
	_, err = s.Hold(t.Context(), other.Account, holdOf(second))
	var refusal *issuer.DoubleSpendError
	if !errors.As(err, &refusal) {
		t.Fatalf("got %v", err)
	}
	verifier, err := s.Config.Groups.Verifier(t.Context(), second.Spend.Group)
	expect(t, err, nil)
	expect(t, refusal.Proof.Verify(second.Spend, s.House.Keyset, verifier), nil)
	cases, _, err := s.Cases(t.Context(), ledgerPage)
	expect(t, err, nil)
	if len(cases) != 0 {
		t.Fatal("a case without an authorisation")
	}
}

func TestHoldsAreLimited(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, func(c *issuer.Config) {
		c.Limits = &issuer.Limits{OpenHolds: 2, HoldsPerCoin: 2, HoldTime: 30 * time.Second}
	})
	till, purse := b.NewTill(t), h.NewPurse(t)
	coins := purse.Withdraw(t, b, 4, 4, 4)
	hold := func(c coin.Coin) error {
		offer := till.Offer(t, 4, func(o *coin.Offer) { o.Expires = issuertest.Now.Add(24 * time.Hour) })
		spend, authorisation := purse.Pay(t, offer, []coin.Coin{c}, nil)
		_, err := b.Hold(t.Context(), till.Account, holdOf(till.Deposit(offer, spend, authorisation)))
		return err
	}
	limited := func(err error, name string, most int64, until time.Time) {
		t.Helper()
		var limit *issuer.LimitError
		if !errors.As(err, &limit) || !errors.Is(err, issuer.ErrLimit) || limit.Name != name || limit.Max != most || !limit.Until.Equal(until) {
			t.Fatalf("got %v until %v, want %s %d until %s", err, limit, name, most, until)
		}
	}
	expect(t, hold(coins[0]), nil)
	b.Clock.Set(issuertest.Now.Add(time.Second))
	expect(t, hold(coins[1]), nil)
	limited(hold(coins[2]), issuer.LimitOpenHolds, 2, issuertest.Now.Add(30*time.Second))
	b.Clock.Set(issuertest.Now.Add(40 * time.Second))
	expect(t, hold(coins[0]), nil)
	b.Clock.Set(issuertest.Now.Add(80 * time.Second))
	limited(hold(coins[0]), issuer.LimitHoldsPerCoin, 2, issuertest.Now.Add(80*time.Second+time.Hour))
	expect(t, hold(coins[1]), nil)
	b.Clock.Set(issuertest.Now.Add(2 * time.Hour))
	expect(t, hold(coins[0]), nil)
}

func TestOneOfManyMerchantsHoldsACoin(t *testing.T) {
	s := newShop(t)
	var group sync.WaitGroup
	var won, lost atomic.Int64
	tills := make([]*issuer.HoldRequest, 12)
	accounts := make([]*issuer.Account, len(tills))
	for i := range tills {
		till := s.NewTill(t)
		offer := till.Offer(t, 8, nil)
		spend, authorisation := s.purse.Pay(t, offer, s.coins[:1], nil)
		tills[i], accounts[i] = holdOf(till.Deposit(offer, spend, authorisation)), till.Account
	}
	for i := range tills {
		group.Go(func() {
			switch _, err := s.Hold(t.Context(), accounts[i], tills[i]); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, issuer.ErrHeld):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 || lost.Load() != int64(len(tills))-1 {
		t.Errorf("%d hold the coin, %d were refused", won.Load(), lost.Load())
	}
}

func TestHoldsOfLongAgoAreForgotten(t *testing.T) {
	s := newShop(t)
	_, _, request := s.payment(t)
	held, err := s.Hold(t.Context(), s.till.Account, holdOf(request))
	expect(t, err, nil)
	for _, later := range []time.Duration{23 * time.Hour, 25 * time.Hour} {
		s.Clock.Set(issuertest.Now.Add(later))
		offer := s.till.Offer(t, 2, func(o *coin.Offer) { o.Expires = s.Clock.Now().Add(time.Minute) })
		spend, authorisation := s.purse.Pay(t, offer, s.coins[2:3], nil)
		_, err = s.Hold(t.Context(), s.till.Account, holdOf(s.till.Deposit(offer, spend, authorisation)))
		expect(t, err, nil)
		_, err := s.Ledger.Hold(t.Context(), held.Op)
		if forgotten := errors.Is(err, ledger.ErrNotFound); forgotten != (later > 24*time.Hour) {
			t.Errorf("after %s: %v", later, fmt.Sprint(err))
		}
	}
}
