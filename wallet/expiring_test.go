package wallet_test

import (
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

const halfAYear = 190 * 24 * time.Hour

func expiring(t *testing.T, h *wallettest.Holder, within time.Duration) []wallet.Expiring {
	t.Helper()
	out, err := h.Expiring(t.Context(), within)
	must(t, err)
	return out
}

func TestCoinsThatExpireAreAnnouncedAndExchanged(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	alice.Enrol(t, registrationtest.TPMA)
	alice.Draw(t, 7, coin.Bearer)
	alice.Draw(t, 4, coin.Bound)
	if early := expiring(t, alice, 30*24*time.Hour); len(early) != 0 {
		t.Errorf("half a year before, %+v", early)
	}
	old := town.Key(t, coin.Bearer, 4).SpendUntil
	for _, e := range expiring(t, alice, halfAYear) {
		if e.Later || !e.Until.Equal(old) || e.Kind == coin.Bearer && (e.Coins != 3 || e.Worth != 7) || e.Kind == coin.Bound && e.Worth != 4 {
			t.Errorf("announced %+v", e)
		}
	}
	// Before there are newer keys there is nothing to exchange them for.
	_, err := alice.ExchangeExpiring(t.Context(), coin.Bearer, halfAYear)
	want(t, err, wallet.ErrFunds)

	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		for _, value := range []coin.Amount{1, 2, 4} {
			town.Mint(t, kind, value, func(d *coin.Denomination) { d.SpendUntil = d.SpendUntil.AddDate(0, 6, 0) })
		}
	}
	alice.Reopen(t)
	town.Group.Clock.Forward(2 * time.Hour) // the purse asks for a newer keyset
	must(t, alice.AttachTPM(t.Context(), wallet.TPM{Address: town.TPM(t, registrationtest.TPMA)}))
	if now := expiring(t, alice, halfAYear); len(now) != 2 || !now[0].Later {
		t.Errorf("announced %+v", now)
	}
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		// Its answer is lost: nothing is.
		alice.Wire.Once("/exchanges", wallettest.LoseAnswer)
		_, err := alice.ExchangeExpiring(t.Context(), kind, halfAYear)
		want(t, err, wallet.ErrOpen)
		resume(t, alice)
	}
	worth(t, alice, 11, 0)
	if left := expiring(t, alice, halfAYear); len(left) != 0 {
		t.Errorf("left %+v", left)
	}
	_, err = alice.ExchangeExpiring(t.Context(), coin.Bearer, halfAYear)
	want(t, err, wallet.ErrFunds)
	town.CheckBooks(t)
}

// TestAMerchantTurnsHisTakingsIntoCoins: he withdraws from his own account, and pays
// a supplier.
func TestAMerchantTurnsHisTakingsIntoCoins(t *testing.T) {
	town := wallettest.New(t)
	shop, supplier, alice := town.NewShop(t), town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 40, coin.Bearer)
	_, err := alice.Pay(t.Context(), shop.Ask(t, 23))
	must(t, err)
	purse := town.NewHolder(t, 0)
	must(t, purse.SetToken(t.Context(), shop.Token))
	purse.Draw(t, 20, coin.Bearer)
	holds(t, town, shop.Account, 3)
	worth(t, purse, 20, 0)
	_, err = purse.Pay(t.Context(), supplier.Ask(t, 13))
	must(t, err)
	worth(t, purse, 7, 0)
	holds(t, town, supplier.Account, 13)
	_, err = purse.Withdraw(t.Context(), 4, coin.Bearer, wallet.Steps{})
	if err == nil || !isRefusal(err, "insufficient-funds") {
		t.Errorf("more than he took in: %v", err)
	}
	town.CheckBooks(t)
}
