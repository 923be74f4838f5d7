package merchant_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/wallet/wallettest"
)

// shownPart is a payment without its authorisation.
func shownPart(t testing.TB, spend []byte) []byte {
	t.Helper()
	s, _, err := coin.DecodeSpend(spend)
	must(t, err)
	out, err := coin.EncodeShown(s)
	must(t, err)
	return out
}

func wantState(t testing.TB, shop *wallettest.Shop, state string) {
	t.Helper()
	if got := taking(t, shop); got.State != state || (got.Until != nil) != (state == merchant.StateHeld) {
		t.Fatalf("the payment is %s until %v, want %s", got.State, got.Until, state)
	}
}

func TestCoinsAreCheckedHeldAndDeposited(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	offer, spend := payment(t, town, shop)
	waiting, err := shop.Waiting(t.Context())
	must(t, err)
	if len(waiting) != 1 || waiting[0].Order != "table 7" || waiting[0].Amount != 5 || string(waiting[0].Offer) != string(offer.Digest[:]) {
		t.Fatalf("waiting: %+v", waiting)
	}
	shown := shownPart(t, spend)
	_, err = shop.Show(t.Context(), spend) // with its authorisation
	refused(t, err, "malformed")
	for range 2 {
		held, err := shop.Show(t.Context(), shown)
		must(t, err)
		if held.State != merchant.StateHeld || held.Until == nil || !held.Until.After(town.Now()) {
			t.Fatalf("held %+v", held)
		}
		wantState(t, shop, merchant.StateHeld)
		shop.Reopen(t) // and it is on the disk
	}
	if waiting, err = shop.Waiting(t.Context()); err != nil || len(waiting) != 0 {
		t.Errorf("still waiting: %+v, %v", waiting, err)
	}

	// A payer who sends wrong authorisations harms nobody: none goes to the bank.
	for i := range 5 {
		wrong := edit(t, spend, func(m map[string]any) {
			b := []byte(m["bearer"].([]any)[0].(string))
			if b[i] = 'A' + b[i]%2; string(b) == m["bearer"].([]any)[0] {
				b[i] = 'C'
			}
			m["bearer"] = []any{string(b)}
		})
		_, err := shop.Accept(t.Context(), wrong)
		refused(t, err, "owner-signature")
		wantState(t, shop, merchant.StateHeld)
	}
	_, err = shop.Accept(t.Context(), spend)
	must(t, err)
	wantState(t, shop, merchant.StateDeposited)
	holds(t, town, shop.Account, 5)
	after, err := shop.Show(t.Context(), shown)
	must(t, err)
	if after.State != merchant.StateDeposited {
		t.Errorf("shown again: %+v", after)
	}
	town.CheckBooks(t)
}

func TestAHoldIsNoConditionOfAPayment(t *testing.T) {
	ways := map[string]func(town *wallettest.Town, shop *wallettest.Shop, op [32]byte){
		"it is over": func(town *wallettest.Town, _ *wallettest.Shop, _ [32]byte) { town.Group.Clock.Forward(2 * time.Minute) },
		"the merchant let go": func(_ *wallettest.Town, shop *wallettest.Shop, op [32]byte) {
			must(t, shop.Release(t.Context(), op))
			want(t, shop.Release(t.Context(), op), merchant.ErrNotHeld)
		},
	}
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			town := wallettest.New(t)
			shop := town.NewShop(t)
			_, spend := payment(t, town, shop)
			_, err := shop.Show(t.Context(), shownPart(t, spend))
			must(t, err)
			s, _, err := coin.DecodeSpend(spend)
			must(t, err)
			end(town, shop, s.Op())
			wantState(t, shop, merchant.StateChecked)
			again, err := shop.Show(t.Context(), shownPart(t, spend))
			must(t, err)
			if again.State != merchant.StateChecked || again.Until != nil { // one offer holds the same coins once
				t.Errorf("held again: %+v", again)
			}
			_, err = shop.Accept(t.Context(), spend)
			must(t, err)
			holds(t, town, shop.Account, 5)
		})
	}
	t.Run("the bank is away", func(t *testing.T) {
		town := wallettest.New(t)
		shop := town.NewShop(t)
		_, spend := payment(t, town, shop)
		town.BankGate.Shut(true)
		shown, err := shop.Show(t.Context(), shownPart(t, spend))
		must(t, err)
		if shown.State != merchant.StateChecked {
			t.Fatalf("%+v", shown)
		}
		town.BankGate.Shut(false)
		shown, err = shop.Show(t.Context(), shownPart(t, spend))
		must(t, err)
		if shown.State != merchant.StateHeld {
			t.Fatalf("%+v", shown)
		}
	})
}

func TestCoinsThatAreHeldElsewhereComeBackLater(t *testing.T) {
	town := wallettest.New(t)
	shop, other := town.NewShop(t), town.NewShop(t)
	crook := town.NewCrook(t, -1)
	coins := crook.Draw(t, coin.Bearer, 4)
	first, _ := other.Offer(t, merchant.OfferRequest{Amount: 4})
	must2(t)(other.Show(t.Context(), shownPart(t, crook.Authorise(t, crook.Payment(first, coins[0]), nil))))
	offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 4})
	spend := crook.Authorise(t, crook.Payment(offer, coins[0]), nil)
	_, err := shop.Show(t.Context(), shownPart(t, spend))
	if r := refused(t, err, client.CodeHeld); r.RetryAfter <= 0 {
		t.Error("no time to wait")
	}
	_, err = shop.Accept(t.Context(), spend)
	refused(t, err, client.CodeHeld)
	want(t, err, merchant.ErrOpen)
	wantState(t, shop, merchant.StateSubmitted)
	town.Group.Clock.Forward(2 * time.Minute)
	must(t, shop.Resume(t.Context()))
	wantState(t, shop, merchant.StateDeposited)
	holds(t, town, shop.Account, 4)
}

func TestShownCoinsThatAreSpentAreRefusedWithProof(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	crook := town.NewCrook(t, -1)
	coins := crook.Draw(t, coin.Bearer, 4)
	pay := func() []byte {
		offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 4})
		return crook.Authorise(t, crook.Payment(offer, coins[0]), nil)
	}
	must2(t)(shop.Accept(t.Context(), pay()))
	_, err := shop.Show(t.Context(), shownPart(t, pay()))
	if r := refused(t, err, "double-spend"); len(r.Conflict) == 0 {
		t.Error("no proof")
	}
	// A bank that says so and shows nothing is not believed.
	answerWith(&town.BankGate, "/v1/holds", http.StatusConflict, "application/problem+json", `{"code":"double-spend","title":"x","status":409}`)
	fresh := crook.Draw(t, coin.Bearer, 4)
	offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 4})
	shown, err := shop.Show(t.Context(), shownPart(t, crook.Authorise(t, crook.Payment(offer, fresh[0]), nil)))
	must(t, err)
	if shown.State != merchant.StateChecked {
		t.Errorf("%+v", shown)
	}
}

// must2 fails on the error of a call with another result.
func must2(t testing.TB) func(any, error) {
	return func(_ any, err error) { t.Helper(); must(t, err) }
}

func TestOnlyThePayerCollectsARefund(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	crook := town.NewCrook(t, -1)
	coins := crook.Draw(t, coin.Bearer, 4, 4)
	offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 4})
	spend := crook.Authorise(t, crook.Payment(offer, coins[0]), nil)
	paid, _, err := coin.DecodeSpend(spend)
	must(t, err)
	_, err = shop.OfferRefund(t.Context(), paid.Op(), 0, nil)
	want(t, err, merchant.ErrNoPayment)
	must2(t)(shop.Accept(t.Context(), spend))
	_, err = shop.OfferRefund(t.Context(), paid.Op(), 5, nil)
	want(t, err, merchant.ErrRefund)
	r, err := shop.OfferRefund(t.Context(), paid.Op(), 0, nil)
	must(t, err)
	if r.Amount != 4 {
		t.Fatalf("offered %+v", r)
	}
	_, err = shop.OfferRefund(t.Context(), paid.Op(), 1, nil)
	want(t, err, merchant.ErrRefund)
	claim := func(s []byte) error {
		var c client.RefundClaim
		c.Refund = r.ID
		must(t, json.Unmarshal(s, &c.Spend))
		_, err := shop.CollectRefund(t.Context(), &c)
		return err
	}
	// Whoever has seen the payment, the bank for instance, can't ask.
	refused(t, claim(spend), "malformed") // a payment is no claim
	list, err := shop.RefundOffers(t.Context(), paid.Op())
	must(t, err)
	if len(list) != 1 || list[0].Amount != 4 {
		t.Errorf("offered: %+v", list)
	}
	holds(t, town, shop.Account, 4)
	c := &client.RefundClaim{Refund: []byte("nothing")}
	must(t, json.Unmarshal(spend, &c.Spend))
	_, err = shop.CollectRefund(t.Context(), c)
	refused(t, err, "not-found")
}
