package wallet_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// TestCoinsOfTwoTPMsThatAreGone: those of the first are recovered by whoever
// its owner is after the second.
func TestCoinsOfTwoTPMsThatAreGone(t *testing.T) {
	town := wallettest.New(t)
	alice := newWidow(t, town, 100)
	alice.Draw(t, 16, coin.Bound)
	alice.loseTPM(t)
	alice.Draw(t, 5, coin.Bound)
	alice.wait(t)
	alice.loseTPM(t)
	strands(t, alice.Holder, 21)
	// The second TPM's epoch is not over; what it holds of the first is free.
	plan, err := alice.Recoverable(t.Context())
	must(t, err)
	if plan.Worth != 21 || plan.From.IsZero() {
		t.Fatalf("%+v", plan)
	}
	got, err := alice.Recover(t.Context(), plan, false, nil)
	want(t, err, coin.ErrTooEarly)
	if got.Worth != 16 || got.Waiting != 5 {
		t.Fatalf("%+v", got)
	}
	worth(t, alice.Holder, 16, 0)
	alice.wait(t)
	got, err = alice.recoverAll(t, false)
	must(t, err)
	if got.Worth != 5 {
		t.Fatalf("%+v", got)
	}
	worth(t, alice.Holder, 21, 0)
	strands(t, alice.Holder, 0)
	town.CheckBooks(t)
}

// TestAPaymentThatWasOpenWhenTheTPMWentIsTakenBack: the merchant can't deposit
// it any more, and nobody becomes a case.
func TestAPaymentThatWasOpenWhenTheTPMWentIsTakenBack(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), newWidow(t, town, 100)
	alice.Draw(t, 8, coin.Bound)
	alice.Draw(t, 4, coin.Bearer)
	_, link := shop.Offer(t, merchant.OfferRequest{Amount: 12, Order: "table 7"})
	town.BankGate.Shut(true)
	if _, err := alice.Pay(t.Context(), link); err == nil { // both kinds
		t.Fatal("paid without a bank")
	}
	town.BankGate.Shut(false)
	worth(t, alice.Holder, 0, 12)
	alice.loseTPM(t)
	alice.wait(t)
	plan, err := alice.Recoverable(t.Context())
	must(t, err)
	if plan.Worth != 12 || plan.Payments != 1 {
		t.Fatalf("%+v", plan)
	}
	ops, err := alice.History(t.Context())
	must(t, err)
	for _, op := range ops {
		if op.Kind == wallet.KindPay {
			want(t, alice.Reclaim(t.Context(), op.ID), wallet.ErrStranded)
		}
	}
	got, err := alice.Recover(t.Context(), plan, true, nil) // promised coins don't go to the account
	must(t, err)
	if got.Coins != 2 || got.Worth != 12 || got.Credited != 0 {
		t.Errorf("%+v", got)
	}
	worth(t, alice.Holder, 12, 0)
	state(t, alice.Holder, wallet.KindPay, wallet.OpRefused)
	if n := town.Cases(t); n != 0 {
		t.Errorf("%d cases", n)
	}
	town.CheckBooks(t)
}

func TestMoneyForAGoneTPMsCoinsGoesToTheAccount(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), newWidow(t, town, 100)
	alice.Draw(t, 16, coin.Bound)
	_, err := alice.Pay(t.Context(), shop.Ask(t, 8)) // change of 8, which nobody withdrew
	must(t, err)
	alice.Draw(t, 5, coin.Bound)
	town.Revoke(t, coin.Bound, 4) // of the 5: its signature proves nothing any more
	alice.loseTPM(t)
	alice.wait(t)
	got, err := alice.recoverAll(t, true)
	must(t, err)
	if got.Worth != 13 || got.Credited != 5 {
		t.Errorf("%+v", got)
	}
	if b := town.Balance(t, alice.Account); b != 84 {
		t.Errorf("the account holds %d", b)
	}
	worth(t, alice.Holder, 8, 0)
	town.CheckBooks(t)
}

// TestCoinsOfARevokedKeyAndAGoneTPM: neither signature is worth anything.
func TestCoinsOfARevokedKeyAndAGoneTPM(t *testing.T) {
	town := wallettest.New(t)
	alice := newWidow(t, town, 100)
	alice.Draw(t, 20, coin.Bound)
	town.Revoke(t, coin.Bound, 16)
	alice.loseTPM(t)
	alice.wait(t)
	if r, err := alice.Recoupable(t.Context()); err != nil || len(r.Coins) != 0 {
		t.Errorf("a recoup of what the TPM can't sign: %+v, %v", r, err)
	}
	got, err := alice.recoverAll(t, false)
	must(t, err)
	if got.Worth != 20 {
		t.Errorf("%+v", got)
	}
	worth(t, alice.Holder, 20, 0)
	town.CheckBooks(t)
}

func TestCoinsOfEarlierVersionsCantBeRecovered(t *testing.T) {
	town := wallettest.New(t)
	alice := newWidow(t, town, 100)
	alice.Draw(t, 16, coin.Bound)
	must(t, alice.ForgetHoldings(t.Context()))
	alice.Draw(t, 4, coin.Bound)
	alice.loseTPM(t)
	alice.wait(t)
	plan, err := alice.Recoverable(t.Context())
	must(t, err)
	if plan.Worth != 4 || plan.Unproven != 16 {
		t.Fatalf("%+v", plan)
	}
	_, err = alice.Recover(t.Context(), plan, false, nil)
	must(t, err)
	_, err = alice.recoverAll(t, false)
	want(t, err, wallet.ErrNoHolding)
	worth(t, alice.Holder, 4, 0)
	strands(t, alice.Holder, 16)
}

// TestTheManagersWordRunsOut: with his certificate; it does not hold up what a
// later word is good for.
func TestTheManagersWordRunsOut(t *testing.T) {
	town := wallettest.New(t)
	alice := newWidow(t, town, 100)
	alice.Draw(t, 16, coin.Bound)
	alice.loseTPM(t)
	alice.Draw(t, 4, coin.Bound)
	alice.loseTPM(t)
	alice.wait(t) // renews, and with it what the manager said
	word, err := alice.SetSuccession(t.Context(), 0, []byte("a.b.c"))
	must(t, err)
	plan, err := alice.Recoverable(t.Context())
	must(t, err)
	if plan.Worth != 4 || plan.Ready != 4 || plan.Unproven != 16 || plan.Why == nil {
		t.Fatalf("%+v", plan)
	}
	_, err = alice.Recover(t.Context(), plan, false, nil)
	must(t, err)
	worth(t, alice.Holder, 4, 0)
	_, err = alice.recoverAll(t, false)
	want(t, err, trust.ErrMalformed)
	_, err = alice.SetSuccession(t.Context(), 0, word)
	must(t, err)
	got, err := alice.recoverAll(t, false)
	must(t, err)
	if got.Worth != 16 {
		t.Errorf("%+v", got)
	}
	town.CheckBooks(t)
}

// TestARefusedRecoverIsRepeatedWithTheSameCoins: the bank has the successor's
// signature over exactly those.
func TestARefusedRecoverIsRepeatedWithTheSameCoins(t *testing.T) {
	town := wallettest.New(t)
	alice := newWidow(t, town, 100)
	alice.Draw(t, 5, coin.Bound)
	alice.loseTPM(t)
	alice.wait(t)
	alice.Wire.Decree(func(r *http.Request) wallettest.Fate {
		if strings.HasSuffix(r.URL.Path, "/recoveries") {
			town.Revoke(t, coin.Bound, 4)
		}
		return wallettest.Deliver
	})
	_, err := alice.recoverAll(t, false)
	code(t, err, "key-revoked")
	alice.Wire.Decree(nil)
	worth(t, alice.Holder, 0, 5)
	alice.Draw(t, 1, coin.Bound)
	alice.again(t)
	got, err := alice.recoverAll(t, true)
	must(t, err)
	if got.Coins != 2 || got.Worth != 5 || got.Credited != 0 {
		t.Errorf("%+v", got)
	}
	worth(t, alice.Holder, 6, 0)
	town.CheckBooks(t)
}

// TestNoRequestIsMoreThanTheBankTakes, however the coins lie.
func TestNoRequestIsMoreThanTheBankTakes(t *testing.T) {
	repeat := func(n, times int) (out []int) {
		for range times {
			out = append(out, n)
		}
		return out
	}
	for _, tt := range []struct {
		name          string
		claims, coins []int
		parts         int
	}{
		{"one coin", []int{8}, []int{1}, 1},
		{"as many coins as go into one", []int{64}, []int{64}, 1},
		{"one more", []int{128}, []int{65}, 2},
		{"coins of many large withdrawals", repeat(512, 20), repeat(1, 20), 3},
		{"and several of each", repeat(256, 17), repeat(4, 17), 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parts, claims, coins := wallet.Parts(tt.claims, tt.coins)
			if parts != tt.parts || claims > coin.MaxHoldingsClaims || coins > coin.MaxCoins/4 {
				t.Errorf("%d parts, of up to %d claims and %d coins", parts, claims, coins)
			}
		})
	}
}

// TestOneRefusalDoesNotHoldUpTheOthers, today or for ever.
func TestOneRefusalDoesNotHoldUpTheOthers(t *testing.T) {
	town := wallettest.New(t)
	alice := newWidow(t, town, 100)
	alice.Draw(t, 4, coin.Bound)
	alice.loseTPM(t)
	alice.Draw(t, 8, coin.Bound)
	alice.wait(t)
	alice.loseTPM(t)
	alice.wait(t)
	first := true
	alice.Wire.Decree(func(r *http.Request) wallettest.Fate {
		if strings.HasSuffix(r.URL.Path, "/recoveries") && first {
			first = false
			town.Revoke(t, coin.Bound, 4) // of the first one's coins
		}
		return wallettest.Deliver
	})
	got, err := alice.recoverAll(t, false)
	code(t, err, "key-revoked")
	alice.Wire.Decree(nil)
	if got.Worth != 8 {
		t.Fatalf("%+v", got)
	}
	worth(t, alice.Holder, 8, 4)
	got, err = alice.recoverAll(t, false)
	must(t, err)
	if got.Worth != 4 {
		t.Fatalf("%+v", got)
	}
	worth(t, alice.Holder, 12, 0)
	town.CheckBooks(t)
}
