package issuertest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
)

// LeakedKey is a denomination key that the bank signs with and a thief has
// too: it was made in software, which no ceremony does.
type LeakedKey struct{ private *rsa.PrivateKey }

// NewLeakedKey makes such a key.
func NewLeakedKey(t testing.TB) *LeakedKey {
	t.Helper()
	return &LeakedKey{private: must(rsa.GenerateKey(rand.Reader, 2048))(t)}
}

// Public implements issuer.RawKey.
func (k *LeakedKey) Public() *rsa.PublicKey { return &k.private.PublicKey }

// BlindSign implements issuer.RawKey.
func (k *LeakedKey) BlindSign(_ context.Context, blinded []byte) ([]byte, error) {
	m := new(big.Int).SetBytes(blinded)
	return m.Exp(m, k.private.D, k.private.N).FillBytes(make([]byte, k.private.Size())), nil
}

// Denomination is the key's, otherwise like like.
func (k *LeakedKey) Denomination(t testing.TB, like *coin.Denomination) coin.Denomination {
	t.Helper()
	d := *like
	d.KeyID, d.PublicKey = must(coin.NewKeyID(k.Public()))(t), k.Public()
	return d
}

// Forge makes n coins that the bank never issued.
func (k *LeakedKey) Forge(t testing.TB, p *Purse, d *coin.Denomination, n int) []coin.Coin {
	t.Helper()
	keys := make([]*coin.Denomination, n)
	for i := range keys {
		keys[i] = d
	}
	b := p.PrepareUnder(t, keys...)
	signatures := make([][]byte, n)
	for i := range signatures {
		signatures[i] = must(k.BlindSign(t.Context(), b.Outputs[i].Blinded))(t)
	}
	return b.Finalize(t, signatures)
}

// Signer is the house's token and the leaked key beside it.
func (k *LeakedKey) Signer(h *House) issuer.BlindSigner {
	return issuer.NewKeyring(func(ctx context.Context) ([]issuer.RawKey, error) {
		keys, err := h.Token.RSAKeys(ctx)
		if err != nil {
			return nil, err
		}
		all := []issuer.RawKey{k}
		for _, key := range keys {
			all = append(all, key)
		}
		return all, nil
	}, nil)
}
