package coin_test

import (
	"math/bits"
	"slices"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"pgregory.net/rapid"
)

func keysOf(values ...coin.Amount) (out []coin.Denomination) {
	for i, v := range values {
		out = append(out, coin.Denomination{KeyID: coin.KeyID{byte(i)}, Value: v})
	}
	return out
}

func valuesOf(keys []coin.Denomination) (out []coin.Amount) {
	for _, d := range keys {
		out = append(out, d.Value)
	}
	return out
}

func TestBreakdown(t *testing.T) {
	cases := []struct {
		name   string
		amount coin.Amount
		keys   []coin.Amount
		want   []coin.Amount
		err    error
	}{
		{"nothing", 0, []coin.Amount{1, 2, 4}, nil, nil},
		{"one of each", 7, []coin.Amount{1, 2, 4}, []coin.Amount{4, 2, 1}, nil},
		{"more of the largest", 13, []coin.Amount{1, 4}, []coin.Amount{4, 4, 4, 1}, nil},
		{"keys in any order", 6, []coin.Amount{4, 1, 2}, []coin.Amount{4, 2}, nil},
		{"no small key", 5, []coin.Amount{2, 4}, nil, coin.ErrNoChange},
		{"no key", 5, nil, nil, coin.ErrNoChange},
		{"too many coins", coin.MaxOutputs + 1, []coin.Amount{1}, nil, coin.ErrNoChange},
		{"as many coins as may be", coin.MaxOutputs, []coin.Amount{1}, slices.Repeat([]coin.Amount{1}, coin.MaxOutputs), nil},
		{"a negative amount", -1, []coin.Amount{1}, nil, coin.ErrOverflow},
		{"a value that is no power of two", 5, []coin.Amount{5}, nil, coin.ErrMalformed},
		{"a value of nothing", 5, []coin.Amount{0}, nil, coin.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := coin.Breakdown(c.amount, keysOf(c.keys...))
			expect(t, err, c.err)
			if !slices.Equal(valuesOf(got), c.want) {
				t.Fatalf("got %v, want %v", valuesOf(got), c.want)
			}
		})
	}
	old, fresh := keysOf(1)[0], keysOf(1)[0]
	fresh.KeyID, fresh.SpendUntil = coin.KeyID{9}, time.Unix(1, 0)
	got, err := coin.Breakdown(1, []coin.Denomination{old, fresh})
	if err != nil || got[0].KeyID != fresh.KeyID {
		t.Fatal("not the key that is spendable longest")
	}
}

func TestBreakdownSumsAndIsShortest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := coin.Amount(rapid.Int64Range(0, 1<<40).Draw(t, "amount"))
		var values []coin.Amount
		for b := range 41 {
			values = append(values, 1<<b)
		}
		got, err := coin.Breakdown(amount, keysOf(values...))
		if err != nil {
			t.Fatal(err)
		}
		var sum coin.Amount
		for _, d := range got {
			sum += d.Value
		}
		if sum != amount || len(got) != bits.OnesCount64(uint64(amount)) {
			t.Fatalf("%d in %d coins for %d", sum, len(got), amount)
		}
	})
}

func TestSelectCoins(t *testing.T) {
	all := []coin.Amount{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096}
	cases := []struct {
		name   string
		purse  []coin.Amount
		amount coin.Amount
		keys   []coin.Amount
		spend  []int
		change []coin.Amount
		err    error
	}{
		{"exactly one coin", []coin.Amount{1, 2, 4}, 4, all, []int{2}, nil, nil},
		{"one coin and change rather than three coins", []coin.Amount{1, 2, 4, 8}, 7, all, []int{3}, []coin.Amount{1}, nil},
		{"coins rather than change where both cost the same", []coin.Amount{2, 1, 4}, 3, all, []int{0, 1}, nil, nil},
		{"the first of equal coins", []coin.Amount{4, 4, 4}, 8, all, []int{0, 1}, nil, nil},
		{"no change is given", []coin.Amount{4, 2, 1, 8}, 7, nil, []int{0, 1, 2}, nil, nil},
		{"change only in large coins", []coin.Amount{8, 1, 1, 1}, 3, []coin.Amount{4}, []int{1, 2, 3}, nil, nil},
		{"a coin beyond all change keys", []coin.Amount{64}, 60, []coin.Amount{1, 2}, []int{0}, []coin.Amount{2, 2}, nil},
		{"many small coins", slices.Repeat([]coin.Amount{1}, 300), 250, all, seq(250), nil, nil},
		{"more small coins than a spend has", slices.Repeat([]coin.Amount{1}, 300), 300, all, nil, nil, coin.ErrNoChange},
		{"too little", []coin.Amount{1, 2}, 4, all, nil, nil, coin.ErrInsufficient},
		{"an empty purse", nil, 1, all, nil, nil, coin.ErrInsufficient},
		{"enough, but no change", []coin.Amount{4}, 3, nil, nil, nil, coin.ErrNoChange},
		{"enough, but change too coarse", []coin.Amount{4, 4}, 3, []coin.Amount{2}, nil, nil, coin.ErrNoChange},
		{"nothing to pay", []coin.Amount{1}, 0, all, nil, nil, coin.ErrAmount},
		{"a negative amount", []coin.Amount{1}, -1, all, nil, nil, coin.ErrOverflow},
		{"a coin that is no power of two", []coin.Amount{3}, 1, all, nil, nil, coin.ErrMalformed},
		{"a key that is no power of two", []coin.Amount{4}, 1, []coin.Amount{3}, nil, nil, coin.ErrMalformed},
		{"the largest coin", []coin.Amount{1 << 52}, 1, nil, nil, nil, coin.ErrNoChange},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := coin.SelectCoins(c.purse, c.amount, keysOf(c.keys...))
			expect(t, err, c.err)
			if err == nil && (!slices.Equal(got.Spend, c.spend) || !slices.Equal(valuesOf(got.Keys), c.change)) {
				t.Fatalf("got %v, change %v", got.Spend, valuesOf(got.Keys))
			}
		})
	}
}

func seq(n int) (out []int) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

// brute tries every subset and returns the fewest coins spent and given back
// together, and with that the fewest given back; false if none does.
func brute(purse []coin.Amount, amount coin.Amount, keys []coin.Denomination) (cost, change int, ok bool) {
	for set := range 1 << len(purse) {
		var sum coin.Amount
		for i, v := range purse {
			if set>>i&1 == 1 {
				sum += v
			}
		}
		if sum < amount {
			continue
		}
		back, err := coin.Breakdown(sum-amount, keys)
		if err != nil {
			continue
		}
		n := bits.OnesCount(uint(set)) + len(back)
		if !ok || n < cost || (n == cost && len(back) < change) {
			cost, change, ok = n, len(back), true
		}
	}
	return cost, change, ok
}

func TestSelectCoinsIsAsGoodAsTryingEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Custom(func(t *rapid.T) coin.Amount { return 1 << rapid.IntRange(0, 7).Draw(t, "bit") })
		purse := rapid.SliceOfN(value, 0, 10).Draw(t, "purse")
		keys := keysOf(rapid.SliceOfN(value, 0, 6).Draw(t, "keys")...)
		amount := coin.Amount(rapid.Int64Range(1, 300).Draw(t, "amount"))
		cost, change, ok := brute(purse, amount, keys)
		got, err := coin.SelectCoins(purse, amount, keys)
		if (err == nil) != ok {
			t.Fatalf("got %v, trying everything finds %v", err, ok)
		}
		if err != nil {
			return
		}
		var sum coin.Amount
		for i, at := range got.Spend {
			if i > 0 && got.Spend[i-1] >= at {
				t.Fatalf("indexes %v", got.Spend)
			}
			sum += purse[at]
		}
		for _, d := range got.Keys {
			sum -= d.Value
		}
		if sum != amount {
			t.Fatalf("pays %d", sum)
		}
		if len(got.Spend)+len(got.Keys) != cost || len(got.Keys) != change {
			t.Fatalf("%d coins and %d back, best is %d in all with %d back", len(got.Spend), len(got.Keys), cost, change)
		}
	})
}

func BenchmarkSelectCoins(b *testing.B) {
	var all []coin.Amount
	for bit := range 20 {
		all = append(all, 1<<bit)
	}
	typical := append(slices.Clone(all), all...)
	large := slices.Repeat(all, 500)
	for name, purse := range map[string][]coin.Amount{"40 coins": typical, "10000 coins": large} {
		b.Run(name, func(b *testing.B) {
			keys := keysOf(all...)
			for b.Loop() {
				if _, err := coin.SelectCoins(purse, 123456, keys); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
