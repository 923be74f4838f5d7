package wallet_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// recoup has everything made good that can be.
func recoup(t testing.TB, h *wallettest.Holder, toAccount bool) (*wallet.Recouped, error) {
	t.Helper()
	plan, err := h.Recoupable(t.Context())
	must(t, err)
	return h.Recoup(t.Context(), plan, toAccount)
}

// stuck fails unless so much is shown as what can be made good.
func stuck(t testing.TB, h *wallettest.Holder, amount coin.Amount) {
	t.Helper()
	b, err := h.Balance(t.Context())
	must(t, err)
	if b.Recoup != amount {
		t.Fatalf("%d can be made good, want %d", b.Recoup, amount)
	}
	coins, err := h.Coins(t.Context())
	must(t, err)
	for _, c := range coins {
		if c.Recoup {
			amount -= c.Value
		}
	}
	if amount != 0 {
		t.Fatalf("the list of coins shows %d less", amount)
	}
}

func TestCoinsOfARevokedKeyAreShownAndNotSpent(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 28, coin.Bearer) // 16 8 4
	town.Revoke(t, coin.Bearer, 16)
	town.Group.Clock.Forward(2 * time.Hour) // the wallet asks for a newer keyset
	alice.Reopen(t)
	worth(t, alice, 12, 0)
	stuck(t, alice, 16)
	_, err := alice.Pay(t.Context(), shop.Ask(t, 12))
	must(t, err)
	_, err = alice.Pay(t.Context(), shop.Ask(t, 1))
	want(t, err, wallet.ErrFunds)
	want(t, err, wallet.ErrRecoup)
	_, err = alice.Exchange(t.Context(), coin.Bearer)
	want(t, err, wallet.ErrFunds)

	plan, err := alice.Recoupable(t.Context())
	must(t, err)
	if len(plan.Coins) != 1 || plan.Worth != 16 || plan.Payments != 0 || plan.NeedTPM || !plan.Coins[0].Recoup {
		t.Errorf("what can be made good: %+v", plan)
	}
	alice.Wire.Sent()
	got, err := alice.Recoup(t.Context(), plan, false)
	must(t, err)
	if got.Coins != 1 || got.Worth != 16 || got.Credited != 0 || got.Paid != 0 {
		t.Errorf("made good: %+v", got)
	}
	for _, s := range alice.Wire.Sent() {
		if s.Authorized {
			t.Errorf("the account's token went with %s", s.Path)
		}
	}
	worth(t, alice, 16, 0)
	stuck(t, alice, 0)
	state(t, alice, wallet.KindRecoup, wallet.OpDone)
	_, err = alice.Pay(t.Context(), shop.Ask(t, 16))
	must(t, err)
	town.CheckBooks(t)

	t.Run("nothing is left to do", func(t *testing.T) {
		plan, err := alice.Recoupable(t.Context())
		must(t, err)
		got, err := alice.Recoup(t.Context(), plan, false)
		must(t, err)
		if len(plan.Coins) != 0 || *got != (wallet.Recouped{}) {
			t.Errorf("%+v, %+v", plan, got)
		}
	})
}

// TestARecoupSurvivesEveryLoss: each request of it is lost once, and each
// answer, and the wallet crashes.
func TestARecoupSurvivesEveryLoss(t *testing.T) {
	town := wallettest.New(t)
	var holders []*wallettest.Holder
	for range 16 {
		h := town.NewHolder(t, 100)
		h.Draw(t, 16, coin.Bearer)
		h.Draw(t, 16, coin.Bearer)
		h.Draw(t, 1, coin.Bearer)
		holders = append(holders, h)
	}
	town.Revoke(t, coin.Bearer, 16)
	lost := 0
	for _, toAccount := range []bool{false, true} {
		for _, fate := range []wallettest.Fate{wallettest.LoseRequest, wallettest.LoseAnswer} {
			for n := 1; ; n++ {
				alice := holders[0]
				holders = holders[1:]
				seen := 0
				alice.Wire.Decree(func(*http.Request) wallettest.Fate {
					if seen++; seen == n {
						return fate
					}
					return wallettest.Deliver
				})
				plan, err := alice.Recoupable(t.Context())
				if err == nil {
					_, err = alice.Recoup(t.Context(), plan, toAccount)
				}
				alice.Wire.Decree(nil)
				if seen < n {
					must(t, err)
					break // there are no more
				}
				if err == nil {
					t.Fatalf("request %d was lost and nobody noticed", n)
				}
				lost++
				alice.Reopen(t)
				resume(t, alice)
				_, err = recoup(t, alice, toAccount)
				must(t, err)
				if toAccount {
					worth(t, alice, 1, 0)
					holds(t, town, alice.Account, 99)
				} else {
					worth(t, alice, 33, 0)
					holds(t, town, alice.Account, 67)
				}
				stuck(t, alice, 0)
				state(t, alice, wallet.KindRecoup, wallet.OpDone)
				_, err = alice.Exchange(t.Context(), coin.Bearer) // they are real
				must(t, err)
			}
		}
	}
	if lost != 12 {
		t.Errorf("%d losses, and not those of three requests", lost)
	}
	town.CheckBooks(t)
}

// TestMoneyGoesBackToTheAccount: but change was withdrawn by nobody.
func TestMoneyGoesBackToTheAccount(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 16, coin.Bearer)
	_, err := alice.Pay(t.Context(), shop.Ask(t, 8)) // change of 8
	must(t, err)
	alice.Draw(t, 8, coin.Bearer)
	alice.Draw(t, 8, coin.Bearer)
	first := alice.Account
	second, token := town.Account(t, "holder", "", 50)
	must(t, alice.SetToken(t.Context(), token))
	alice.Draw(t, 8, coin.Bearer)
	town.Revoke(t, coin.Bearer, 8)
	alice.Wire.Sent()
	got, err := recoup(t, alice, true)
	must(t, err)
	if got.Coins != 4 || got.Worth != 32 || got.Credited != 24 {
		t.Errorf("made good: %+v", got)
	}
	// No token is sent with anything that shows a coin, another's least of all.
	for _, s := range alice.Wire.Sent() {
		if s.Authorized {
			t.Errorf("the token of an account went with %s", s.Path)
		}
	}
	worth(t, alice, 8, 0)
	holds(t, town, first, 84)
	holds(t, town, second, 50)
	ops, err := alice.History(t.Context())
	must(t, err)
	var moved int64
	for _, op := range ops {
		if op.Kind == wallet.KindRecoup {
			moved += op.Amount
		}
	}
	if moved != -24 {
		t.Errorf("the history says %d", moved)
	}
	town.CheckBooks(t)
}

// TestCoinsOfEveryOriginInAPurse: withdrawn, change, exchanged, and made good
// before.
func TestCoinsOfEveryOriginInAPurse(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 16, coin.Bearer)
	_, err := alice.Exchange(t.Context(), coin.Bearer) // an exchanged 16
	must(t, err)
	alice.Draw(t, 4, coin.Bearer)
	town.Revoke(t, coin.Bearer, 4)
	_, err = recoup(t, alice, false) // 2 2, made good
	must(t, err)
	alice.Draw(t, 8, coin.Bearer)
	_, err = alice.Pay(t.Context(), shop.Ask(t, 6)) // 8, with change of 2
	must(t, err)
	alice.Draw(t, 2, coin.Bearer)
	worth(t, alice, 24, 0)
	town.Revoke(t, coin.Bearer, 2, 8, 16)
	alice.Wire.Sent()
	got, err := recoup(t, alice, false)
	must(t, err)
	if got.Worth != 24 {
		t.Errorf("made good: %+v", got)
	}
	// The bank is not shown that they are in one purse.
	sent := 0
	for _, s := range alice.Wire.Sent() {
		if s.Path != "/v1/recoups" {
			continue
		}
		sent++
		var request struct {
			Claims []coin.ClaimJSON `json:"claims"`
		}
		must(t, json.Unmarshal(s.Body, &request))
		for _, c := range request.Claims {
			if c.Op != request.Claims[0].Op {
				t.Error("coins of two operations were shown together")
			}
		}
	}
	if sent != 4 {
		t.Errorf("%d recoups", sent)
	}
	worth(t, alice, 24, 0)
	stuck(t, alice, 0)
	_, err = alice.Pay(t.Context(), shop.Ask(t, 24))
	must(t, err)
	town.CheckBooks(t)
}

// TestARefusalTellsTheWalletOfTheRevocation: it does not go by its old keyset
// for an hour, showing money that it can't spend.
func TestARefusalTellsTheWalletOfTheRevocation(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	var holders []*wallettest.Holder
	for range 4 {
		h := town.NewHolder(t, 100)
		h.Draw(t, 16, coin.Bearer)
		holders = append(holders, h)
	}
	link := shop.Ask(t, 16)
	town.Revoke(t, coin.Bearer, 16)
	t.Run("by an exchange", func(t *testing.T) {
		alice := holders[0]
		alice.Wire.Once("/v1/keys", wallettest.LoseRequest)
		if _, err := alice.Exchange(t.Context(), coin.Bearer); err == nil || errorsIs(err, wallet.ErrOpen) {
			t.Fatalf("got %v", err)
		}
		stuck(t, alice, 16)
		worth(t, alice, 0, 0)
	})
	t.Run("before an exchange, which shows none of its coins then", func(t *testing.T) {
		alice := holders[3]
		alice.Draw(t, 1, coin.Bearer)
		alice.Wire.Sent()
		_, err := alice.Exchange(t.Context(), coin.Bearer)
		must(t, err)
		for _, s := range alice.Wire.Sent() {
			if n := bytes.Count(s.Body, []byte("specie1")); s.Path == "/v1/exchanges" && n != 1 {
				t.Errorf("%d coins were sent", n)
			}
		}
		stuck(t, alice, 16)
	})
	t.Run("by a withdrawal", func(t *testing.T) {
		alice := holders[1]
		if _, err := alice.Withdraw(t.Context(), 16, coin.Bearer, wallet.Steps{}); err == nil {
			t.Fatal("drawn")
		}
		stuck(t, alice, 16)
		alice.Draw(t, 16, coin.Bearer) // under the others
	})
	t.Run("by a till, whose payment is taken back", func(t *testing.T) {
		alice := holders[2]
		p, err := alice.Pay(t.Context(), link)
		want(t, err, wallet.ErrPromised)
		worth(t, alice, 0, 16)
		want(t, alice.Reclaim(t.Context(), p.ID), wallet.ErrRecoup)
		if _, err := alice.Resume(t.Context()); !errorsIs(err, wallet.ErrPromised) {
			t.Fatalf("got %v", err)
		}
		plan, err := alice.Recoupable(t.Context())
		must(t, err)
		if plan.Payments != 1 || plan.Worth != 16 {
			t.Errorf("%+v", plan)
		}
		alice.Wire.Once("/recoups", wallettest.LoseAnswer)
		_, err = alice.Recoup(t.Context(), plan, true) // promised coins come back as coins
		want(t, err, wallet.ErrOpen)
		if plan, err = alice.Recoupable(t.Context()); err != nil || len(plan.Coins) != 0 {
			t.Errorf("under way already, and yet %+v, %v", plan, err)
		}
		resume(t, alice)
		worth(t, alice, 16, 0)
		state(t, alice, wallet.KindPay, wallet.OpRefused)
		_, err = client.Pay(t.Context(), http.DefaultClient, shop.URL, p.Spend)
		if err == nil {
			t.Error("the till took coins that were taken back")
		}
	})
	town.CheckBooks(t)
}

// TestAPaymentThatWasMadeIsNotMadeGood: the merchant deposited just before the
// key was revoked, and the payer does not know.
func TestAPaymentThatWasMadeIsNotMadeGood(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 16, coin.Bearer)
	alice.Wire.Once("/pay", wallettest.LoseAnswer)
	_, err := alice.Pay(t.Context(), shop.Ask(t, 5))
	want(t, err, wallet.ErrOpen)
	town.Revoke(t, coin.Bearer, 16)
	got, err := recoup(t, alice, false)
	must(t, err)
	if *got != (wallet.Recouped{Paid: 1}) {
		t.Errorf("made good: %+v", got)
	}
	worth(t, alice, 11, 0)
	state(t, alice, wallet.KindPay, wallet.OpDone)
	holds(t, town, shop.Account, 5)
	town.CheckBooks(t)
}

// TestARecoupIsRepeatedByteForByte: it is on disk before it is sent.
func TestARecoupIsRepeatedByteForByte(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	alice.Draw(t, 16, coin.Bearer)
	town.Revoke(t, coin.Bearer, 16)
	alice.Wire.Once("/recoups", wallettest.LoseRequest)
	_, err := recoup(t, alice, false)
	want(t, err, wallet.ErrOpen)
	if !strings.HasPrefix(err.Error(), "recoup: ") {
		t.Errorf("the error says %q", err)
	}
	alice.Reopen(t)
	worth(t, alice, 0, 16)
	resume(t, alice)
	worth(t, alice, 16, 0)
	var bodies [][]byte
	for _, s := range alice.Wire.Sent() {
		if s.Path == "/v1/recoups" {
			bodies = append(bodies, s.Body)
		}
	}
	if len(bodies) != 2 || !bytes.Equal(bodies[0], bodies[1]) {
		t.Errorf("%d requests, or other bytes", len(bodies))
	}
}
