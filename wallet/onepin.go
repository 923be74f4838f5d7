package wallet

import (
	"context"
	"database/sql"
	"encoding/hex"

	"github.com/speciecash/specie/coin"
)

// OnePIN says that the purse's lock in the TPM and the member's key were given the
// same PIN: who has typed it for the one need not be asked for the other. It is what
// the person said, not what the wallet has tried; a PIN that was changed ends it.
func (w *Wallet) OnePIN(ctx context.Context) (one bool, err error) {
	_, err = w.purse.get(ctx, metaOnePIN, &one)
	return one, err
}

// SetOnePIN notes that, or that it is so no more.
func (w *Wallet) SetOnePIN(ctx context.Context, one bool) error {
	if was, err := w.OnePIN(ctx); err != nil || was == one {
		return err
	}
	return w.purse.update(ctx, func(tx *sql.Tx) error { return putMeta(ctx, tx, metaOnePIN, one) })
}

// Elsewhere is what of a purse is bound to the TPM that it was enrolled with.
type Elsewhere struct {
	// Coins are the bound coins that could be spent with that TPM, Worth is what
	// they are worth in minor units.
	Coins int         `json:"coins"`
	Worth coin.Amount `json:"worth"`
	// TPM is the ending of that TPM's name: of the digest of its endorsement key,
	// in hexadecimal. Empty if the purse never learned it.
	TPM string `json:"tpm,omitempty"`
}

// Elsewhere adds up the fresh bound coins of the present membership.
func (w *Wallet) Elsewhere(ctx context.Context) (Elsewhere, error) {
	var e Elsewhere
	if w.enrolled == nil {
		return e, nil
	}
	if n := len(w.enrolled.EKID); n >= 4 {
		e.TPM = hex.EncodeToString(w.enrolled.EKID[n-4:])
	}
	coins, err := w.purse.coins(ctx, "WHERE state IN (?, ?) AND kind = ?", CoinFresh, CoinDormant, string(coin.Bound))
	if err != nil {
		return e, err
	}
	for _, c := range coins {
		if w.stranded(c) {
			continue
		}
		e.Coins++
		if e.Worth, err = e.Worth.Add(c.Value); err != nil {
			return e, err
		}
	}
	return e, nil
}
