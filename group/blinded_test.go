package group

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"

	"github.com/speciecash/specie/group/fp256bn"
)

func blind(t testing.TB) ClaimBlind {
	t.Helper()
	var secret [48]byte
	_, err := rand.Read(secret[:])
	must(t, err)
	return NewClaimBlind(secret)
}

func TestABlindedClaimProvesItsCoinOnceItIsShown(t *testing.T) {
	w := newWorld(t)
	v, m := w.verifier(t), w.admit(t)
	coins := m.coins(t, 3)
	var blinds []ClaimBlind
	var claims []Claim
	for _, c := range coins {
		b := blind(t)
		blinded, err := c.Blind(b)
		must(t, err)
		again, err := ParseBlindedClaim(blinded.Encoded())
		must(t, err)
		blinds, claims = append(blinds, b), append(claims, again)
	}
	blank, err := m.BlankClaim()
	must(t, err)
	claims = append(claims, blank)
	p, err := m.Present(t.Context(), m.key, []byte("m"), claims)
	must(t, err)
	must(t, v.Verify(p.Bytes(), []byte("m"), claims))
	for i, c := range claims {
		for j := range coins {
			for k, b := range blinds {
				if c.Blinds(coins[j], b) != (i == j && j == k) {
					t.Errorf("claim %d, coin %d, factor %d", i, j, k)
				}
			}
		}
	}
	if coins[0].Blinds(coins[0], ClaimBlind{31: 1}) {
		t.Error("a coin's own claim passes for a blinded one")
	}
}

func TestABlindedClaimOnAnothersCoinIsRefused(t *testing.T) {
	w := newWorld(t)
	v, m, victim := w.verifier(t), w.admit(t), w.admit(t)
	b := blind(t)
	theirs, err := victim.coins(t, 1)[0].Blind(b)
	must(t, err)
	mine, err := m.coins(t, 1)[0].Blind(b)
	must(t, err)
	if _, err := m.Present(t.Context(), m.key, []byte("m"), []Claim{mine, theirs}); !errors.Is(err, ErrKey) {
		t.Fatalf("present: %v", err)
	}
	p, err := m.Present(t.Context(), m.key, []byte("m"), []Claim{mine})
	must(t, err)
	if err := v.Verify(p.Bytes(), []byte("m"), []Claim{theirs}); !errors.Is(err, ErrProof) {
		t.Fatalf("another's claim in the place of his own: %v", err)
	}
	if err := v.Verify(p.Bytes(), []byte("m"), []Claim{mine, mine}); !errors.Is(err, ErrClaim) {
		t.Fatalf("one claim twice: %v", err)
	}
	// The kind is part of the statement: a coin's own claim with the same
	// points is another one.
	plain := Claim{kind: claimCoin, input: mine.input, x: mine.x, y: mine.y}
	if err := v.Verify(p.Bytes(), []byte("m"), []Claim{plain}); !errors.Is(err, ErrProof) {
		t.Fatalf("another kind of claim: %v", err)
	}
}

func TestBlindingFactorsAndBlindedClaimsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	m := w.admit(t)
	c := m.coins(t, 1)[0]
	high := ClaimBlind(bytes.Repeat([]byte{255}, 32))
	for name, b := range map[string]ClaimBlind{"zero": {}, "above the order": high} {
		if _, err := c.Blind(b); !errors.Is(err, ErrClaim) {
			t.Errorf("%s: %v", name, err)
		}
		if c.Blinds(c, b) {
			t.Errorf("%s blinds", name)
		}
	}
	good, err := c.Blind(blind(t))
	must(t, err)
	enc := good.Encoded()
	flipped := func(at int, to byte) []byte {
		out := bytes.Clone(enc)
		out[at] = to
		return out
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "short": enc[1:], "long": append(bytes.Clone(enc), 0),
		"X with an unknown sign": flipped(0, 0), "Y with an unknown sign": flipped(33, 4),
		"X at infinity": append(make([]byte, 33), enc[33:]...), "Y at infinity": append(bytes.Clone(enc[:33]), make([]byte, 33)...),
	} {
		if _, err := ParseBlindedClaim(b); !errors.Is(err, ErrClaim) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if text := fmt.Sprintf("%v %x %+v %#v", blind(t), blind(t), blind(t), blind(t)); bytes.ContainsAny([]byte(text), "0123456789") {
		t.Errorf("a blinding factor prints: %s", text)
	}
}

func FuzzParseBlindedClaim(f *testing.F) {
	g := fp256bn.Generator1()
	f.Add(newBlinded(g, g).Encoded())
	f.Add(make([]byte, BlindedClaimSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseBlindedClaim(b)
		if err == nil && !bytes.Equal(c.Encoded(), b) {
			t.Fatal("read in a second form")
		}
	})
}
