package wallet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/speciecash/specie/coin"
)

// choice is what to spend and what to get back.
type choice struct {
	coins      []StoredCoin
	change     coin.Amount
	changeKeys []coin.Denomination
}

// choose picks coins for an offer: of one kind where that reaches, bound ones
// first (a thief can't use what is left of them), else of both: what is wrong with
// one kind then concerns no coins of the other. Coins and
// change coins together are as few as can be (coin.SelectCoins).
func (w *Wallet) choose(ctx context.Context, k *coin.Keyset, o *coin.Offer, want []coin.Kind) (*choice, error) {
	usable, more, err := w.usable(ctx, k, o, want)
	if err != nil {
		return nil, err
	}
	c, last := w.pick(k, o.Amount, usable)
	if errors.Is(last, coin.ErrInsufficient) {
		last = short(k, usable, o.Amount, last)
	}
	switch {
	case c != nil:
		return c, nil
	case more.locked:
		// There are more, and they would be looked at.
		return nil, fmt.Errorf("%w: bound coins need their TPM: %w", ErrFunds, w.noTPM())
	case more.held && (last == nil || errors.Is(last, coin.ErrInsufficient)):
		return nil, fmt.Errorf("%w: %w", ErrFunds, ErrEnded)
	case more.stranded && (last == nil || errors.Is(last, coin.ErrInsufficient)):
		return nil, fmt.Errorf("%w: some can't be spent: %w", ErrFunds, ErrStranded)
	case more.claimable && (last == nil || errors.Is(last, coin.ErrInsufficient)):
		return nil, fmt.Errorf("%w: some can't be spent: %w", ErrFunds, ErrRecoup)
	case last == nil:
		return nil, fmt.Errorf("%w: none that this merchant takes", ErrFunds)
	case errors.Is(last, coin.ErrInsufficient):
		return nil, fmt.Errorf("%w: %w", ErrFunds, last)
	}
	return nil, fmt.Errorf("%w: %w", ErrAmount, last)
}

// shortage is coin.ErrInsufficient in the words of a person.
type shortage struct {
	text string
	err  error
}

func (s *shortage) Error() string { return s.text }
func (s *shortage) Unwrap() error { return s.err }

// short says how much there is and how much it takes.
func short(k *coin.Keyset, there []StoredCoin, amount coin.Amount, err error) error {
	total, serr := sum(there)
	if serr != nil {
		return err
	}
	return &shortage{fmt.Sprintf("%s of %s %s", total.Format(k.Exponent), amount.Format(k.Exponent), k.Currency), err}
}

// pick is choose among coins that can be spent: nil without an error where there
// are none.
func (w *Wallet) pick(k *coin.Keyset, amount coin.Amount, usable []StoredCoin) (*choice, error) {
	var last error
	for _, set := range [][]StoredCoin{only(usable, coin.Bound), only(usable, coin.Bearer), usable} {
		if len(set) == 0 {
			continue
		}
		c, err := w.chooseFrom(k, amount, set)
		if err == nil {
			return c, nil
		}
		last = err
	}
	return nil, last
}

func (w *Wallet) chooseFrom(k *coin.Keyset, amount coin.Amount, set []StoredCoin) (*choice, error) {
	values := make([]coin.Amount, len(set))
	for i := range set {
		values[i] = set[i].Value
	}
	// Change is as well protected as what it came from.
	kind := coin.Bearer
	if slices.ContainsFunc(set, func(c StoredCoin) bool { return c.Kind == coin.Bound }) {
		kind = coin.Bound
	}
	sel, err := coin.SelectCoins(values, amount, k.ForIssue(kind, w.now()))
	if err != nil {
		return nil, err
	}
	c := &choice{change: sel.Change, changeKeys: sel.Keys}
	for _, i := range sel.Spend {
		c.coins = append(c.coins, set[i])
	}
	return c, nil
}

// others are coins that can't be spent as things are: bound ones whose TPM is
// not attached or whose owner's membership has ended, those that have to be made
// good first, and those whose TPM is gone.
type others struct{ locked, held, claimable, stranded bool }

// usable lists the fresh coins that the merchant takes and that can be spent
// now, those that expire first in front, and what others there are.
func (w *Wallet) usable(ctx context.Context, k *coin.Keyset, o *coin.Offer, want []coin.Kind) (out []StoredCoin, more others, err error) {
	all, err := w.purse.coins(ctx, "WHERE state = ? ORDER BY value DESC, id", CoinFresh)
	if err != nil {
		return nil, more, err
	}
	held, err := w.held(ctx)
	if err != nil {
		return nil, more, err
	}
	for _, c := range all {
		if w.stranded(c) {
			more.stranded = true
			continue
		}
		more.claimable = more.claimable || claimable(k, c)
		d, err := k.Find(c.KeyID)
		if err != nil || d.CheckSpend(w.now()) != nil || claimable(k, c) || !slices.Contains(o.Kinds, c.Kind) {
			continue
		}
		if len(want) > 0 && !slices.Contains(want, c.Kind) {
			continue
		}
		if c.Kind == coin.Bound && (w.enrolled == nil || !slices.Contains(o.Groups, w.enrolled.groupID)) {
			continue
		}
		if held(c) {
			more.held = true
			continue
		}
		if c.Kind == coin.Bound && w.member == nil {
			more.locked = true
			continue
		}
		out = append(out, c)
	}
	until := func(c StoredCoin) int64 {
		d, err := k.Find(c.KeyID)
		if err != nil {
			return 0
		}
		return d.SpendUntil.Unix()
	}
	slices.SortStableFunc(out, func(a, b StoredCoin) int { return cmp.Compare(until(a), until(b)) })
	return out, more, nil
}

func only(coins []StoredCoin, kind coin.Kind) []StoredCoin {
	var out []StoredCoin
	for _, c := range coins {
		if c.Kind == kind {
			out = append(out, c)
		}
	}
	return out
}
