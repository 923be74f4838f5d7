package wallet_test

import (
	"bytes"
	"errors"
	"net/http"
	"testing"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

func TestExchange(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Enrol(t, registrationtest.TPMA)
	alice.Draw(t, 21, coin.Bearer)
	alice.Draw(t, 13, coin.Bound)
	copied := alice.Copy(t)
	attach(t, town, alice)
	for kind, coins := range map[coin.Kind]int{coin.Bearer: 3, coin.Bound: 3} {
		n, err := alice.Exchange(t.Context(), kind)
		must(t, err)
		if n != coins {
			t.Errorf("%d %s coins", n, kind)
		}
	}
	b, err := alice.Balance(t.Context())
	must(t, err)
	if b.ByKind[coin.Bearer] != 21 || b.ByKind[coin.Bound] != 13 || b.Committed != 0 {
		t.Errorf("balance %+v", b)
	}
	alice.Reopen(t)

	t.Run("the old coins are worth nothing in a copy", func(t *testing.T) {
		attach(t, town, copied)
		for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
			_, err := copied.Pay(t.Context(), shop.Ask(t, 13), kind)
			want(t, err, wallet.ErrSpent)
		}
		copied.Reopen(t)
	})
	t.Run("the new ones are good", func(t *testing.T) {
		attach(t, town, alice)
		_, err := alice.Pay(t.Context(), shop.Ask(t, 30))
		must(t, err)
		worth(t, alice, 4, 0)
	})
	t.Run("nothing to exchange", func(t *testing.T) {
		_, err := town.NewHolder(t, 0).Exchange(t.Context(), coin.Bearer)
		want(t, err, wallet.ErrFunds)
	})
	town.CheckBooks(t)
}

func TestALostExchangeIsTakenUp(t *testing.T) {
	town := wallettest.New(t)
	for name, fate := range map[string]wallettest.Fate{"the request": wallettest.LoseRequest, "the answer": wallettest.LoseAnswer} {
		t.Run(name, func(t *testing.T) {
			alice := town.NewHolder(t, 100)
			alice.Draw(t, 31, coin.Bearer)
			alice.Wire.Once("/exchanges", fate)
			_, err := alice.Exchange(t.Context(), coin.Bearer)
			want(t, err, wallet.ErrOpen)
			worth(t, alice, 0, 31)
			alice.Reopen(t)
			resume(t, alice)
			worth(t, alice, 31, 0)
			state(t, alice, wallet.KindExchange, wallet.OpDone)
			_, err = alice.Exchange(t.Context(), coin.Bearer) // they are real
			must(t, err)
		})
	}
}

func TestAnExchangeOfCoinsThatACopySpent(t *testing.T) {
	town := wallettest.New(t)
	t.Run("some are gone, the others free", func(t *testing.T) {
		shop, alice := town.NewShop(t), town.NewHolder(t, 100)
		alice.Draw(t, 24, coin.Bearer)
		copied := alice.Copy(t)
		_, err := copied.Pay(t.Context(), shop.Ask(t, 13)) // with the 16
		must(t, err)
		_, err = alice.Exchange(t.Context(), coin.Bearer)
		want(t, err, wallet.ErrSpent)
		state(t, alice, wallet.KindExchange, wallet.OpRefused)
		worth(t, alice, 8, 0)
		n, err := alice.Exchange(t.Context(), coin.Bearer)
		must(t, err)
		if n != 1 {
			t.Errorf("%d coins", n)
		}
		worth(t, alice, 8, 0)
	})
	t.Run("the copy exchanged the very same coins for others", func(t *testing.T) {
		alice := town.NewHolder(t, 100)
		alice.Draw(t, 24, coin.Bearer)
		copied := alice.Copy(t)
		// A withdrawal that is refused moves the copy's counters on.
		_, err := copied.Withdraw(t.Context(), 100, coin.Bearer, wallet.Steps{})
		var p *client.Problem
		if !errors.As(err, &p) || p.Code != "insufficient-funds" {
			t.Fatalf("got %v", err)
		}
		_, err = copied.Exchange(t.Context(), coin.Bearer)
		must(t, err)
		_, err = alice.Exchange(t.Context(), coin.Bearer)
		want(t, err, wallet.ErrSpent)
		worth(t, alice, 0, 0)
		state(t, alice, wallet.KindExchange, wallet.OpRefused)
		resume(t, alice)
	})
}

// TestARefusedExchange: the bank says that nothing was done. Bearer coins are
// free again; bound ones, whose authorisation the bank holds now, are
// exchanged as they were, so that nobody can show two uses of them.
func TestARefusedExchange(t *testing.T) {
	town := wallettest.New(t)
	refuse := func(refuse bool) {
		if !refuse {
			town.BankGate.Instead("/v1/exchanges", nil)
			return
		}
		town.BankGate.Instead("/v1/exchanges", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write([]byte(`{"code":"double-spend","detail":"believe me"}`))
		})
	}
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Enrol(t, registrationtest.TPMA)
	alice.Draw(t, 24, coin.Bearer)
	alice.Draw(t, 12, coin.Bound)
	refuse(true)
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		if _, err := alice.Exchange(t.Context(), kind); err == nil || errorsIs(err, wallet.ErrOpen) {
			t.Fatalf("got %v", err)
		}
		state(t, alice, wallet.KindExchange, wallet.OpRefused)
	}
	worth(t, alice, 24, 12)
	if _, err := alice.Pay(t.Context(), shop.Ask(t, 4), coin.Bound); !errorsIs(err, wallet.ErrFunds) {
		t.Fatalf("got %v", err)
	}
	refuse(false)
	n, err := alice.Exchange(t.Context(), coin.Bound)
	must(t, err)
	if n != 2 {
		t.Errorf("%d coins", n)
	}
	worth(t, alice, 36, 0)
	_, err = alice.Pay(t.Context(), shop.Ask(t, 36))
	must(t, err)
	if town.Cases(t) != 0 {
		t.Error("an honest holder has a case against him")
	}
}

// TestAnExchangeThatCameLate: a request that was given up for lost arrives
// after the bank had refused its repetition. The new coins are not lost.
func TestAnExchangeThatCameLate(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 24, coin.Bearer)
	alice.Wire.Once("/v1/exchanges", wallettest.LoseRequest)
	_, err := alice.Exchange(t.Context(), coin.Bearer)
	want(t, err, wallet.ErrOpen)
	town.BankGate.Instead("/v1/exchanges", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"code":"malformed"}`))
	})
	if _, err := alice.Resume(t.Context()); err == nil {
		t.Fatal("not refused")
	}
	town.BankGate.Instead("/v1/exchanges", nil)
	worth(t, alice, 24, 0)
	for _, s := range alice.Wire.Sent() { // the first one arrives now
		if s.Path == "/v1/exchanges" {
			resp, err := http.Post(s.URL, "application/json", bytes.NewReader(s.Body))
			must(t, err)
			_ = resp.Body.Close()
			break
		}
	}
	_, err = alice.Pay(t.Context(), shop.Ask(t, 5))
	want(t, err, wallet.ErrSpent)
	resume(t, alice)
	worth(t, alice, 24, 0)
	_, err = alice.Pay(t.Context(), shop.Ask(t, 24))
	must(t, err)
}
