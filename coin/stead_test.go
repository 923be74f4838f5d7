package coin_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
)

// Everything in a request that somebody else could have changed on its way, or
// its maker after the fact.
func TestASteadThatWasChangedIsRefused(t *testing.T) {
	p, m := theParish(), theMint()
	thirdClaim := func(h *coin.Holding) int {
		nonce := must(coin.BoundNonce(seed, bankID, m.bound8.KeyID, 202))
		tag := must(group.CoinTag(t.Context(), p.ada.Key, nonce))
		return must(h.Find(coin.BoundClaim{Nonce: nonce, Tag: tag}, blindOf(m, 202)))
	}
	tests := []struct {
		name   string
		change func(s *coin.Spend, a *coin.Authorisation)
		want   error
	}{
		{"no stead", func(_ *coin.Spend, a *coin.Authorisation) { a.Stead = nil }, coin.ErrBinding},
		{"no presentation", func(_ *coin.Spend, a *coin.Authorisation) { a.Presentation = nil }, coin.ErrBinding},
		{"a flipped presentation", func(_ *coin.Spend, a *coin.Authorisation) { a.Presentation[400] ^= 1 }, coin.ErrBinding},
		{"another key to it", func(_ *coin.Spend, a *coin.Authorisation) { a.Stead.Key[31] ^= 1 }, coin.ErrBinding},
		{"outputs that nobody consented to", func(s *coin.Spend, _ *coin.Authorisation) { s.ToIssuer[0] = m.output(m.eight, 99) }, coin.ErrOwner},
		{"no succession", func(_ *coin.Spend, a *coin.Authorisation) { a.Stead.Successions = nil }, coin.ErrSuccession},
		{"too many successions", func(_ *coin.Spend, a *coin.Authorisation) {
			a.Stead.Successions = slices.Repeat(a.Stead.Successions, coin.MaxSuccessions+1)
		}, coin.ErrTooLarge},
		{"a succession too long", func(_ *coin.Spend, a *coin.Authorisation) {
			a.Stead.Successions = [][]byte{make([]byte, coin.MaxSuccession+1)}
		}, coin.ErrTooLarge},
		{"no holding", func(_ *coin.Spend, a *coin.Authorisation) { a.Stead.Holdings = nil }, coin.ErrHolding},
		{"too many holdings", func(_ *coin.Spend, a *coin.Authorisation) {
			a.Stead.Holdings = slices.Repeat(a.Stead.Holdings, coin.MaxCoins+1)
		}, coin.ErrTooLarge},
		{"a holding that is of no coin", func(_ *coin.Spend, a *coin.Authorisation) {
			a.Stead.Holdings = append(a.Stead.Holdings, a.Stead.Holdings[0])
		}, coin.ErrHolding},
		{"a holding's presentation flipped", func(_ *coin.Spend, a *coin.Authorisation) {
			a.Stead.Holdings[0].Presentation = bytes.Clone(a.Stead.Holdings[0].Presentation)
			a.Stead.Holdings[0].Presentation[300] ^= 1
		}, coin.ErrHolding},
		{"a holding's presentation cut short", func(_ *coin.Spend, a *coin.Authorisation) {
			a.Stead.Holdings[0].Presentation = a.Stead.Holdings[0].Presentation[1:]
		}, coin.ErrMalformed},
		{"another key to a holding", func(_ *coin.Spend, a *coin.Authorisation) { a.Stead.Holdings[0].Key[31] ^= 1 }, coin.ErrHolding},
		{"a holding that was made to spend", func(s *coin.Spend, a *coin.Authorisation) {
			h := &a.Stead.Holdings[0]
			claims := parseClaims(t, h)
			pres, k, err := p.ada.PresentOpen(t.Context(), p.ada.Key, s.Frame(), claims)
			*h = *coin.NewHolding(must(pres, err), k, claims)
		}, coin.ErrHolding},
		{"a claim of a holding changed", func(_ *coin.Spend, a *coin.Authorisation) {
			h := &a.Stead.Holdings[0]
			h.Claims = append(bytes.Clone(h.Claims[group.BlindedClaimSize:]), h.Claims[:group.BlindedClaimSize]...)
		}, coin.ErrHolding},
		{"a claim of a holding that is no point", func(_ *coin.Spend, a *coin.Authorisation) {
			h := &a.Stead.Holdings[0]
			h.Claims = bytes.Clone(h.Claims)
			h.Claims[0] = 9
		}, coin.ErrHolding},
		{"half a claim", func(_ *coin.Spend, a *coin.Authorisation) {
			a.Stead.Holdings[0].Claims = a.Stead.Holdings[0].Claims[1:]
		}, coin.ErrMalformed},
		{"too many claims in a holding", func(_ *coin.Spend, a *coin.Authorisation) {
			a.Stead.Holdings[0].Claims = make([]byte, (coin.MaxHolding+1)*group.BlindedClaimSize)
		}, coin.ErrTooLarge},
		{"too many claims in all", func(_ *coin.Spend, a *coin.Authorisation) {
			h := coin.Holding{Presentation: a.Stead.Holdings[0].Presentation, Claims: make([]byte, coin.MaxHolding*group.BlindedClaimSize)}
			a.Stead.Holdings = slices.Repeat([]coin.Holding{h}, coin.MaxHoldingsClaims/coin.MaxHolding+1)
		}, coin.ErrTooLarge},
		{"a place too few", func(_ *coin.Spend, a *coin.Authorisation) { a.Stead.Held = a.Stead.Held[:1] }, coin.ErrHolding},
		{"a place too many", func(_ *coin.Spend, a *coin.Authorisation) { a.Stead.Held = append(a.Stead.Held, a.Stead.Held[0]) }, coin.ErrHolding},
		{"two coins' places swapped", func(_ *coin.Spend, a *coin.Authorisation) { slices.Reverse(a.Stead.Held) }, coin.ErrHolding},
		{"the place of a coin that is not here", func(_ *coin.Spend, a *coin.Authorisation) {
			a.Stead.Held[0].Claim = thirdClaim(&a.Stead.Holdings[0])
			a.Stead.Held[0].Blind = blindOf(m, 202)
		}, coin.ErrHolding},
		{"another blinding factor", func(_ *coin.Spend, a *coin.Authorisation) { a.Stead.Held[0].Blind[31] ^= 1 }, coin.ErrHolding},
		{"no blinding factor", func(_ *coin.Spend, a *coin.Authorisation) { a.Stead.Held[0].Blind = group.ClaimBlind{} }, coin.ErrHolding},
		{"a holding past the last", func(_ *coin.Spend, a *coin.Authorisation) { a.Stead.Held[0].Holding = 1 }, coin.ErrHolding},
		{"a holding before the first", func(_ *coin.Spend, a *coin.Authorisation) { a.Stead.Held[0].Holding = -1 }, coin.ErrHolding},
		{"a claim past the last", func(_ *coin.Spend, a *coin.Authorisation) { a.Stead.Held[0].Claim = 8 }, coin.ErrHolding},
		{"a claim before the first", func(_ *coin.Spend, a *coin.Authorisation) { a.Stead.Held[0].Claim = -1 }, coin.ErrHolding},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { expect(t, p.recovery(m).verify(t, tt.change), tt.want) })
	}
}

func parseClaims(t *testing.T, h *coin.Holding) (out []group.Claim) {
	t.Helper()
	for b := range slices.Chunk(h.Claims, group.BlindedClaimSize) {
		out = append(out, must(group.ParseBlindedClaim(b)))
	}
	return out
}
