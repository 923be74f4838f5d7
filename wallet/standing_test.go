package wallet_test

import (
	"net/http"
	"testing"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// everyone is a bank's list of all members. Whom a real list matches is tested
// with the bank; the wallet hears the refusal only.
type everyone struct{}

func (everyone) Match(*group.Presentation) (int, bool) { return 0, true }

// mixed makes a payment of 13 with 8 bound and 8 bearer coins of a member who is
// struck off. The till has the bank's refusal, or never sees the payment.
func mixed(t *testing.T, town *wallettest.Town, seen bool) (*wallettest.Shop, *widow, *wallet.Payment) {
	t.Helper()
	shop, alice := town.NewShop(t), newWidow(t, town, 100)
	alice.Draw(t, 8, coin.Bound)
	alice.Draw(t, 8, coin.Bearer)
	town.StrikeOff(everyone{})
	if !seen {
		alice.Wire.Once("/pay", wallettest.LoseRequest)
	}
	p, err := alice.Pay(t.Context(), shop.Ask(t, 13))
	if seen {
		want(t, err, wallet.ErrPromised)
		code(t, err, "expelled")
	} else {
		want(t, err, wallet.ErrOpen)
	}
	balance(t, alice.Holder, 0, 16, 0)
	return shop, alice, p
}

// balance fails unless the purse has so much to spend, promised and held.
func balance(t *testing.T, h *wallettest.Holder, total, committed, held coin.Amount) {
	t.Helper()
	b, err := h.Balance(t.Context())
	must(t, err)
	if b.Total != total || b.Committed != committed || b.Held != held {
		t.Fatalf("balance %+v, want %d to spend, %d promised, %d held", b, total, committed, held)
	}
}

// noCase fails if the bank has a case against anybody, or its books are wrong.
func noCase(t *testing.T, town *wallettest.Town) {
	t.Helper()
	if n := town.Cases(t); n != 0 {
		t.Errorf("%d cases against an honest holder", n)
	}
	town.CheckBooks(t)
}

// TestBearerCoinsAreNotLockedUpWithAnExpelledMembers.
func TestBearerCoinsAreNotLockedUpWithAnExpelledMembers(t *testing.T) {
	town := wallettest.New(t)
	shop, alice, p := mixed(t, town, false)
	want(t, alice.Reclaim(t.Context(), p.ID), wallet.ErrEnded)
	balance(t, alice.Holder, 8, 0, 8)
	state(t, alice.Holder, wallet.KindPay, wallet.OpRefused)
	coins, err := alice.Coins(t.Context())
	must(t, err)
	for _, c := range coins {
		if held := c.Kind == coin.Bound; c.Held != held {
			t.Errorf("%+v", c)
		}
	}
	want(t, alice.Reclaim(t.Context(), p.ID), wallet.ErrEnded) // and nothing moves
	resume(t, alice.Holder)
	balance(t, alice.Holder, 8, 0, 8)
	_, err = alice.Pay(t.Context(), town.NewShop(t).Ask(t, 3))
	must(t, err)
	balance(t, alice.Holder, 5, 0, 8)

	// The bank takes the member's presentations again: the merchant sees why he
	// gets nothing, and nobody is a case.
	town.StrikeOff(nil)
	_, err = client.Pay(t.Context(), http.DefaultClient, shop.URL, p.Spend)
	if proof := proofIn(t, town, "double-spend", err, p.Spend); proof.Spend.Purpose != coin.Void || proof.Spend.Group != [32]byte{} {
		t.Errorf("the proof is %+v", proof.Spend)
	}
	holds(t, town, shop.Account, 0)
	noCase(t, town)
}

// TestHeldCoinsComeBack: the bank's list is corrected, and the manager renews the
// credential; or he readmits the member. The merchant has the payment still.
func TestHeldCoinsComeBack(t *testing.T) {
	t.Run("the credential is renewed", func(t *testing.T) {
		town := wallettest.New(t)
		_, alice, p := mixed(t, town, true)
		want(t, alice.Reclaim(t.Context(), p.ID), wallet.ErrEnded)
		town.StrikeOff(nil)
		alice.again(t) // the manager is not asked in this epoch
		balance(t, alice.Holder, 8, 0, 8)
		town.Group.Clock.Forward(registrationtest.EpochLength)
		alice.again(t)
		balance(t, alice.Holder, 8, 8, 0)
		must(t, alice.Reclaim(t.Context(), p.ID))
		balance(t, alice.Holder, 16, 0, 0)
		want(t, alice.Reclaim(t.Context(), p.ID), wallet.ErrNoOperation)
		noCase(t, town)
	})
	t.Run("the member is readmitted", func(t *testing.T) {
		town := wallettest.New(t)
		shop, alice, p := mixed(t, town, false)
		want(t, alice.Reclaim(t.Context(), p.ID), wallet.ErrEnded)
		town.StrikeOff(nil)
		alice.loseTPM(t)
		plan, err := alice.Recoverable(t.Context())
		must(t, err)
		if plan.Worth != 8 || plan.Payments != 0 {
			t.Errorf("%+v", plan)
		}
		alice.wait(t)
		_, err = alice.recoverAll(t, false)
		must(t, err)
		balance(t, alice.Holder, 16, 0, 0)
		if _, err := client.Pay(t.Context(), http.DefaultClient, shop.URL, p.Spend); err == nil {
			t.Error("the merchant is paid")
		}
		noCase(t, town)
	})
}

// TestALostPartialReclaim: wherever the wire fails, and whatever the merchant did
// before, the bearer coins are there once.
func TestALostPartialReclaim(t *testing.T) {
	for _, c := range []struct {
		name    string
		fate    wallettest.Fate
		deposit bool // meanwhile
		again   bool // by "reclaim", not by "resume"
	}{
		{"the request", wallettest.LoseRequest, false, false},
		{"the request, and it is asked for again", wallettest.LoseRequest, false, true},
		{"the request, and the merchant deposits meanwhile", wallettest.LoseRequest, true, true},
		{"the answer", wallettest.LoseAnswer, false, false},
		{"the answer, and it is asked for again", wallettest.LoseAnswer, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			town := wallettest.New(t)
			shop, alice, p := mixed(t, town, false)
			must(t, alice.End(t.Context()))
			alice.Wire.Once("/exchanges", c.fate)
			want(t, alice.Reclaim(t.Context(), p.ID), wallet.ErrOpen)
			want(t, alice.Submit(t.Context(), p), wallet.ErrCoinState)
			if c.deposit {
				town.StrikeOff(nil)
				_, err := shop.Accept(t.Context(), p.Spend)
				must(t, err)
			}
			alice.Reopen(t) // without its TPM
			var err error
			if c.again {
				err = alice.Reclaim(t.Context(), p.ID)
			} else {
				_, err = alice.Resume(t.Context())
			}
			switch {
			case c.deposit:
				want(t, err, wallet.ErrPaid)
				holds(t, town, shop.Account, 13)
				balance(t, alice.Holder, 0, 0, 3) // bound change
			case c.again:
				want(t, err, wallet.ErrEnded)
				balance(t, alice.Holder, 8, 0, 8)
			default:
				must(t, err)
				balance(t, alice.Holder, 8, 0, 8)
			}
			noCase(t, town)
		})
	}
}

// TestAMembershipThatHasEnded: what is bound to its TPM is not to spend.
func TestAMembershipThatHasEnded(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), newWidow(t, town, 100)
	alice.Draw(t, 15, coin.Bound)
	alice.Draw(t, 15, coin.Bearer)
	id, err := enrol.ParseID(alice.member)
	must(t, err)
	must(t, town.Group.Expel(t.Context(), id))
	balance(t, alice.Holder, 30, 0, 0)
	town.Group.Clock.Forward(registrationtest.EpochLength)
	alice.Reopen(t)
	code(t, alice.AttachTPM(t.Context(), alice.device), "forbidden")
	balance(t, alice.Holder, 15, 0, 15)
	for name, got := range map[string]error{
		"a withdrawal": second(alice.Withdraw(t.Context(), 1, coin.Bound, wallet.Steps{})),
		"an exchange":  second(alice.Exchange(t.Context(), coin.Bound)),
		"a payment":    second(alice.Pay(t.Context(), shop.Ask(t, 16))),
	} {
		if !errorsIs(got, wallet.ErrEnded) {
			t.Errorf("%s: %v", name, got)
		}
	}
	p, err := alice.Pay(t.Context(), shop.Ask(t, 7))
	must(t, err)
	for _, c := range p.Coins {
		if c.Kind != coin.Bearer {
			t.Errorf("paid with %+v", c)
		}
	}
	balance(t, alice.Holder, 8, 0, 15)
}

// TestATillsWordEndsNoMembership: it may say what it likes.
func TestATillsWordEndsNoMembership(t *testing.T) {
	town := wallettest.New(t)
	_, alice, p := mixed(t, town, true)
	balance(t, alice.Holder, 0, 16, 0)
	alice.Draw(t, 2, coin.Bound)
	town.StrikeOff(nil)
	must(t, alice.Reclaim(t.Context(), p.ID))
	balance(t, alice.Holder, 18, 0, 0)
}

func second[T any](_ T, err error) error { return err }
