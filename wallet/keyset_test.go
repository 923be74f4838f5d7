package wallet_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// serveKeys makes the bank publish that keyset.
func serveKeys(t *testing.T, town *wallettest.Town, jws []byte) {
	t.Helper()
	town.BankGate.Instead("/v1/keys", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(map[string]string{"keyset": string(jws)}); err != nil {
			t.Error(err)
		}
	})
}

// later is when a wallet asks for the keyset again.
func later(t *testing.T, town *wallettest.Town, h *wallettest.Holder) {
	t.Helper()
	town.Group.Clock.Forward(2 * time.Hour)
	h.Reopen(t)
}

func TestTheKeysetIsNeverRolledBack(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 31, coin.Bearer)
	old := town.Rotate(t, nil)
	later(t, town, alice)
	k, err := alice.Keyset(t.Context())
	must(t, err)
	if k.Seq != 2 {
		t.Fatalf("keyset %d", k.Seq)
	}
	for name, c := range map[string]struct {
		jws  []byte
		want error
	}{
		"an older one":               {old, coin.ErrRollback},
		"another of the same number": {forked(t, town), coin.ErrFork},
		"one that is no keyset":      {[]byte("a.b.c"), trust.ErrMalformed},
		"one from years ahead":       {town.SignKeyset(t, func(k *coin.Keyset) { k.IssuedAt = k.IssuedAt.AddDate(4, 0, 0) }), coin.ErrFuture},
	} {
		t.Run(name, func(t *testing.T) {
			serveKeys(t, town, c.jws)
			later(t, town, alice)
			_, err := alice.Keyset(t.Context())
			want(t, err, c.want)
			_, err = alice.Withdraw(t.Context(), 1, coin.Bearer, wallet.Steps{})
			want(t, err, c.want)
		})
	}
	town.BankGate.Instead("/v1/keys", nil)
	later(t, town, alice)
	_, err = alice.Pay(t.Context(), shop.Ask(t, 5))
	must(t, err)
}

// forked is another keyset with the number of the one in force.
func forked(t *testing.T, town *wallettest.Town) []byte {
	t.Helper()
	return town.SignKeyset(t, func(k *coin.Keyset) { k.IssuedAt = k.IssuedAt.Add(time.Second) })
}

func TestAWalletWithoutTheBank(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	t.Run("has no keyset at first", func(t *testing.T) {
		town.BankGate.Shut(true)
		defer town.BankGate.Shut(false)
		if _, err := alice.Keyset(t.Context()); err == nil || errorsIs(err, wallet.ErrOpen) {
			t.Fatalf("got %v", err)
		}
	})
	alice.Draw(t, 31, coin.Bearer)
	shop.Ask(t, 1) // the till knows the keyset
	town.BankGate.Shut(true)
	t.Run("asks for none while its own is fresh", func(t *testing.T) {
		alice.Reopen(t)
		alice.Wire.Sent()
		worth(t, alice, 31, 0)
		if sent := alice.Wire.Sent(); len(sent) != 0 {
			t.Errorf("it asked %v", sent)
		}
	})
	t.Run("goes on with the one seen last", func(t *testing.T) {
		town.Group.Clock.Forward(3 * time.Hour)
		alice.Reopen(t)
		worth(t, alice, 31, 0)
		p, err := alice.PreparePayment(t.Context(), shop.Ask(t, 5))
		must(t, err)
		if len(p.Spend) == 0 {
			t.Error("no payment")
		}
	})
	t.Run("draws nothing, and leaves nothing open", func(t *testing.T) {
		if _, err := alice.Withdraw(t.Context(), 5, coin.Bearer, wallet.Steps{}); err == nil || errorsIs(err, wallet.ErrOpen) {
			t.Fatalf("got %v", err)
		}
		state(t, alice, wallet.KindWithdraw, wallet.OpDone)
	})
	t.Run("but not when the bank's certificate has run out", func(t *testing.T) {
		town.Group.Clock.Forward(300 * 24 * time.Hour)
		alice.Reopen(t)
		_, err := alice.Keyset(t.Context())
		want(t, err, trust.ErrExpired)
	})
	t.Run("and learns of the new certificate when the bank is back", func(t *testing.T) {
		town.BankGate.Shut(false)
		town.Recertify(t)
		town.Rotate(t, nil)
		k, err := alice.Keyset(t.Context())
		must(t, err)
		if k.Seq != 2 {
			t.Errorf("keyset %d", k.Seq)
		}
	})
}
