package issuer_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"math/big"
	"slices"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
)

// ringOf is a keyring of some of the house's keys.
func ringOf(keys ...*hsm.RSAKey) *issuer.Keyring {
	return issuer.NewKeyring(func(context.Context) ([]*hsm.RSAKey, error) { return keys, nil }, nil)
}

func TestABankOpensOnlyWithEveryKeyThatMayHaveToSign(t *testing.T) {
	h := issuertest.NewHouse(t)
	for _, c := range []struct {
		name   string
		change func(*coin.Denomination) // of the key that the token lacks
		want   error
	}{
		{"a key that issues", func(*coin.Denomination) {}, coin.ErrUnknownKey},
		{"one that will issue", func(d *coin.Denomination) { d.IssueFrom = issuertest.Now.AddDate(0, 0, 1) }, coin.ErrUnknownKey},
		{"one whose coins are still good", func(d *coin.Denomination) { d.IssueUntil = issuertest.Now }, coin.ErrUnknownKey},
		{"one whose coins have ended", func(d *coin.Denomination) { d.IssueUntil, d.SpendUntil = issuertest.Now, issuertest.Now }, nil},
		{"a revoked one", func(d *coin.Denomination) { d.Revoked = true }, nil},
		{"a lost one", func(d *coin.Denomination) { d.Lost = true }, nil},
		{"one of a kind that is not known yet", func(d *coin.Denomination) { d.Kind = "offline" }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := h.NewBank(t, nil)
			k := h.Draft
			k.Denominations = slices.Clone(k.Denominations)
			c.change(&k.Denominations[0])
			k.Seq, k.Prev = 9, [32]byte{1} // another number than the bank's own: its ledger is new to it
			cfg := b.Config
			cfg.Keyset, cfg.Signer = h.SignKeyset(t, k), ringOf(h.Keys[1:]...)
			_, err := issuer.New(t.Context(), cfg)
			expect(t, err, c.want)
			if c.want != nil {
				expect(t, err, issuer.ErrConfig)
			}
		})
	}
}

// foreignKey is a key that no keyset has.
type foreignKey struct{ n *big.Int }

func (k foreignKey) Public() *rsa.PublicKey { return &rsa.PublicKey{N: k.n, E: 65537} }
func (foreignKey) BlindSign(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("unused")
}

func TestAKeyringLooksAgainForAKeyThatItDoesNotKnow(t *testing.T) {
	h := issuertest.NewHouse(t)
	first, second := h.Draft.Denominations[0].KeyID, h.Draft.Denominations[1].KeyID
	looks := 0
	listed := []issuer.RawKey{foreignKey{big.NewInt(15)}, h.Keys[0]}
	var fault error
	ring := issuer.NewKeyring(func(context.Context) ([]issuer.RawKey, error) { looks++; return listed, fault }, nil)

	_, err := ring.BlindSign(t.Context(), first, make([]byte, 256))
	expect(t, err, coin.ErrUnknownKey) // nobody asked whether it is there
	expect(t, ring.Has(t.Context(), first), nil)
	expect(t, ring.Has(t.Context(), first), nil)
	if looks != 1 {
		t.Errorf("%d looks at the token for a key that it has", looks)
	}
	expect(t, ring.Has(t.Context(), second), coin.ErrUnknownKey)
	fault = issuertest.ErrInjected
	expect(t, ring.Has(t.Context(), second), issuertest.ErrInjected)
	expect(t, ring.Has(t.Context(), first), nil) // what it knew it still knows
	listed, fault = append(listed, h.Keys[1]), nil
	expect(t, ring.Has(t.Context(), second), nil)
	_, err = ring.BlindSign(t.Context(), second, append(make([]byte, 255), 2))
	expect(t, err, nil)
	_, err = ring.BlindSign(t.Context(), coin.KeyID{}, make([]byte, 256))
	expect(t, err, coin.ErrUnknownKey)
}

func TestAKeyringSignsABatchOrNothing(t *testing.T) {
	h := issuertest.NewHouse(t)
	ring := issuer.NewKeyring(h.Token.RSAKeys, h.Token.BlindSignBatch)
	one, two := h.Key(t, coin.Bearer, 1), h.Key(t, coin.Bearer, 2)
	if err := ring.Has(t.Context(), one.KeyID); err != nil {
		t.Fatal(err)
	}
	m := bytes.Repeat([]byte{1}, one.PublicKey.Size())
	outputs := []coin.Output{{KeyID: one.KeyID, Blinded: m}, {KeyID: two.KeyID, Blinded: m}, {KeyID: one.KeyID, Blinded: m}}
	got, err := ring.BlindSignBatch(t.Context(), outputs)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range outputs {
		want, err := ring.BlindSign(t.Context(), o.KeyID, m)
		if err != nil || !bytes.Equal(got[i], want) {
			t.Errorf("signature %d is %x, want %x (%v)", i, got[i], want, err)
		}
	}
	outputs[1].KeyID = coin.KeyID{1}
	if got, err := ring.BlindSignBatch(t.Context(), outputs); !errors.Is(err, coin.ErrUnknownKey) || got != nil {
		t.Errorf("a key that the token lacks: %x, %v", got, err)
	}
}
