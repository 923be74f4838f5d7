package wallettest

import (
	"context"
	"slices"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/issuer"
)

// Revoke publishes a keyset that revokes keys of a kind; the bank takes it up as
// it works.
func (w *Town) Revoke(t testing.TB, kind coin.Kind, values ...coin.Amount) {
	t.Helper()
	for _, v := range values {
		w.Key(t, kind, v).Revoked = true
	}
	w.Keyset.Seq++
	w.Keyset.Prev = w.Keyset.Digest
	w.signed = w.SignKeyset(t, nil)
	must(t, w.Bank.Reload(t.Context(), w.signed, issuer.ReceiptSigner{}))
	w.Keyset.Digest = w.Bank.Keyset().Digest
}

// Lose takes keys of a kind out of the token, and publishes a keyset that says
// so.
func (w *Town) Lose(t testing.TB, kind coin.Kind, values ...coin.Amount) {
	t.Helper()
	w.Destroy(t, kind, values...)
	w.Rotate(t, func(*coin.Keyset) {
		for _, v := range values {
			w.Key(t, kind, v).Lost = true
		}
	})
}

// Destroy takes keys of a kind out of the token, as a bank may when nothing can be
// spent under them any more. It takes the bank that opens next to see it.
func (w *Town) Destroy(t testing.TB, kind coin.Kind, values ...coin.Amount) {
	t.Helper()
	if w.lost == nil {
		w.lost = map[coin.KeyID]bool{}
	}
	for _, v := range values {
		w.lost[w.Key(t, kind, v).KeyID] = true
	}
}

// Mint makes a key in the token and publishes a keyset with it; it is like that
// of value 16 but for its value and what change alters.
func (w *Town) Mint(t testing.TB, kind coin.Kind, value coin.Amount, change func(*coin.Denomination)) {
	t.Helper()
	like := *w.Key(t, kind, 16)
	like.Value = value
	d := w.house.NewKey(t, &like)
	change(&d)
	w.Rotate(t, func(k *coin.Keyset) { k.Denominations = append(k.Denominations, d) })
}

// keys are those that the token still has.
func (w *Town) keys(ctx context.Context) ([]*hsm.RSAKey, error) {
	keys, err := w.house.Token.RSAKeys(ctx)
	return slices.DeleteFunc(keys, func(k *hsm.RSAKey) bool {
		kid, err := coin.NewKeyID(k.Public())
		return err == nil && w.lost[kid]
	}), err
}
