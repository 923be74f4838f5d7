package coin

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// valueBits is how many powers of two there are up to MaxAmount.
const valueBits = 53

// Breakdown returns the keys to issue under so that the coins are worth
// amount, largest first. Values being powers of two, taking the largest that
// fits gives the fewest coins. Of keys with one value the one spendable
// longest is taken. It returns ErrNoChange if the values can't make up the
// amount with MaxOutputs coins.
func Breakdown(amount Amount, keys []Denomination) ([]Denomination, error) {
	if err := amount.Check(); err != nil {
		return nil, err
	}
	keys = slices.Clone(keys)
	slices.SortFunc(keys, preferred)
	var out []Denomination
	for _, d := range keys {
		if err := checkValue(d.Value); err != nil {
			return nil, err
		}
		for ; d.Value <= amount; amount -= d.Value {
			if len(out) == MaxOutputs {
				return nil, fmt.Errorf("%w: more than %d coins", ErrNoChange, MaxOutputs)
			}
			out = append(out, d)
		}
	}
	if amount != 0 {
		return nil, fmt.Errorf("%w: %d is left over", ErrNoChange, amount)
	}
	return out, nil
}

// Selection is what to spend for an amount.
type Selection struct {
	Spend  []int          // indexes into the values, ascending
	Change Amount         // what the coins are worth beyond the amount
	Keys   []Denomination // to issue the change under, largest first
}

// SelectCoins chooses from coins of the given values those to pay amount
// with, so that coins spent and change coins together are as few as can be,
// and of equal choices the one with the fewest change coins: every change
// coin is a signature of the bank's token, and without any the payment is done in
// one step. Of choices that are equal in that as well it takes one that leaves coins
// of the most values, which pay the next small amounts without change. Of coins with one value those that
// stand first in values are taken, so a caller puts first what expires first.
//
// It returns ErrInsufficient if all coins together are worth less, and
// ErrNoChange if no choice with at most MaxCoins coins and change coins
// together makes up the amount.
//
// The search is exact. All values being powers of two, it goes through the
// binary digits of the amount from the lowest, keeping for each carry the
// cheapest way to get there: at most 53 digits times 2·MaxCoins+3 carries
// times MaxCoins choices, whatever the size of the purse.
func SelectCoins(values []Amount, amount Amount, keys []Denomination) (*Selection, error) {
	if err := amount.Check(); err != nil {
		return nil, err
	}
	if amount == 0 {
		return nil, fmt.Errorf("%w: nothing to pay", ErrAmount)
	}
	var have, change [valueBits]int
	total, enough := Amount(0), false
	for _, v := range values {
		if err := checkValue(v); err != nil {
			return nil, err
		}
		b := bits.TrailingZeros64(uint64(v))
		have[b] = min(have[b]+1, MaxCoins)
		if !enough {
			sum, err := total.Add(v)
			total, enough = sum, err != nil || sum >= amount
		}
	}
	if !enough {
		return nil, fmt.Errorf("%w: %d of %d", ErrInsufficient, total, amount)
	}
	for i := range keys {
		if err := checkValue(keys[i].Value); err != nil {
			return nil, err
		}
		change[bits.TrailingZeros64(uint64(keys[i].Value))] = 1
	}
	limitChange(&change)
	take, ok := cheapest(amount, &have, &change)
	if !ok {
		return nil, fmt.Errorf("%w: not with %d coins", ErrNoChange, MaxCoins)
	}
	return finish(values, amount, keys, &take)
}

// limitChange replaces each 1 by the number of change coins of that value
// which can be of use: one less than make up the next larger value.
func limitChange(change *[valueBits]int) {
	next := -1
	for b := valueBits - 1; b >= 0; b-- {
		if change[b] == 0 {
			continue
		}
		change[b] = MaxCoins
		if gap := next - b; next >= 0 && gap < 8 {
			change[b] = 1<<gap - 1
		}
		next = b
	}
}

// Bounds of cheapest. A carry comes from halving digit + carry - z with
// |z| ≤ MaxCoins, so it never exceeds MaxCoins + 1 either way.
const (
	maxCarry = MaxCoins + 1
	carries  = 2*maxCarry + 1

	// A coin more costs more than any number of change coins, and one of those more
	// than any number of values of which the purse has none left.
	changeCost = valueBits + 1
	coinCost   = changeCost * (MaxCoins + 1)
	unreached  = math.MaxInt
)

// cheapest finds for every power of two how many coins to spend (positive)
// or to get back (negative).
//
// Before digit b, what is still to be paid, in units of 2^b, is the rest of
// the amount's digits plus a carry. Choosing z coins of 2^b must leave an even
// number, half of which is still to be paid in units of 2^(b+1). cost and came
// are indexed by carry + maxCarry.
func cheapest(amount Amount, have, change *[valueBits]int) (take [valueBits]int, ok bool) {
	var came [valueBits][carries]int16
	cost := filled(carries, unreached)
	cost[maxCarry] = 0
	for b := range valueBits {
		next := filled(carries, unreached)
		for i, paid := range cost {
			if paid == unreached {
				continue
			}
			due := digit(amount, b) + i - maxCarry
			first := -change[b]
			if (due-first)&1 != 0 {
				first++
			}
			for z := first; z <= have[b]; z += 2 {
				c := paid + coinCost*max(z, -z) + changeCost*max(-z, 0)
				if have[b] == z {
					c++ // none of this value is left
				}
				j := (due-z)/2 + maxCarry
				if c < coinCost*(MaxCoins+1) && c < next[j] {
					next[j], came[b][j] = c, int16(i)
				}
			}
		}
		cost = next
	}
	if cost[maxCarry] == unreached {
		return take, false
	}
	for b, j := valueBits-1, maxCarry; b >= 0; b-- {
		i := int(came[b][j])
		take[b] = digit(amount, b) + (i - maxCarry) - 2*(j-maxCarry)
		j = i
	}
	return take, true
}

func digit(a Amount, b int) int { return int(a>>b) & 1 }

func filled(n, v int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = v
	}
	return s
}

// finish turns numbers of coins into coins.
func finish(values []Amount, amount Amount, keys []Denomination, take *[valueBits]int) (*Selection, error) {
	sel := &Selection{}
	var sum Amount
	for i, v := range values {
		b := bits.TrailingZeros64(uint64(v))
		if take[b] <= 0 {
			continue
		}
		take[b]--
		sel.Spend = append(sel.Spend, i)
		var err error
		if sum, err = sum.Add(v); err != nil {
			return nil, err
		}
	}
	var err error
	if sel.Change, err = sum.Sub(amount); err != nil {
		return nil, err
	}
	if sel.Keys, err = Breakdown(sel.Change, keys); err != nil {
		return nil, err
	}
	return sel, nil
}

// checkValue returns ErrMalformed unless v is a power of two.
func checkValue(v Amount) error {
	if v <= 0 || v > MaxAmount || bits.OnesCount64(uint64(v)) != 1 {
		return fmt.Errorf("%w: %d is not a denomination's value", ErrMalformed, v)
	}
	return nil
}
