package wallet_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// TestBoundCoinsAreMadeGood: whatever their owner has authorised before, the
// bank can't make a case of it.
func TestBoundCoinsAreMadeGood(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Enrol(t, registrationtest.TPMA)
	alice.Draw(t, 16, coin.Bound)
	alice.Draw(t, 16, coin.Bearer)
	alice.Wire.Once("/pay", wallettest.LoseRequest)
	_, err := alice.Pay(t.Context(), shop.Ask(t, 16), coin.Bound)
	want(t, err, wallet.ErrOpen) // a payment of the 16 that nobody got
	alice.Draw(t, 8, coin.Bound)
	alice.Draw(t, 4, coin.Bound)
	town.Revoke(t, coin.Bound, 8, 16)
	town.Revoke(t, coin.Bearer, 16)
	alice.Wire.Once("/v1/keys", wallettest.LoseRequest)
	if _, err := alice.Exchange(t.Context(), coin.Bound); err == nil || errorsIs(err, wallet.ErrOpen) {
		t.Fatalf("got %v", err) // 8 and 4, authorised together
	}
	worth(t, alice, 0, 28)
	stuck(t, alice, 16)
	alice.Draw(t, 1, coin.Bound)

	alice.Reopen(t) // without its TPM
	got, err := recoup(t, alice, false)
	want(t, err, wallet.ErrNoTPM)
	if got.Coins != 1 || got.Worth != 16 {
		t.Errorf("without the TPM, made good: %+v", got)
	}
	worth(t, alice, 17, 28)
	attach(t, town, alice)
	plan, err := alice.Recoupable(t.Context())
	must(t, err)
	if !plan.NeedTPM || len(plan.Coins) != 3 || plan.Worth != 28 {
		t.Errorf("%+v", plan)
	}
	got, err = alice.Recoup(t.Context(), plan, false)
	must(t, err)
	if got.Coins != 3 || got.Worth != 28 {
		t.Errorf("made good: %+v", got)
	}
	b, err := alice.Balance(t.Context())
	must(t, err)
	if b.ByKind[coin.Bound] != 29 || b.ByKind[coin.Bearer] != 16 || b.Committed != 0 || b.Recoup != 0 {
		t.Errorf("balance %+v", b)
	}
	if town.Cases(t) != 0 {
		t.Error("an honest holder has a case against him")
	}
	_, err = alice.Pay(t.Context(), shop.Ask(t, 45))
	must(t, err)
	town.CheckBooks(t)
}

// TestARefusedRecoupOfBoundCoinsIsRepeatedAsItWas: the bank has their owner's
// authorisation by then.
func TestARefusedRecoupOfBoundCoinsIsRepeatedAsItWas(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	alice.Enrol(t, registrationtest.TPMA)
	alice.Draw(t, 16, coin.Bound)
	alice.Draw(t, 8, coin.Bound)
	town.Revoke(t, coin.Bound, 16)
	town.BankGate.Instead("/v1/recoups", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"code":"claim"}`))
	})
	if _, err := recoup(t, alice, false); err == nil || errorsIs(err, wallet.ErrOpen) {
		t.Fatalf("got %v", err)
	}
	state(t, alice, wallet.KindRecoup, wallet.OpRefused)
	worth(t, alice, 8, 16)
	town.BankGate.Instead("/v1/recoups", nil)
	town.Revoke(t, coin.Bound, 8) // the other one is claimed by itself
	alice.Wire.Sent()
	_, err := recoup(t, alice, true)
	must(t, err)
	worth(t, alice, 16, 0)
	holds(t, town, alice.Account, 84)
	sent := 0
	for _, s := range alice.Wire.Sent() {
		if s.Path == "/v1/recoups" {
			sent++
			if n := bytes.Count(s.Body, []byte("specie1")); n != 1 {
				t.Errorf("%d coins were sent together", n)
			}
		}
	}
	if sent != 2 {
		t.Errorf("%d recoups", sent)
	}
	if town.Cases(t) != 0 {
		t.Error("an honest holder has a case against him")
	}
}

// TestASignatureThatNeverCameIsMadeGood: the key went between the debit and the
// signature; whatever the others signed is there at once.
func TestASignatureThatNeverCameIsMadeGood(t *testing.T) {
	type open = func(t *testing.T, shop *wallettest.Shop, alice *wallettest.Holder)
	for name, c := range map[string]struct {
		open open
		kind string
		// what is there when it is resumed, with a 16 that can be made good
		fresh coin.Amount
	}{
		"of a withdrawal": {func(t *testing.T, _ *wallettest.Shop, alice *wallettest.Holder) {
			alice.Wire.Once("/withdrawals", wallettest.LoseAnswer)
			_, err := alice.Withdraw(t.Context(), 19, coin.Bearer, wallet.Steps{})
			want(t, err, wallet.ErrOpen)
		}, wallet.KindWithdraw, 3},
		"of an exchange": {func(t *testing.T, _ *wallettest.Shop, alice *wallettest.Holder) {
			alice.Draw(t, 19, coin.Bearer)
			alice.Wire.Once("/exchanges", wallettest.LoseAnswer)
			_, err := alice.Exchange(t.Context(), coin.Bearer)
			want(t, err, wallet.ErrOpen)
		}, wallet.KindExchange, 3},
		"of a payment's change": {func(t *testing.T, shop *wallettest.Shop, alice *wallettest.Holder) {
			alice.Draw(t, 16, coin.Bearer)
			alice.Draw(t, 16, coin.Bearer)
			alice.Wire.Once("/pay", wallettest.LoseAnswer)
			_, err := alice.Pay(t.Context(), shop.Ask(t, 13)) // 16, change of 3
			want(t, err, wallet.ErrOpen)
		}, wallet.KindPay, 18},
	} {
		t.Run(name, func(t *testing.T) {
			town := wallettest.New(t)
			shop, alice := town.NewShop(t), town.NewHolder(t, 100)
			c.open(t, shop, alice)
			gone := coin.Amount(16)
			if c.kind == wallet.KindPay {
				gone = 1 // of the change of 2 and 1
			}
			town.Lose(t, coin.Bearer, gone)
			resume(t, alice)
			state(t, alice, c.kind, wallet.OpDone)
			worth(t, alice, c.fresh, 0)
			stuck(t, alice, gone)
			if gone == 16 {
				// A coin without a signature is neither chosen nor exchanged, however
				// well it fits.
				alice.Draw(t, 16, coin.Bearer)
				_, err := alice.Exchange(t.Context(), coin.Bearer)
				must(t, err)
				must(t, spendAll(t, town, alice, 16))
			}
			must(t, spendAll(t, town, alice, c.fresh))
			alice.Draw(t, 2, coin.Bearer)
			got, err := recoup(t, alice, false)
			if gone == 1 {
				// Nothing smaller is left to make it up with.
				want(t, err, wallet.ErrAmount)
				got, err = recoup(t, alice, true)
				want(t, err, wallet.ErrAmount) // it is change: nobody withdrew it
				return
			}
			must(t, err)
			if got.Worth != gone {
				t.Errorf("made good: %+v", got)
			}
			worth(t, alice, gone+2, 0)
			must(t, spendAll(t, town, alice, gone+2))
			town.CheckBooks(t)
		})
	}
}

func spendAll(t *testing.T, town *wallettest.Town, h *wallettest.Holder, amount coin.Amount) error {
	t.Helper()
	_, err := h.Pay(t.Context(), town.NewShop(t).Ask(t, amount))
	return err
}

// TestAMissingSignatureIsBelievedOfDeadKeysOnly: a bank, or a till, could make
// money worthless by leaving signatures out.
func TestAMissingSignatureIsBelievedOfDeadKeysOnly(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	town.BankGate.Spoil("/v1/withdrawals", func(a map[string]any) { a["signatures"].([]any)[0] = "" })
	_, err := alice.Withdraw(t.Context(), 19, coin.Bearer, wallet.Steps{})
	want(t, err, wallet.ErrOpen)
	want(t, err, wallet.ErrAnswer)
	town.BankGate.Instead("/v1/withdrawals", nil)
	resume(t, alice)
	worth(t, alice, 19, 0)
}

// TestARecoupThatCameLate: a request that was given up for lost arrives after
// the bank had refused its repetition. The new coins are not lost.
func TestARecoupThatCameLate(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	alice.Draw(t, 16, coin.Bearer)
	town.Revoke(t, coin.Bearer, 16)
	alice.Wire.Once("/v1/recoups", wallettest.LoseRequest)
	_, err := recoup(t, alice, false)
	want(t, err, wallet.ErrOpen)
	town.BankGate.Instead("/v1/recoups", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"code":"claim"}`))
	})
	if _, err := alice.Resume(t.Context()); err == nil {
		t.Fatal("not refused")
	}
	town.BankGate.Instead("/v1/recoups", nil)
	stuck(t, alice, 16)
	for _, s := range alice.Wire.Sent() { // the first one arrives now
		if s.Path == "/v1/recoups" {
			resp, err := http.Post(s.URL, "application/json", bytes.NewReader(s.Body))
			must(t, err)
			_ = resp.Body.Close()
			break
		}
	}
	_, err = recoup(t, alice, false) // with other outputs
	want(t, err, wallet.ErrSpent)
	resume(t, alice)
	worth(t, alice, 16, 0)
	must(t, spendAll(t, town, alice, 16))
	town.CheckBooks(t)
}

// TestWhatCantGoAlongHoldsUpNothing: a payment of a revoked coin and one that
// has expired since can't be taken back as it was.
func TestWhatCantGoAlongHoldsUpNothing(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	town.Mint(t, coin.Bearer, 32, func(d *coin.Denomination) {
		d.IssueUntil = town.Now().Add(time.Hour).Truncate(time.Second)
		d.SpendUntil = d.IssueUntil
	})
	alice := town.NewHolder(t, 100)
	alice.Draw(t, 48, coin.Bearer) // 32 16
	alice.Wire.Once("/pay", wallettest.LoseRequest)
	_, err := alice.Pay(t.Context(), shop.Ask(t, 48))
	want(t, err, wallet.ErrOpen)
	alice.Draw(t, 16, coin.Bearer)
	town.Revoke(t, coin.Bearer, 16)
	town.Group.Clock.Forward(2 * time.Hour)
	alice.Reopen(t)
	got, err := recoup(t, alice, false)
	must(t, err)
	if got.Coins != 1 || got.Worth != 16 {
		t.Errorf("made good: %+v", got)
	}
	worth(t, alice, 16, 48)
}

// TestTwoCopiesOfAPurseAreMadeGoodOnce: the second is told.
func TestTwoCopiesOfAPurseAreMadeGoodOnce(t *testing.T) {
	for name, c := range map[string]struct {
		spend func(t *testing.T, town *wallettest.Town, copied *wallettest.Holder)
		left  coin.Amount
	}{
		"the copy had them made good": {func(t *testing.T, _ *wallettest.Town, copied *wallettest.Holder) {
			_, err := copied.Withdraw(t.Context(), 100, coin.Bearer, wallet.Steps{}) // refused: other numbers
			if err == nil {
				t.Fatal("drawn")
			}
			_, err = recoup(t, copied, false)
			must(t, err)
		}, 0},
		"the copy put them on the account": {func(t *testing.T, _ *wallettest.Town, copied *wallettest.Holder) {
			_, err := recoup(t, copied, true)
			must(t, err)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			town := wallettest.New(t)
			alice := town.NewHolder(t, 100)
			alice.Draw(t, 24, coin.Bearer)
			copied := alice.Copy(t)
			town.Revoke(t, coin.Bearer, 16, 8)
			c.spend(t, town, copied)
			_, err := recoup(t, alice, false)
			want(t, err, wallet.ErrSpent)
			worth(t, alice, c.left, 0)
			stuck(t, alice, 0)
			state(t, alice, wallet.KindRecoup, wallet.OpRefused)
			town.CheckBooks(t)
		})
	}
	t.Run("the copy paid with one of them in time", func(t *testing.T) {
		town := wallettest.New(t)
		alice := town.NewHolder(t, 100)
		alice.Draw(t, 24, coin.Bearer)
		copied := alice.Copy(t)
		must(t, spendAll(t, town, copied, 16))
		town.Revoke(t, coin.Bearer, 16, 8)
		_, err := recoup(t, alice, false)
		want(t, err, wallet.ErrSpent)
		stuck(t, alice, 8)
		_, err = recoup(t, alice, false)
		must(t, err)
		worth(t, alice, 8, 0)
		town.CheckBooks(t)
	})
}

// TestWhatIsOwedNoMoreIsLeftAlone: after the legal end, and does not hold up
// the rest.
func TestWhatIsOwedNoMoreIsLeftAlone(t *testing.T) {
	town := wallettest.New(t)
	town.Mint(t, coin.Bearer, 32, func(d *coin.Denomination) {
		d.IssueUntil = town.Now().AddDate(0, 0, 1).Truncate(time.Second)
		d.SpendUntil, d.LegalUntil = d.IssueUntil, d.IssueUntil.AddDate(0, 0, 1)
	})
	alice := town.NewHolder(t, 100)
	alice.Draw(t, 48, coin.Bearer)
	town.Revoke(t, coin.Bearer, 16, 32)
	town.Group.Clock.Forward(48 * time.Hour)
	plan, err := alice.Recoupable(t.Context())
	must(t, err)
	if len(plan.Coins) != 1 || plan.Worth != 16 {
		t.Errorf("%+v", plan)
	}
	_, err = alice.Recoup(t.Context(), plan, false)
	must(t, err)
	worth(t, alice, 16, 0)
	stuck(t, alice, 32)
}
