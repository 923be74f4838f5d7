package wallet

import (
	"context"
	"time"

	"github.com/speciecash/specie/coin"
)

// Expiring are coins of a kind that can't be spent much longer.
type Expiring struct {
	Kind     coin.Kind   `json:"kind"`
	Coins    int         `json:"coins"`
	Worth    coin.Amount `json:"worth"`
	Currency string      `json:"currency"`
	Exponent int         `json:"exponent"`
	// Until is when the first of them can't be spent any more.
	Until time.Time `json:"until"`
	// Later says that the bank issues coins that can be spent longer.
	Later bool `json:"later"`
}

// Expiring finds the coins that can be spent now and, within that time, not any
// more. Only the purse is asked.
func (w *Wallet) Expiring(ctx context.Context, within time.Duration) ([]Expiring, error) {
	k, err := w.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	var out []Expiring
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		coins, err := w.purse.coins(ctx, "WHERE state = ? AND kind = ?", CoinFresh, string(kind))
		if err != nil {
			return nil, err
		}
		e := Expiring{Kind: kind, Currency: k.Currency, Exponent: k.Exponent}
		for _, c := range coins {
			until, ok := w.expires(k, c, within)
			if !ok || !w.allSpendable(k, []StoredCoin{c}) {
				continue
			}
			e.Coins++
			if e.Worth, err = e.Worth.Add(c.Value); err != nil {
				return nil, err
			}
			if e.Until.IsZero() || until.Before(e.Until) {
				e.Until = until
			}
		}
		if e.Coins > 0 {
			e.Later = later(k, kind, w.now(), e.Until)
			out = append(out, e)
		}
	}
	return out, nil
}

// expires says until when a coin can be spent, and whether that is within a time.
func (w *Wallet) expires(k *coin.Keyset, c StoredCoin, within time.Duration) (time.Time, bool) {
	d, err := k.Find(c.KeyID)
	if err != nil {
		return time.Time{}, false
	}
	return d.SpendUntil, d.SpendUntil.Sub(w.now()) <= within
}

// later says whether a key issues now under which coins can be spent longer.
func later(k *coin.Keyset, kind coin.Kind, now, than time.Time) bool {
	for _, d := range k.ForIssue(kind, now) {
		if d.SpendUntil.After(than) {
			return true
		}
	}
	return false
}

// ExchangeExpiring is Exchange for the coins that can't be spent after that time any
// more, and for which there are others that can.
func (w *Wallet) ExchangeExpiring(ctx context.Context, kind coin.Kind, within time.Duration) (int, error) {
	return w.exchangeAll(ctx, kind, func(k *coin.Keyset, c StoredCoin) bool {
		until, ok := w.expires(k, c, within)
		return ok && later(k, kind, w.now(), until)
	})
}
