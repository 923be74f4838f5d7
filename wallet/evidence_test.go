package wallet_test

import (
	"errors"
	"testing"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/evidence"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

func isRefusal(err error, code string) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Code == code
}

// proven are the claims of a file that hold; the test fails if one does not.
func proven(t *testing.T, town *wallettest.Town, f *evidence.File) (out []string) {
	t.Helper()
	root, err := trust.ParseRoot(town.RootPEM)
	must(t, err)
	data, err := f.Encode()
	must(t, err)
	back, err := evidence.Parse(data)
	must(t, err)
	for _, c := range evidence.Verify(back, root, nil).Claims {
		switch c.Status {
		case evidence.Proven:
			out = append(out, c.Name)
		case evidence.Fails:
			t.Errorf("%s fails: %s", c.Name, c.Says)
		}
	}
	return out
}

func TestThePapersOfAPaymentStandForThemselves(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Enrol(t, registrationtest.TPMA)
	alice.Draw(t, 16, coin.Bearer)
	alice.Draw(t, 16, coin.Bound)
	p, err := alice.Pay(t.Context(), shop.Ask(t, 29))
	must(t, err)
	unpaid, err := alice.PreparePayment(t.Context(), shop.Ask(t, 1))
	must(t, err)
	spend, _, err := coin.DecodeSpend(p.Spend)
	must(t, err)
	// The bank revokes a key of those coins, and everybody learns of it: what was
	// good then was good.
	town.Revoke(t, coin.Bearer, 16)
	alice.Reopen(t)
	_, err = alice.Recoupable(t.Context())
	must(t, err)
	town.BankGate.Shut(true) // nobody is asked

	holders, err := alice.Evidence(t.Context(), p.ID, true)
	must(t, err)
	tills, err := shop.Evidence(t.Context(), spend.Op(), false)
	must(t, err)
	if got := proven(t, town, holders); len(got) != 9 {
		t.Errorf("the holder's file proves %v", got)
	}
	if got := proven(t, town, tills); len(got) != 8 { // not what was bought
		t.Errorf("the merchant's file proves %v", got)
	}
	open, err := alice.Evidence(t.Context(), unpaid.ID, false)
	must(t, err)
	if got := proven(t, town, open); len(got) != 6 { // neither receipt
		t.Errorf("an open payment's file proves %v", got)
	}
	_, err = alice.Evidence(t.Context(), wallet.ID("0123456789abcdef"), false)
	want(t, err, wallet.ErrNoOperation)
	if _, err := shop.Evidence(t.Context(), [32]byte{1}, false); err == nil {
		t.Error("the till has papers of no payment")
	}
}
