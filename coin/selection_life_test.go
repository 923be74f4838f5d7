package coin_test

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/speciecash/specie/coin"
)

// chooser picks coins of a purse for an amount; it must be enough.
type chooser func(purse []coin.Amount, amount coin.Amount, keys []coin.Denomination) *coin.Selection

func ours(purse []coin.Amount, amount coin.Amount, keys []coin.Denomination) *coin.Selection {
	return must(coin.SelectCoins(purse, amount, keys))
}

// greedy is what one would write first: the largest coins until it is enough.
func greedy(purse []coin.Amount, amount coin.Amount, keys []coin.Denomination) *coin.Selection {
	return inOrder(func(a, b coin.Amount) int { return cmp.Compare(b, a) })(purse, amount, keys)
}

// smallest spends small change first, as people do who want to be rid of it.
func smallest(purse []coin.Amount, amount coin.Amount, keys []coin.Denomination) *coin.Selection {
	return inOrder(cmp.Compare[coin.Amount])(purse, amount, keys)
}

// inOrder takes one coin after the other until it is enough.
func inOrder(compare func(a, b coin.Amount) int) chooser {
	return func(purse []coin.Amount, amount coin.Amount, keys []coin.Denomination) *coin.Selection {
		order := seq(len(purse))
		slices.SortStableFunc(order, func(a, b int) int { return compare(purse[a], purse[b]) })
		sel := &coin.Selection{}
		var sum coin.Amount
		for _, i := range order {
			if sum >= amount {
				break
			}
			sel.Spend, sum = append(sel.Spend, i), sum+purse[i]
		}
		slices.Sort(sel.Spend)
		sel.Change, sel.Keys = sum-amount, must(coin.Breakdown(sum-amount, keys))
		return sel
	}
}

func lifeKeys() []coin.Denomination {
	var values []coin.Amount
	for b := range 15 {
		values = append(values, 1<<b)
	}
	return keysOf(values...)
}

// account is what a life with a purse came to.
type account struct {
	payments, exact int // exact: without change
	moved           int // coins spent and coins of change together
	most            int // coins in the purse at once
	small           int // small amounts that the purse could have paid without change, of those asked
	asked           int
}

// living plays payments out of a purse that is filled up when it can't pay, and asks
// after each which amounts it could pay without change.
func living(r *rand.Rand, n int, keys []coin.Denomination, choose chooser, ask ...coin.Amount) (a account) {
	var purse []coin.Amount
	for range n {
		amount := coin.Amount(1 + r.IntN(40)*r.IntN(60)) // up to 23.01, mostly a few
		for worth(purse) < amount {
			purse = append(purse, valuesOf(must(coin.Breakdown(5000, keys)))...)
		}
		sel := choose(purse, amount, keys)
		a.payments++
		a.moved += len(sel.Spend) + len(sel.Keys)
		if len(sel.Keys) == 0 {
			a.exact++
		}
		purse = append(without(purse, sel.Spend), valuesOf(sel.Keys)...)
		a.most = max(a.most, len(purse))
		for _, small := range ask {
			a.asked++
			if worth(purse) < small {
				continue
			}
			if _, err := coin.SelectCoins(purse, small, nil); err == nil {
				a.small++
			}
		}
	}
	return a
}

func worth(purse []coin.Amount) (sum coin.Amount) {
	for _, v := range purse {
		sum += v
	}
	return sum
}

func without(purse []coin.Amount, spent []int) (out []coin.Amount) {
	for i, v := range purse {
		if _, gone := slices.BinarySearch(spent, i); !gone {
			out = append(out, v)
		}
	}
	return out
}

// TestAPurseStaysFitForSmallPayments compares the payments of purses that are
// used in different ways. (Change in two more coins than the fewest, for values that
// the purse lacks, was tried: half as many payments again need no change, and every
// payment costs a twelfth more signatures of the bank's, and tags of the TPM. The
// fewest it is.)
func TestAPurseStaysFitForSmallPayments(t *testing.T) {
	got := map[string]account{}
	for name, choose := range map[string]chooser{"ours": ours, "largest first": greedy, "smallest first": smallest} {
		a := living(rand.New(rand.NewPCG(6, 6)), 250, lifeKeys(), choose, 1, 60, 99, 150, 250, 350, 499)
		got[name] = a
		t.Logf("%-14s  %.2f coins moved a payment, %2d%% without change, %2d%% of small amounts payable without, at most %d coins in the purse",
			name, float64(a.moved)/float64(a.payments), 100*a.exact/a.payments, 100*a.small/a.asked, a.most)
	}
	a := got["ours"]
	for _, other := range []string{"largest first", "smallest first"} {
		if b := got[other]; a.moved*10 > b.moved*9 {
			t.Errorf("%d coins moved, %s %d: not a tenth better", a.moved, other, b.moved)
		}
	}
	for _, other := range []string{"largest first", "smallest first"} {
		if b := got[other]; a.exact < 5*b.exact {
			t.Errorf("%d payments without change, %s %d: not five times as many", a.exact, other, b.exact)
		}
	}
	// Largest first never spends a small coin, and hoards hundreds of them.
	if b := got["smallest first"]; a.small < 2*b.small {
		t.Errorf("%d small amounts payable without change, smallest first %d: not twice as many", a.small, b.small)
	}
	if a.most > 60 {
		t.Errorf("%d coins in the purse", a.most)
	}
}

// TestAPurseDoesNotGrow: whatever is paid, a payment adds no more coins than its
// change has, and a purse that pays on has few.
func TestAPurseDoesNotGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := living(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)), 10, lifeKeys(), ours)
		if a.most > 60 {
			t.Fatalf("%d coins in the purse", a.most)
		}
	})
}

// TestOfEqualChoicesTheOneThatLeavesMoreValues: 3 out of 1 1 1 2 2 is 2 and 1 at
// any rate; 6 out of 4 4 2 2 2 is 4 and 2; and where one of two ways takes the
// last coin of a value, the other is taken.
func TestOfEqualChoicesTheOneThatLeavesMoreValues(t *testing.T) {
	keys := lifeKeys()[:5]
	for name, c := range map[string]struct {
		purse  []coin.Amount
		amount coin.Amount
		left   []coin.Amount
	}{
		// 4+4 empties the fours; 8 empties nothing, and costs one coin less.
		"fewer coins count more":            {[]coin.Amount{4, 4, 8, 8}, 8, []coin.Amount{4, 4, 8}},
		"8 with change of 2, or 16 with 10": {[]coin.Amount{8, 16, 16}, 6, []coin.Amount{16, 16, 2}},
		// Both 8+2+2 and 4+4+4 are three coins without change.
		"the last coin of a value stays": {[]coin.Amount{8, 2, 2, 4, 4, 4, 4}, 12, []coin.Amount{2, 2, 4, 4, 4}},
	} {
		sel, err := coin.SelectCoins(c.purse, c.amount, keys)
		if err != nil {
			t.Fatal(err)
		}
		left := append(without(c.purse, sel.Spend), valuesOf(sel.Keys)...)
		if !slices.Equal(left, c.left) {
			t.Errorf("%s: %v is left, want %v", name, left, c.left)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Custom(func(t *rapid.T) coin.Amount { return 1 << rapid.IntRange(0, 4).Draw(t, "bit") })
		purse := rapid.SliceOfN(value, 1, 9).Draw(t, "purse")
		amount := coin.Amount(rapid.Int64Range(1, int64(worth(purse))).Draw(t, "amount"))
		sel, err := coin.SelectCoins(purse, amount, keys)
		if errors.Is(err, coin.ErrNoChange) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		left := kinds(append(without(purse, sel.Spend), valuesOf(sel.Keys)...))
		for set := range 1 << len(purse) {
			var spend []int
			for i := range purse {
				if set>>i&1 == 1 {
					spend = append(spend, i)
				}
			}
			rest := without(purse, spend)
			over := worth(purse) - worth(rest) - amount
			if over < 0 || over > coin.MaxAmount {
				continue
			}
			change, err := coin.Breakdown(over, keys)
			if err != nil || len(spend) != len(sel.Spend) || len(change) != len(sel.Keys) {
				continue
			}
			if n := kinds(append(rest, valuesOf(change)...)); n > left {
				t.Fatalf("%d values left, and %d with %v", left, n, spend)
			}
		}
	})
}

// kinds is how many different values there are.
func kinds(purse []coin.Amount) int {
	slices.Sort(purse)
	return len(slices.Compact(purse))
}
