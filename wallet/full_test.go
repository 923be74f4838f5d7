package wallet_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/sqlitefile"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// TestAFullDisk: wherever the room ends, in a withdrawal or in a payment, nothing
// is lost nor paid twice, and what was begun goes on when there is room again.
func TestAFullDisk(t *testing.T) {
	town := wallettest.New(t)
	refusals := 0
	full := func(err error) bool {
		switch {
		case err == nil:
			return false
		case !errors.Is(err, sqlitefile.ErrFull):
			t.Fatalf("got %v", err)
		}
		refusals++
		return true
	}
	for _, pages := range []int{0, 1, 2, 4} {
		alice := town.NewHolder(t, 100)
		alice.Draw(t, 16, coin.Bearer)
		alice.FillDisk(t.Context(), t, pages)
		_, err := alice.Withdraw(t.Context(), 31, coin.Bearer, wallet.Steps{})
		if full(err) {
			alice.FillDisk(t.Context(), t, -1)
			resume(t, alice)
		}
		fresh, committed := alice.Worth(t)
		if left := town.Balance(t, alice.Account); left+fresh != 100 || committed != 0 {
			t.Fatalf("with %d pages: %d on the account, %d in the purse, %d promised", pages, left, fresh, committed)
		}
	}
	if refusals == 0 {
		t.Error("the disk was never full in a withdrawal")
	}
	refusals = 0
	shop, before := town.NewShop(t), coin.Amount(0)
	for _, pages := range []int{0, 1, 2, 4} {
		alice := town.NewHolder(t, 100)
		alice.Draw(t, 31, coin.Bearer)
		_, link := shop.Offer(t, merchant.OfferRequest{Amount: 5, Order: fmt.Sprint("table ", pages)})
		alice.FillDisk(t.Context(), t, pages)
		_, err := alice.Pay(t.Context(), link)
		if full(err) {
			alice.FillDisk(t.Context(), t, -1)
			resume(t, alice)
		}
		fresh, committed := alice.Worth(t)
		paid := town.Balance(t, shop.Account) - before
		before += paid
		if fresh+committed+paid != 31 || committed != 0 || paid != 0 && paid != 5 {
			t.Fatalf("with %d pages: %d in the purse, %d promised, %d at the shop", pages, fresh, committed, paid)
		}
	}
	if refusals == 0 {
		t.Error("the disk was never full in a payment")
	}
}
