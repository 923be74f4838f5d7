package coin_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/frame"
	"pgregory.net/rapid"
)

// TestFrameFormat writes the frame out by hand, as a stranger would who has
// only the documentation.
func TestFrameFormat(t *testing.T) {
	s, _ := theMint().spend()
	var ids []byte
	for _, c := range s.Coins {
		id := c.ID()
		ids = append(ids, id[:]...)
	}
	var outputs []byte
	for _, o := range s.ToIssuer {
		outputs = append(outputs, 0, 0, 0, 32)
		outputs = append(outputs, o.KeyID[:]...)
		outputs = binary.BigEndian.AppendUint32(outputs, uint32(len(o.Blinded)))
		outputs = append(outputs, o.Blinded...)
	}
	issuer, acquirer := sha256.Sum256(outputs), sha256.Sum256(nil)
	var want []byte
	for _, part := range [][]byte{
		[]byte("specie/spend/1"), []byte("pay"), []byte(bankID), s.OfferDigest[:], {0, 0, 0, 0, 0, 0, 0, 9}, []byte("EUR"),
		ids, issuer[:], acquirer[:], s.Group[:], binary.BigEndian.AppendUint64(nil, uint64(now.Unix())),
	} {
		want = binary.BigEndian.AppendUint32(want, uint32(len(part)))
		want = append(want, part...)
	}
	if !bytes.Equal(s.Frame(), want) {
		t.Fatalf("got %x\nwant %x", s.Frame(), want)
	}
	if s.Digest() != sha256.Sum256(want) {
		t.Fatal("digest is not the frame's")
	}
	if s.Op() != frame.Digest(s.OfferDigest[:], []byte(bankID), ids) {
		t.Fatal("op differs")
	}
}

func TestOpIsOfOfferBankAndCoinsOnly(t *testing.T) {
	m := theMint()
	op := func(change func(*coin.Spend)) [32]byte {
		s, _ := m.spend()
		c := *s
		change(&c)
		return c.Op()
	}
	same := op(func(*coin.Spend) {})
	for name, change := range map[string]func(*coin.Spend){
		"outputs": func(s *coin.Spend) { s.ToIssuer = nil }, "time": func(s *coin.Spend) { s.IssuedAt++ }, "amount": func(s *coin.Spend) { s.Amount++ },
	} {
		if op(change) != same {
			t.Errorf("op depends on %s", name)
		}
	}
	for name, change := range map[string]func(*coin.Spend){
		"offer": func(s *coin.Spend) { s.OfferDigest[0]++ }, "bank": func(s *coin.Spend) { s.Bank = "OTHERBANK" }, "coins": func(s *coin.Spend) { s.Coins = s.Coins[1:] },
	} {
		if op(change) == same {
			t.Errorf("op does not depend on %s", name)
		}
	}
}

func TestNewSpendSortsACopy(t *testing.T) {
	m := theMint()
	u := m.unsignedSpend()
	slices.SortFunc(u.Coins, func(a, b coin.Coin) int { // descending
		x, y := a.ID(), b.ID()
		return bytes.Compare(y[:], x[:])
	})
	first := u.Coins[0].ID()
	s, err := coin.NewSpend(u)
	if err != nil {
		t.Fatal(err)
	}
	if u.Coins[0].ID() != first {
		t.Fatal("the caller's coins were moved")
	}
	ids := s.CoinIDs()
	if !slices.IsSortedFunc(ids, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) }) {
		t.Fatal("not ascending")
	}
}

// changes are spends that no key is needed to refuse.
func badSpends(m *mint) []struct {
	name   string
	change func(*coin.Spend)
	want   error
} {
	return []struct {
		name   string
		change func(*coin.Spend)
		want   error
	}{
		{"an unknown purpose", func(s *coin.Spend) { s.Purpose = "gift" }, coin.ErrPurpose},
		{"a purpose for later", func(s *coin.Spend) { s.Purpose = "gift" }, coin.ErrPurpose},
		{"no purpose", func(s *coin.Spend) { s.Purpose = "" }, coin.ErrPurpose},
		{"a bank id in lower case", func(s *coin.Spend) { s.Bank = "demobank" }, coin.ErrMalformed},
		{"a payment without offer", func(s *coin.Spend) { s.OfferDigest = [32]byte{} }, coin.ErrAmount},
		{"a payment of nothing", func(s *coin.Spend) { s.Amount = 0 }, coin.ErrAmount},
		{"a negative amount", func(s *coin.Spend) { s.Amount = -1 }, coin.ErrOverflow},
		{"an amount out of range", func(s *coin.Spend) { s.Amount = coin.MaxAmount + 1 }, coin.ErrOverflow},
		{"an exchange with an offer", func(s *coin.Spend) { s.Purpose, s.Amount = coin.Exchange, 0 }, coin.ErrAmount},
		{"a void without the payment's offer", func(s *coin.Spend) { s.Purpose, s.OfferDigest, s.Amount = coin.Void, [32]byte{}, 0 }, coin.ErrAmount},
		{"a void with an amount", func(s *coin.Spend) { s.Purpose = coin.Void }, coin.ErrAmount},
		{"an exchange with an amount", func(s *coin.Spend) { s.Purpose, s.OfferDigest = coin.Exchange, [32]byte{} }, coin.ErrAmount},
		{"an exchange for the acquirer", func(s *coin.Spend) {
			s.Purpose, s.OfferDigest, s.Amount, s.ToAcquirer = coin.Exchange, [32]byte{}, 0, s.ToIssuer
		}, coin.ErrAmount},
		{"a currency in lower case", func(s *coin.Spend) { s.Currency = "eur" }, coin.ErrMalformed},
		{"no time", func(s *coin.Spend) { s.IssuedAt = 0 }, coin.ErrMalformed},
		{"a time out of range", func(s *coin.Spend) { s.IssuedAt = 1 << 60 }, coin.ErrMalformed},
		{"no coin", func(s *coin.Spend) { s.Coins, s.Group = nil, [32]byte{} }, coin.ErrMalformed},
		{"too many coins", func(s *coin.Spend) { s.Coins = slices.Repeat(s.Coins, 100) }, coin.ErrTooLarge},
		{"too many outputs", func(s *coin.Spend) { s.ToIssuer = slices.Repeat(s.ToIssuer, 100) }, coin.ErrTooLarge},
		{"too many outputs for the acquirer", func(s *coin.Spend) { s.ToAcquirer = slices.Repeat(s.ToIssuer, 100) }, coin.ErrTooLarge},
		{"a coin twice", func(s *coin.Spend) { s.Coins = append(s.Coins[:1:1], s.Coins...) }, coin.ErrDuplicateCoin},
		{"a coin twice with another signature", func(s *coin.Spend) {
			c := s.Coins[0]
			c.Signature = make([]byte, 256)
			s.Coins = append([]coin.Coin{c}, s.Coins...)
		}, coin.ErrDuplicateCoin},
		{"coins in descending order", func(s *coin.Spend) { slices.Reverse(s.Coins) }, coin.ErrMalformed},
		{"another bank's coin", func(s *coin.Spend) { s.Coins[0].Bank = "OTHERBANK" }, coin.ErrBank},
		{"a coin of an unknown kind", func(s *coin.Spend) { s.Coins[0].Kind = "offline" }, coin.ErrUnknownKind},
		{"a coin without signature", func(s *coin.Spend) { s.Coins[0].Signature = nil }, coin.ErrMalformed},
		{"bound coins without group", func(s *coin.Spend) { s.Group = [32]byte{} }, coin.ErrBinding},
		{"a group without bound coins", func(s *coin.Spend) {
			s.Coins = slices.DeleteFunc(s.Coins, func(c coin.Coin) bool { return c.Kind == coin.Bound })
		}, coin.ErrBinding},
		{"an output of a length that no key has", func(s *coin.Spend) { s.ToIssuer[0].Blinded = make([]byte, 255) }, coin.ErrOutput},
		{"an output twice", func(s *coin.Spend) { s.ToIssuer[1] = s.ToIssuer[2] }, coin.ErrOutput},
		{"an acquirer's output twice", func(s *coin.Spend) { s.ToAcquirer = []coin.Output{s.ToIssuer[0], s.ToIssuer[0]} }, coin.ErrOutput},
	}
}

func TestSpendCheckRefuses(t *testing.T) {
	m := theMint()
	for _, c := range badSpends(m) {
		t.Run(c.name, func(t *testing.T) {
			s, a := m.spend()
			c.change(s)
			expect(t, s.Check(), c.want)
			expect(t, coin.Verify(s, a, m.keyset, theGroup, now), c.want)
			_, err := coin.NewSpendJSON(s, a)
			expect(t, err, c.want)
		})
	}
}

func TestVerifyAcceptsWhatItShould(t *testing.T) {
	m := theMint()
	bearerOnly := func() (*coin.Spend, *coin.Authorisation) {
		return signed(must(coin.NewSpend(coin.Spend{
			Purpose: coin.Pay, Bank: bankID, OfferDigest: [32]byte{1}, Amount: 8, Currency: "EUR",
			Coins: []coin.Coin{m.coin(m.eight, 4)}, IssuedAt: 1,
		})))
	}
	boundOnly := func() (*coin.Spend, *coin.Authorisation) {
		return signed(must(coin.NewSpend(coin.Spend{
			Purpose: coin.Pay, Bank: bankID, OfferDigest: [32]byte{1}, Amount: 16, Currency: "EUR",
			Coins: []coin.Coin{m.coin(m.bound8, 4), m.coin(m.bound8, 5)}, Group: theGroup.id, IssuedAt: 1,
			ToAcquirer: []coin.Output{m.output(m.eight, 60), m.output(m.eight, 61)},
		})))
	}
	exchange := func() (*coin.Spend, *coin.Authorisation) {
		return signed(must(coin.NewSpend(coin.Spend{
			Purpose: coin.Exchange, Bank: bankID, Currency: "EUR", Coins: []coin.Coin{m.coin(m.eight, 6)}, IssuedAt: 1,
			ToIssuer: []coin.Output{m.output(m.four, 62), m.output(m.four, 63)},
		})))
	}
	cases := []struct {
		name     string
		make     func() (*coin.Spend, *coin.Authorisation)
		verifier coin.PresentationVerifier
		at       time.Time
	}{
		{"bearer and bound coins with change", m.spend, theGroup, now},
		{"one bearer coin, exactly", bearerOnly, nil, now},
		{"a bearer coin that is issued no more", bearerOnly, nil, spendUntil.Add(-time.Second)},
		{"bound coins for new coins of the payee", boundOnly, theGroup, now},
		{"an exchange", exchange, nil, now},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, a := c.make()
			expect(t, coin.Verify(s, a, m.keyset, c.verifier, c.at), nil)
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	m := theMint()
	same := func(*coin.Spend) {}
	keys := func(change func(*coin.Keyset)) *coin.Keyset { return m.keysetWith(change) }
	d := func(i int, change func(*coin.Denomination)) *coin.Keyset {
		return keys(func(k *coin.Keyset) { change(&k.Denominations[i]) })
	}
	// Denominations of the keyset: 0 bearer 1, 1 bearer 4, 2 bearer 8, 3 bound 8.
	cases := []struct {
		name     string
		change   func(*coin.Spend) // before the owners sign
		keyset   *coin.Keyset
		verifier coin.PresentationVerifier
		at       time.Time
		want     error
	}{
		{"another bank's keyset", same, keys(func(k *coin.Keyset) { k.Bank = "OTHERBANK" }), theGroup, now, coin.ErrBank},
		{"another currency", func(s *coin.Spend) { s.Currency = "USD" }, m.keyset, theGroup, now, coin.ErrCurrency},
		{"a coin's key that is not listed", same, keys(func(k *coin.Keyset) { k.Denominations = k.Denominations[:3] }), theGroup, now, coin.ErrUnknownKey},
		{"a coin's key revoked", same, d(2, func(d *coin.Denomination) { d.Revoked = true }), theGroup, now, coin.ErrRevoked},
		{"a coin's key of an unknown kind", same, d(3, func(d *coin.Denomination) { d.Kind = "offline" }), theGroup, now, coin.ErrUnknownKind},
		{"a coin's key of the other kind", same, d(3, func(d *coin.Denomination) { d.Kind = coin.Bearer }), theGroup, now, coin.ErrUnknownKind},
		{"before the keys are valid", same, m.keyset, theGroup, issueFrom.Add(-time.Second), coin.ErrKeyNotYet},
		{"after spending ended", same, m.keyset, theGroup, spendUntil, coin.ErrKeyExpired},
		{"change after issue ended", same, m.keyset, theGroup, issueUntil, coin.ErrKeyExpired},
		{"change under a lost key", same, d(0, func(d *coin.Denomination) { d.Lost = true }), theGroup, now, coin.ErrLost},
		{"change under a key that is not listed", same, keys(func(k *coin.Keyset) { k.Denominations = k.Denominations[1:] }), theGroup, now, coin.ErrUnknownKey},
		{"an amount one too high", func(s *coin.Spend) { s.Amount++ }, m.keyset, theGroup, now, coin.ErrAmount},
		{"an amount one too low", func(s *coin.Spend) { s.Amount-- }, m.keyset, theGroup, now, coin.ErrAmount},
		{"no change", func(s *coin.Spend) { s.ToIssuer = nil }, m.keyset, theGroup, now, coin.ErrAmount},
		{"too much change", func(s *coin.Spend) { s.ToIssuer = append(s.ToIssuer, m.output(m.one, 53)) }, m.keyset, theGroup, now, coin.ErrAmount},
		{"change under a larger key", func(s *coin.Spend) {
			s.ToIssuer[1] = coin.Output{KeyID: m.eight.KeyID, Blinded: append(make([]byte, 255), 1)}
		}, m.keyset, theGroup, now, coin.ErrAmount},
		{"values that overflow", same, d(2, func(d *coin.Denomination) { d.Value = coin.MaxAmount }), theGroup, now, coin.ErrOverflow},
		{"an output of zero", func(s *coin.Spend) { s.ToIssuer[0].Blinded = make([]byte, 256) }, m.keyset, theGroup, now, coin.ErrOutput},
		{"an output equal to the modulus", func(s *coin.Spend) { s.ToIssuer[0].Blinded = m.eight.PublicKey.N.Bytes() }, m.keyset, theGroup, now, coin.ErrOutput},
		{"an output for a larger key", func(s *coin.Spend) { s.ToIssuer[0].Blinded = make([]byte, 384) }, m.keyset, theGroup, now, coin.ErrOutput},
		{"a flipped bit in a coin's signature", func(s *coin.Spend) {
			s.Coins[1].Signature = bytes.Clone(s.Coins[1].Signature)
			s.Coins[1].Signature[7] ^= 1
		}, m.keyset, theGroup, now, coin.ErrCoinSignature},
		{"no group accepted", same, m.keyset, nil, now, coin.ErrBinding},
		{"another group", same, m.keyset, stampVerifier{id: [32]byte{8}}, now, coin.ErrBinding},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			u, _ := m.spend()
			c.change(u)
			s, a := signed(u)
			expect(t, coin.Verify(s, a, c.keyset, c.verifier, c.at), c.want)
		})
	}
}

// Whatever of the spend is changed after the owners have signed, their
// signatures do not fit any more. The sums are kept right, so that no other
// check hides it.
func TestEveryFieldIsSigned(t *testing.T) {
	m := theMint()
	cases := []struct {
		name   string
		change func(*coin.Spend)
	}{
		{"offer", func(s *coin.Spend) { s.OfferDigest[31]++ }},
		{"amount and change", func(s *coin.Spend) { s.Amount++; s.ToIssuer = s.ToIssuer[:3] }},
		{"an output swapped for another's", func(s *coin.Spend) { s.ToIssuer[3] = m.output(m.one, 90) }},
		{"outputs in another order", func(s *coin.Spend) { slices.Reverse(s.ToIssuer) }},
		{"an output for the acquirer", func(s *coin.Spend) { s.ToAcquirer = []coin.Output{m.output(m.eight, 90)} }},
		{"time", func(s *coin.Spend) { s.IssuedAt++ }},
		{"a coin more", func(s *coin.Spend) {
			u := *s
			u.Coins, u.Amount = append(u.Coins, m.coin(m.four, 91)), u.Amount+4
			*s = *must(coin.NewSpend(u))
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, a := m.spend()
			c.change(s)
			if len(s.Coins) == 4 { // the stolen authorisation has one signature too few
				a.Bearer = append(a.Bearer, a.Bearer[0])
			}
			expect(t, coin.Verify(s, a, m.keyset, theGroup, now), coin.ErrOwner)
			// And of the bound coins alone:
			bearer := must(s.SignBearer(keyOf))
			expect(t, coin.Verify(s, &coin.Authorisation{Bearer: bearer, Presentation: a.Presentation}, m.keyset, theGroup, now), coin.ErrBinding)
		})
	}
	// Purpose, bank, currency and group fail other checks first; their place
	// in the frame is in TestFrameFormat.
}

// Whatever coins a payer has and whatever he pays, what SelectCoins proposes
// passes Verify, and a spend off by any amount does not.
func TestAnyPurseMakesAValidSpend(t *testing.T) {
	m := theMint()
	kinds := []coin.Denomination{m.one, m.four, m.eight}
	var purse []coin.Coin
	var values []coin.Amount
	for i := range uint64(4) {
		for _, d := range kinds {
			purse, values = append(purse, m.coin(d, 10+i)), append(values, d.Value)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		pick := rapid.SliceOfNDistinct(rapid.IntRange(0, len(purse)-1), 1, -1, rapid.ID[int]).Draw(t, "purse")
		var have []coin.Amount
		var total coin.Amount
		for _, i := range pick {
			have, total = append(have, values[i]), total+values[i]
		}
		amount := coin.Amount(rapid.Int64Range(1, int64(total)).Draw(t, "amount"))
		sel, err := coin.SelectCoins(have, amount, m.keyset.ForIssue(coin.Bearer, now))
		if err != nil {
			t.Fatal(err)
		}
		u := coin.Spend{Purpose: coin.Pay, Bank: bankID, OfferDigest: [32]byte{1}, Amount: amount, Currency: "EUR", IssuedAt: 1}
		for _, i := range sel.Spend {
			u.Coins = append(u.Coins, purse[pick[i]])
		}
		for i, d := range sel.Keys {
			u.ToIssuer = append(u.ToIssuer, m.output(d, 70+uint64(i)))
		}
		s, a := signed(must(coin.NewSpend(u)))
		if err := coin.Verify(s, a, m.keyset, nil, now); err != nil {
			t.Fatal(err)
		}
		off := coin.Amount(rapid.Int64Range(-int64(amount)+1, 20).Filter(func(n int64) bool { return n != 0 }).Draw(t, "off"))
		s.Amount += off
		if err := coin.Verify(s, &coin.Authorisation{Bearer: must(s.SignBearer(keyOf))}, m.keyset, nil, now); !errors.Is(err, coin.ErrAmount) {
			t.Fatalf("off by %d: %v", off, err)
		}
	})
}
