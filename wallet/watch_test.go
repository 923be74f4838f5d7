package wallet_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// watched is what an operation reports.
func watched(t *testing.T, h *wallettest.Holder, work func() error) (steps [][2]int) {
	t.Helper()
	h.Watch(func(done, total int) { steps = append(steps, [2]int{done, total}) })
	defer h.Watch(nil)
	must(t, work())
	return steps
}

func TestWhatTakesLongSaysHowFarItIs(t *testing.T) {
	town := wallettest.New(t)
	shop, alice, bob := town.NewShop(t), town.NewHolder(t, 100), town.NewHolder(t, 0)
	says := func(h *wallettest.Holder, work func() error, want ...[2]int) {
		t.Helper()
		if d := cmp.Diff(want, watched(t, h, work)); d != "" {
			t.Errorf("reported (- want):\n%s", d)
		}
	}
	alice.Draw(t, 28, coin.Bearer) // 16 8 4
	exchange := func() error { _, err := alice.Exchange(t.Context(), coin.Bearer); return err }
	says(alice, exchange, [2]int{0, 3}, [2]int{3, 3})

	_, text := send(t, alice, 12) // 8 4
	receive := func() error { _, err := bob.Receive(t.Context(), text, false); return err }
	says(bob, receive, [2]int{0, 2}, [2]int{0, 2}, [2]int{1, 2}, [2]int{2, 2})

	for range 2 {
		alice.Wire.Once("/withdrawals", wallettest.LoseAnswer)
		_, err := alice.Withdraw(t.Context(), 1, coin.Bearer, wallet.Steps{})
		want(t, err, wallet.ErrOpen)
	}
	// The envelope is looked after as well.
	says(alice, func() error { resume(t, alice); return nil }, [2]int{0, 3}, [2]int{1, 3}, [2]int{2, 3}, [2]int{3, 3})

	_, link := shop.Offer(t, merchant.OfferRequest{Amount: 16})
	p, err := alice.PreparePayment(t.Context(), link)
	must(t, err)
	must(t, alice.Submit(t.Context(), p))
	s, _, err := coin.DecodeSpend(p.Spend)
	must(t, err)
	for range 2 {
		_, err = shop.OfferRefund(t.Context(), s.Op(), 4, nil)
		must(t, err)
	}
	refund := func() error { _, err := alice.Refund(t.Context(), p.ID); return err }
	says(alice, refund, [2]int{0, 2}, [2]int{1, 2}, [2]int{1, 2}, [2]int{2, 2})

	alice.Draw(t, 32, coin.Bearer) // 16 16
	town.Revoke(t, coin.Bearer, 16)
	town.Group.Clock.Forward(2 * time.Hour)
	alice.Reopen(t)
	says(alice, func() error { _, err := recoup(t, alice, false); return err }, [2]int{0, 2}, [2]int{2, 2})
	town.CheckBooks(t)
}
