package wallet

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
)

// DormantFor is how long a bound coin sleeps that was found unspent. The lost
// purse may have promised it to a merchant who has not deposited it yet: spent
// again meanwhile, it would be a double spend of an honest holder's. Bearer coins
// have no owner to be named, and the merchant learns at once that they are spent.
const DormantFor = 24 * time.Hour

// askStates finds out which of the coins are spent.
func (w *Wallet) askStates(ctx context.Context, finds []find, settled bool) error {
	if len(finds) == 0 {
		return nil
	}
	refs := make([]coinRef, len(finds))
	for i := range finds {
		refs[i] = coinRef{finds[i].item.KeyID, finds[i].coin.ID()}
	}
	states, err := w.bank.coinStates(ctx, refs)
	if err != nil {
		return err
	}
	for i, s := range states {
		finds[i].state = restoredState(s, finds[i].coin.Kind, settled)
	}
	return nil
}

// restoredState is what a coin is in the purse after the bank's word.
func restoredState(bank string, kind coin.Kind, settled bool) string {
	switch {
	case bank == bankSpent:
		return CoinSpent
	case bank != bankUnspent, kind == coin.Bound && !settled:
		return CoinDormant
	}
	return CoinFresh
}

// wake asks the bank about dormant coins: those that are spent are kept as spent,
// those whose time has come and that are not, are fresh. It returns how many are
// left.
func (w *Wallet) wake(ctx context.Context) (left int, err error) {
	coins, err := w.purse.coins(ctx, "WHERE state = ?", CoinDormant)
	if err != nil {
		return 0, err
	}
	var due []StoredCoin
	for _, c := range coins {
		if c.Kind == coin.Bound && w.now().Before(c.Created.Add(DormantFor)) {
			left++
			continue
		}
		due = append(due, c)
	}
	for len(due) > 0 {
		n := min(restoreLot, len(due))
		refs := make([]coinRef, n)
		for i, c := range due[:n] {
			refs[i] = coinRef{c.KeyID, [32]byte(c.ID)}
		}
		states, err := w.bank.coinStates(ctx, refs)
		if err != nil {
			return left + len(due), fmt.Errorf("dormant coins: %w", err)
		}
		err = w.purse.update(ctx, func(tx *sql.Tx) error {
			for i, s := range states {
				to := restoredState(s, due[i].Kind, true)
				if to == CoinDormant {
					left++
				}
				if err := setState(ctx, tx, due[i].ID, to); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return left, err
		}
		due = due[n:]
	}
	return left, nil
}
