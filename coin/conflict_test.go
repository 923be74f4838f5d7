package coin_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/speciecash/specie/coin"
)

// twice spends the fixture's coins at two merchants and returns the proof
// that the second gets for the coin of a kind.
func twice(m *mint, kind coin.Kind) (*coin.Spend, *coin.ConflictProof) {
	earlier, a := m.spend()
	u := m.unsignedSpend()
	u.OfferDigest = [32]byte{200}
	later := must(coin.NewSpend(u))
	at := slices.IndexFunc(earlier.Coins, func(c coin.Coin) bool { return c.Kind == kind })
	return later, &coin.ConflictProof{CoinID: earlier.Coins[at].ID(), Spend: earlier, Authorisation: a}
}

func TestConflictProof(t *testing.T) {
	m := theMint()
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		t.Run(string(kind), func(t *testing.T) {
			later, p := twice(m, kind)
			data, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var back coin.ConflictProof
			if err := json.Unmarshal(data, &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(*p, back); diff != "" {
				t.Fatal(diff)
			}
			expect(t, back.Verify(later, m.keyset, theGroup), nil)
		})
	}
	later, p := twice(m, coin.Bearer)
	expect(t, p.Verify(later, m.keyset, nil), nil) // a bearer coin needs no group
}

func TestConflictProofRefuses(t *testing.T) {
	m := theMint()
	cases := []struct {
		name   string
		kind   coin.Kind
		change func(later *coin.Spend, p *coin.ConflictProof)
		keyset *coin.Keyset
		want   error
	}{
		{"no earlier spend", coin.Bearer, func(_ *coin.Spend, p *coin.ConflictProof) { p.Spend = nil }, m.keyset, coin.ErrNoConflict},
		{"a coin that is not in the earlier spend", coin.Bearer, func(l *coin.Spend, p *coin.ConflictProof) {
			l.Coins = []coin.Coin{m.coin(m.one, 80)}
			p.CoinID = l.Coins[0].ID()
		}, m.keyset, coin.ErrNoConflict},
		{"a coin that is not in the later spend", coin.Bearer, func(l *coin.Spend, _ *coin.ConflictProof) { l.Coins = []coin.Coin{m.coin(m.one, 80)} }, m.keyset, coin.ErrNoConflict},
		{"the same spend again", coin.Bearer, func(l *coin.Spend, p *coin.ConflictProof) { *l = *p.Spend }, m.keyset, coin.ErrNoConflict},
		{"an earlier spend that is malformed", coin.Bearer, func(_ *coin.Spend, p *coin.ConflictProof) { p.Spend.Purpose = "gift" }, m.keyset, coin.ErrPurpose},
		{"nobody's consent", coin.Bearer, func(_ *coin.Spend, p *coin.ConflictProof) { p.Authorisation = nil }, m.keyset, coin.ErrOwner},
		{"an owner's consent to something else", coin.Bearer, func(_ *coin.Spend, p *coin.ConflictProof) { p.Spend.IssuedAt-- }, m.keyset, coin.ErrOwner},
		{"a member's consent to something else", coin.Bound, func(_ *coin.Spend, p *coin.ConflictProof) { p.Spend.IssuedAt-- }, m.keyset, coin.ErrBinding},
		{"a broken presentation", coin.Bound, func(_ *coin.Spend, p *coin.ConflictProof) {
			p.Authorisation.Presentation = flipLast(p.Authorisation.Presentation)
		}, m.keyset, coin.ErrBinding},
		{"a coin that the bank did not sign", coin.Bound, func(_ *coin.Spend, p *coin.ConflictProof) {
			for i := range p.Spend.Coins {
				p.Spend.Coins[i].Signature = bytes.Repeat([]byte{1}, 256)
			}
		}, m.keyset, coin.ErrCoinSignature},
		{"another bank's keyset", coin.Bearer, func(*coin.Spend, *coin.ConflictProof) {}, m.keysetWith(func(k *coin.Keyset) { k.Bank = "OTHERBANK" }), coin.ErrBank},
		{"an unknown key", coin.Bearer, func(*coin.Spend, *coin.ConflictProof) {}, m.keysetWith(func(k *coin.Keyset) { k.Denominations = nil }), coin.ErrUnknownKey},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			later, p := twice(m, c.kind)
			c.change(later, p)
			expect(t, p.Verify(later, c.keyset, theGroup), c.want)
		})
	}
	later, p := twice(m, coin.Bound)
	expect(t, p.Verify(later, m.keyset, nil), coin.ErrBinding)
	expect(t, p.Verify(later, m.keyset, stampVerifier{}), coin.ErrBinding)
}

// The bank may have dropped or closed the key since: a proof does not age.
func TestConflictProofDoesNotAge(t *testing.T) {
	m := theMint()
	later, p := twice(m, coin.Bearer)
	old := m.keysetWith(func(k *coin.Keyset) {
		for i := range k.Denominations {
			d := &k.Denominations[i]
			d.Revoked, d.SpendUntil = true, issueUntil
		}
	})
	expect(t, p.Verify(later, old, nil), nil)
}

func TestConflictProofWireForm(t *testing.T) {
	m := theMint()
	_, p := twice(m, coin.Bearer)
	good := must(json.Marshal(p))
	for name, data := range map[string][]byte{
		"version 2":         changed(t, good, `{"v":1,"coin"`, `{"v":2,"coin"`),
		"an unknown member": changed(t, good, `{"v":1,"coin"`, `{"x":0,"v":1,"coin"`),
		"no spend":          []byte(`{"v":1,"coin":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`),
		"a spend in ruins":  changed(t, good, `"specie1`, `"specie2`),
	} {
		t.Run(name, func(t *testing.T) { expect(t, new(coin.ConflictProof).UnmarshalJSON(data), coin.ErrMalformed) })
	}
	p.Authorisation.Bearer = nil
	_, err := json.Marshal(p)
	expect(t, err, coin.ErrOwner)
}

func FuzzConflictProof(f *testing.F) {
	m := theMint()
	later, p := twice(m, coin.Bearer)
	f.Add(must(json.Marshal(p)))
	small, a := signed(must(coin.NewSpend(coin.Spend{
		Purpose: coin.Pay, Bank: bankID, OfferDigest: [32]byte{1}, Amount: 1, Currency: "EUR", Coins: []coin.Coin{m.coin(m.one, 6)}, IssuedAt: 1,
	})))
	f.Add(must(json.Marshal(&coin.ConflictProof{CoinID: small.Coins[0].ID(), Spend: small, Authorisation: a})))
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var q coin.ConflictProof
		if err := q.UnmarshalJSON(data); err != nil {
			return
		}
		again, err := q.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var back coin.ConflictProof
		if err := back.UnmarshalJSON(again); err != nil || !cmp.Equal(q, back) {
			t.Fatalf("another proof came back: %v", err)
		}
		// Only the true earlier spend proves anything.
		if q.Verify(later, m.keyset, theGroup) == nil && q.Spend.Digest() != p.Spend.Digest() {
			t.Fatal("a forged proof passes")
		}
	})
}

func TestWhatIsTakenBackIsNoDoubleSpend(t *testing.T) {
	offer, other, none := [32]byte{1}, [32]byte{2}, [32]byte{}
	for _, c := range []struct {
		name          string
		first, second coin.Purpose
		a, b          [32]byte
		want          bool
	}{
		{"a payment, and a void of its offer", coin.Pay, coin.Void, offer, offer, true},
		{"a void, and the payment of its offer", coin.Void, coin.Pay, offer, offer, true},
		{"a recover, and the payment of its offer", coin.Recover, coin.Pay, offer, offer, true},
		{"two voids of an offer", coin.Void, coin.Void, offer, offer, true},
		{"two payments of an offer", coin.Pay, coin.Pay, offer, offer, false},
		{"a void, and another offer's payment", coin.Void, coin.Pay, offer, other, false},
		{"an exchange and a payment", coin.Exchange, coin.Pay, none, offer, false},
		{"two exchanges", coin.Exchange, coin.Exchange, none, none, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := &coin.Spend{Purpose: c.first, OfferDigest: c.a}, &coin.Spend{Purpose: c.second, OfferDigest: c.b}
			if coin.TakenBack(a, b) != c.want || coin.TakenBack(b, a) != c.want {
				t.Errorf("want %v", c.want)
			}
		})
	}
}
