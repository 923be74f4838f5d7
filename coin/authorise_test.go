package coin_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"

	"github.com/speciecash/specie/coin"
)

func TestAuthorisationIsRefused(t *testing.T) {
	m := theMint()
	flip := func(b []byte) []byte { c := bytes.Clone(b); c[0] ^= 1; return c }
	stranger := ed25519.NewKeyFromSeed(make([]byte, 32))
	cases := []struct {
		name   string
		change func(*coin.Spend, *coin.Authorisation)
		want   error
	}{
		{"a flipped bit in a signature", func(_ *coin.Spend, a *coin.Authorisation) { a.Bearer[0] = flip(a.Bearer[0]) }, coin.ErrOwner},
		{"a flipped bit in the last signature", func(_ *coin.Spend, a *coin.Authorisation) { a.Bearer[1] = flip(a.Bearer[1]) }, coin.ErrOwner},
		{"an empty signature", func(_ *coin.Spend, a *coin.Authorisation) { a.Bearer[0] = nil }, coin.ErrOwner},
		{"another's signature", func(s *coin.Spend, a *coin.Authorisation) { a.Bearer[0] = ed25519.Sign(stranger, s.Frame()) }, coin.ErrOwner},
		{"signatures in another order", func(_ *coin.Spend, a *coin.Authorisation) { slices.Reverse(a.Bearer) }, coin.ErrOwner},
		{"a signature missing", func(_ *coin.Spend, a *coin.Authorisation) { a.Bearer = a.Bearer[:1] }, coin.ErrOwner},
		{"a signature too many", func(_ *coin.Spend, a *coin.Authorisation) { a.Bearer = append(a.Bearer, a.Bearer[0]) }, coin.ErrOwner},
		{"no presentation", func(_ *coin.Spend, a *coin.Authorisation) { a.Presentation = nil }, coin.ErrBinding},
		{"a flipped bit in the presentation", func(_ *coin.Spend, a *coin.Authorisation) { a.Presentation = flip(a.Presentation) }, coin.ErrBinding},
		{"a presentation of another message", func(s *coin.Spend, a *coin.Authorisation) {
			a.Presentation = theGroup.present([]byte("x"), s.BoundClaims())
		}, coin.ErrBinding},
		{"a presentation without the coin", func(s *coin.Spend, a *coin.Authorisation) {
			a.Presentation = theGroup.present(s.Frame(), nil)
		}, coin.ErrBinding},
		{"a presentation of another tag", func(s *coin.Spend, a *coin.Authorisation) {
			claims := s.BoundClaims()
			claims[0].Tag = tag(99)
			a.Presentation = theGroup.present(s.Frame(), claims)
		}, coin.ErrBinding},
		{"a presentation too large", func(_ *coin.Spend, a *coin.Authorisation) { a.Presentation = make([]byte, 5000) }, coin.ErrTooLarge},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, a := m.spend()
			c.change(s, a)
			expect(t, coin.Verify(s, a, m.keyset, theGroup, now), c.want)
		})
	}
	s, a := m.spend()
	expect(t, coin.Verify(s, nil, m.keyset, theGroup, now), coin.ErrOwner)
	a.Presentation = flipLast(a.Presentation)
	if err := coin.Verify(s, a, m.keyset, theGroup, now); !errors.Is(err, errStamp) {
		t.Fatalf("the verifier's own reason is lost: %v", err)
	}
	bearer := must(coin.NewSpend(coin.Spend{
		Purpose: coin.Pay, Bank: bankID, OfferDigest: [32]byte{1}, Amount: 8, Currency: "EUR", Coins: []coin.Coin{m.coin(m.eight, 4)}, IssuedAt: 1,
	}))
	_, a = signed(bearer)
	a.Presentation = []byte("uncalled for")
	expect(t, coin.Verify(bearer, a, m.keyset, theGroup, now), coin.ErrBinding)
}

func flipLast(b []byte) []byte {
	c := bytes.Clone(b)
	c[len(c)-1] ^= 1
	return c
}

func TestSignBearerRefusesAnotherKey(t *testing.T) {
	s, _ := theMint().spend()
	stranger := ed25519.NewKeyFromSeed(make([]byte, 32))
	_, err := s.SignBearer(func(*coin.Coin) (ed25519.PrivateKey, error) { return stranger, nil })
	expect(t, err, coin.ErrOwner)
	_, err = s.SignBearer(func(*coin.Coin) (ed25519.PrivateKey, error) { return nil, nil })
	expect(t, err, coin.ErrOwner)
	lost := errors.New("lost")
	_, err = s.SignBearer(func(*coin.Coin) (ed25519.PrivateKey, error) { return nil, lost })
	expect(t, err, lost)
}
