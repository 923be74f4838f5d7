package wallet_test

import (
	"net/http"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// sale is a payment of 13 by alice, deposited.
func sale(t *testing.T, kind coin.Kind) (*wallettest.Town, *wallettest.Shop, *wallettest.Holder, *wallet.Payment, [32]byte) {
	t.Helper()
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	if kind == coin.Bound {
		alice.Enrol(t, registrationtest.TPMA)
	}
	alice.Draw(t, 16, kind)
	_, link := shop.Offer(t, merchant.OfferRequest{Amount: 13})
	p, err := alice.PreparePayment(t.Context(), link)
	must(t, err)
	shown, err := alice.Show(t.Context(), p)
	must(t, err)
	if shown.State != merchant.StateHeld || shown.Until == nil {
		t.Fatalf("shown: %+v", shown)
	}
	must(t, alice.Submit(t.Context(), p))
	s, _, err := coin.DecodeSpend(p.Spend)
	must(t, err)
	worth(t, alice, 3, 0)
	return town, shop, alice, p, s.Op()
}

func TestARefundComesBackAsCoins(t *testing.T) {
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		t.Run(string(kind), func(t *testing.T) {
			town, shop, alice, p, op := sale(t, kind)
			ctx := t.Context()
			_, err := alice.Refund(ctx, p.ID)
			want(t, err, wallet.ErrNoRefund)
			for _, amount := range []coin.Amount{4, 1} { // two to be collected at once
				_, err = shop.OfferRefund(ctx, op, amount, nil)
				must(t, err)
			}
			got, err := alice.Refund(ctx, p.ID)
			must(t, err)
			if got != 5 {
				t.Errorf("%d came back", got)
			}
			worth(t, alice, 8, 0)
			balance, err := alice.Balance(ctx)
			must(t, err)
			if balance.ByKind[kind] != 8 {
				t.Errorf("the coins are %v", balance.ByKind)
			}
			holds(t, town, shop.Account, 8)
			_, err = alice.Refund(ctx, p.ID)
			want(t, err, wallet.ErrNoRefund)
			// They are money like any other, and pay again.
			_, link := shop.Offer(t, merchant.OfferRequest{Amount: 8})
			_, err = alice.Pay(ctx, link)
			must(t, err)
			holds(t, town, shop.Account, 16)
			town.CheckBooks(t)
		})
	}
}

// TestALostRefundIsResumed: wherever it is lost, and also with the till or the
// shop gone for good.
func TestALostRefundIsResumed(t *testing.T) {
	cases := map[string]struct {
		fate wallettest.Fate
		gone bool // the till, afterwards
	}{
		"the claim is lost":              {wallettest.LoseRequest, false},
		"the till's answer is lost":      {wallettest.LoseAnswer, false},
		"the till's answer, and then it": {wallettest.LoseAnswer, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			town, shop, alice, p, op := sale(t, coin.Bearer)
			_, err := shop.OfferRefund(t.Context(), op, 0, nil)
			must(t, err)
			lost := false
			alice.Wire.Decree(func(r *http.Request) wallettest.Fate {
				if lost || r.Method != http.MethodPost || r.URL.Path != "/pay/refunds" {
					return wallettest.Deliver
				}
				lost = true
				return c.fate
			})
			_, err = alice.Refund(t.Context(), p.ID)
			want(t, err, wallet.ErrOpen)
			worth(t, alice, 3, 0)
			alice.Reopen(t)
			shop.Gate.Shut(c.gone)
			_, err = alice.Resume(t.Context())
			must(t, err)
			worth(t, alice, 16, 0)
			holds(t, town, shop.Account, 0)
			town.CheckBooks(t)
		})
	}
}
