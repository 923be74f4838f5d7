package wallet_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// TestKindsAreMixedOnlyWhereNeitherReaches, whatever the purse holds: what is wrong
// with one kind must not lock up coins of the other.
func TestKindsAreMixedOnlyWhereNeitherReaches(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 0)
	rapid.Check(t, func(rt *rapid.T) {
		var coins []wallet.StoredCoin
		have := map[coin.Kind]coin.Amount{}
		for _, kind := range []coin.Kind{coin.Bound, coin.Bearer} {
			for _, v := range rapid.SliceOfN(rapid.SampledFrom(wallettest.Values()), 0, 6).Draw(rt, string(kind)) {
				coins = append(coins, wallet.StoredCoin{Value: v, Kind: kind})
				have[kind] += v
			}
		}
		total := have[coin.Bound] + have[coin.Bearer]
		amount := coin.Amount(rapid.Int64Range(1, int64(total)+2).Draw(rt, "amount"))
		spent, change, err := alice.Pick(&town.Keyset, amount, rapid.Permutation(coins).Draw(rt, "order"))
		if amount > total {
			if spent != nil {
				rt.Fatalf("%d paid out of %d", amount, total)
			}
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		got := map[coin.Kind]coin.Amount{}
		for _, c := range spent {
			got[c.Kind] += c.Value
		}
		bound, bearer := got[coin.Bound], got[coin.Bearer]
		switch {
		case bound+bearer != amount+change:
			rt.Errorf("%d and %d for %d with change of %d", bound, bearer, amount, change)
		case have[coin.Bound] >= amount && bearer != 0:
			rt.Errorf("bearer coins of %d, though bound ones reach", bearer)
		case have[coin.Bound] < amount && have[coin.Bearer] >= amount && bound != 0:
			rt.Errorf("bound coins of %d, though bearer ones reach", bound)
		}
	})
}
