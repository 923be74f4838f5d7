package wallet_test

import (
	"net/http"
	"testing"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// promised makes a payment of 5 with a coin of 16 that the till never sees.
func promised(t *testing.T, town *wallettest.Town) (*wallettest.Shop, *wallettest.Holder, *wallet.Payment) {
	t.Helper()
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 16, coin.Bearer)
	alice.Wire.Once("/pay", wallettest.LoseRequest)
	p, err := alice.Pay(t.Context(), shop.Ask(t, 5))
	want(t, err, wallet.ErrOpen)
	worth(t, alice, 0, 16)
	return shop, alice, p
}

func TestReclaimBeforeTheMerchantDeposits(t *testing.T) {
	town := wallettest.New(t)
	shop, alice, p := promised(t, town)
	must(t, alice.Reclaim(t.Context(), p.ID))
	worth(t, alice, 16, 0)
	state(t, alice, wallet.KindPay, wallet.OpRefused)
	state(t, alice, wallet.KindExchange, wallet.OpDone)
	t.Run("he can deposit no more, and is shown why", func(t *testing.T) {
		_, err := client.Pay(t.Context(), http.DefaultClient, shop.URL, p.Spend)
		if proof := proofIn(t, town, "conflict", err, p.Spend); proof.Spend.Purpose != coin.Void {
			t.Errorf("the proof is a %s", proof.Spend.Purpose)
		}
		holds(t, town, shop.Account, 0)
	})
	t.Run("the coins are good elsewhere, for the same offer too", func(t *testing.T) {
		_, err := alice.Pay(t.Context(), town.NewShop(t).Ask(t, 7))
		must(t, err)
		worth(t, alice, 9, 0)
	})
	t.Run("what is closed can't be taken back again, or sent", func(t *testing.T) {
		want(t, alice.Reclaim(t.Context(), p.ID), wallet.ErrNoOperation)
		want(t, alice.Submit(t.Context(), p), wallet.ErrNoOperation)
		want(t, alice.Reclaim(t.Context(), wallet.ID{1, 2}), wallet.ErrNoOperation)
		resume(t, alice)
		worth(t, alice, 9, 0)
	})
}

func TestReclaimAfterTheMerchantDeposited(t *testing.T) {
	town := wallettest.New(t)
	shop, alice, p := promised(t, town)
	_, err := shop.Accept(t.Context(), p.Spend)
	must(t, err)
	want(t, alice.Reclaim(t.Context(), p.ID), wallet.ErrPaid)
	state(t, alice, wallet.KindPay, wallet.OpDone)
	state(t, alice, wallet.KindExchange, wallet.OpRefused)
	worth(t, alice, 11, 0)
	if got := coinStates(t, alice); got[wallet.CoinSpent] != 16 || got[wallet.CoinFresh] != 11 {
		t.Errorf("coins are %v", got)
	}
}

// TestALostReclaim: at each point where the wire can fail, and whatever the
// merchant does meanwhile, the payment is either paid or taken back.
func TestALostReclaim(t *testing.T) {
	for _, c := range []struct {
		name    string
		fate    wallettest.Fate
		deposit bool // meanwhile
		again   bool // by "reclaim", not by "resume"
		fresh   coin.Amount
	}{
		{"the request", wallettest.LoseRequest, false, false, 16},
		{"the request, and it is asked for again", wallettest.LoseRequest, false, true, 16},
		{"the request, and the merchant deposits meanwhile", wallettest.LoseRequest, true, false, 11},
		{"the request, the merchant deposits, and it is asked for again", wallettest.LoseRequest, true, true, 11},
		{"the answer", wallettest.LoseAnswer, false, false, 16},
		{"the answer, and it is asked for again", wallettest.LoseAnswer, false, true, 16},
		{"the answer, and the merchant tries meanwhile", wallettest.LoseAnswer, true, false, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			town := wallettest.New(t)
			shop, alice, p := promised(t, town)
			alice.Wire.Once("/exchanges", c.fate)
			want(t, alice.Reclaim(t.Context(), p.ID), wallet.ErrOpen)
			want(t, alice.Submit(t.Context(), p), wallet.ErrCoinState)
			worth(t, alice, 0, 16)
			if c.deposit {
				_, err := shop.Accept(t.Context(), p.Spend)
				if (err == nil) != (c.fate == wallettest.LoseRequest) {
					t.Fatalf("deposit: %v", err)
				}
			}
			alice.Reopen(t)
			paid := c.deposit && c.fate == wallettest.LoseRequest
			var err error
			if c.again {
				err = alice.Reclaim(t.Context(), p.ID)
			} else {
				_, err = alice.Resume(t.Context())
			}
			if paid {
				want(t, err, wallet.ErrPaid)
			} else {
				must(t, err)
			}
			resume(t, alice)
			worth(t, alice, c.fresh, 0)
			end := wallet.OpRefused
			if paid {
				end = wallet.OpDone
			}
			state(t, alice, wallet.KindPay, end)
			holds(t, town, shop.Account, 16-c.fresh)
			town.CheckBooks(t)
		})
	}
}

// TestAnExchangeRefusedForAnotherReasonGivesTheCoinsBack, to the payment that
// they are promised to.
func TestAnExchangeRefusedForAnotherReasonGivesTheCoinsBack(t *testing.T) {
	town := wallettest.New(t)
	shop, alice, p := promised(t, town)
	town.BankGate.Instead("/v1/exchanges", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"code":"key-revoked"}`))
	})
	if err := alice.Reclaim(t.Context(), p.ID); err == nil || errorsIs(err, wallet.ErrOpen) {
		t.Fatalf("got %v", err)
	}
	worth(t, alice, 0, 16)
	state(t, alice, wallet.KindExchange, wallet.OpRefused)
	town.BankGate.Instead("/v1/exchanges", nil)
	resume(t, alice) // the payment goes on
	worth(t, alice, 11, 0)
	holds(t, town, shop.Account, 5)
}

// TestReclaimWhatACopySpent: payment and void are both dead.
func TestReclaimWhatACopySpent(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 24, coin.Bearer)
	copied := alice.Copy(t)
	shop.Gate.Shut(true)
	p, err := alice.Pay(t.Context(), shop.Ask(t, 20)) // with both coins
	want(t, err, wallet.ErrOpen)
	_, err = copied.Pay(t.Context(), town.NewShop(t).Ask(t, 16)) // with one of them
	must(t, err)
	want(t, alice.Reclaim(t.Context(), p.ID), wallet.ErrSpent)
	state(t, alice, wallet.KindPay, wallet.OpRefused)
	state(t, alice, wallet.KindExchange, wallet.OpRefused)
	worth(t, alice, 8, 0)
}

// TestACopyTookThePaymentBack: this purse learns of it from the bank.
func TestACopyTookThePaymentBack(t *testing.T) {
	town := wallettest.New(t)
	for name, learn := range map[string]func(alice *wallettest.Holder, p *wallet.Payment) error{
		"by resuming":   func(a *wallettest.Holder, _ *wallet.Payment) error { _, err := a.Resume(t.Context()); return err },
		"by paying":     func(a *wallettest.Holder, p *wallet.Payment) error { return a.Submit(t.Context(), p) },
		"by reclaiming": func(a *wallettest.Holder, p *wallet.Payment) error { return a.Reclaim(t.Context(), p.ID) },
	} {
		t.Run(name, func(t *testing.T) {
			_, alice, p := promised(t, town)
			copied := alice.Copy(t)
			// A withdrawal that is refused moves the copy's counters on, so that
			// its new coins are not this purse's.
			if _, err := copied.Withdraw(t.Context(), 500, coin.Bearer, wallet.Steps{}); err == nil {
				t.Fatal("not refused")
			}
			must(t, copied.Reclaim(t.Context(), p.ID))
			worth(t, copied, 16, 0)
			want(t, learn(alice, p), wallet.ErrSpent)
			state(t, alice, wallet.KindPay, wallet.OpRefused)
			worth(t, alice, 0, 0)
			resume(t, alice)
		})
	}
}

func TestReclaimOfBoundCoinsNeedsTheTPM(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Enrol(t, registrationtest.TPMA)
	alice.Draw(t, 8, coin.Bound)
	alice.Draw(t, 8, coin.Bearer)
	shop.Gate.Shut(true)
	p, err := alice.Pay(t.Context(), shop.Ask(t, 13)) // with both
	want(t, err, wallet.ErrOpen)
	alice.Reopen(t)
	want(t, alice.Reclaim(t.Context(), p.ID), wallet.ErrNoTPM)
	worth(t, alice, 0, 16)
	attach(t, town, alice)
	must(t, alice.Reclaim(t.Context(), p.ID))
	b, err := alice.Balance(t.Context())
	must(t, err)
	if b.ByKind[coin.Bearer] != 8 || b.ByKind[coin.Bound] != 8 || b.Committed != 0 {
		t.Errorf("balance %+v", b)
	}
}
