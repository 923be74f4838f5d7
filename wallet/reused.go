package wallet

import (
	"context"
	"errors"
	"fmt"

	"github.com/speciecash/specie/coin"
)

// rescue finds the coins whose numbers another copy of the purse has used, from
// the least number of these items on, and moves the counters behind them.
func (w *Wallet) rescue(ctx context.Context, k *coin.Keyset, items []item) (*Restored, error) {
	from := map[coin.KeyID]uint64{}
	for _, it := range items {
		if at, ok := from[it.KeyID]; !ok || it.Index < at {
			from[it.KeyID] = it.Index
		}
	}
	out := &Restored{}
	for kid, at := range from {
		d, err := k.Find(kid)
		if err != nil {
			return out, err
		}
		if d.Kind == coin.Bound && w.member == nil {
			out.Skipped++
			continue
		}
		walk := walk{w: w, k: k, d: d, at: at}
		if err := walk.run(ctx, out); err != nil {
			return out, fmt.Errorf("look for coins of another copy: %w", err)
		}
	}
	return out, nil
}

// reused is the error for an operation whose coin numbers another copy of the
// purse has used: nothing was paid, and what that copy drew is in this purse now.
func (w *Wallet) reused(ctx context.Context, k *coin.Keyset, items []item) error {
	found, err := w.rescue(ctx, k, items)
	if err != nil {
		return errors.Join(ErrReused, err)
	}
	return &ReusedError{Found: *found}
}

// ReusedError says what was found of another copy's. It matches [ErrReused].
type ReusedError struct{ Found Restored }

// Error counts the coins.
func (e *ReusedError) Error() string {
	return fmt.Sprintf("%v: coins of that copy found at the bank, and put into this purse: %d, of which spent: %d", ErrReused, e.Found.Coins, e.Found.Spent)
}

// Unwrap makes errors.Is(err, ErrReused) true.
func (e *ReusedError) Unwrap() error { return ErrReused }
