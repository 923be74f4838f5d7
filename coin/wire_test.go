package coin_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/speciecash/specie/coin"
)

func TestSpendComesBackFromTheWire(t *testing.T) {
	m := theMint()
	exchange := func() (*coin.Spend, *coin.Authorisation) {
		return signed(must(coin.NewSpend(coin.Spend{
			Purpose: coin.Exchange, Bank: bankID, Currency: "EUR", Coins: []coin.Coin{m.coin(m.eight, 6)}, IssuedAt: 1,
			ToIssuer: []coin.Output{m.output(m.eight, 62)},
		})))
	}
	for name, make := range map[string]func() (*coin.Spend, *coin.Authorisation){"a payment": m.spend, "an exchange": exchange} {
		t.Run(name, func(t *testing.T) {
			s, a := make()
			data, err := coin.EncodeSpend(s, a)
			if err != nil {
				t.Fatal(err)
			}
			s2, a2, err := coin.DecodeSpend(data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(s, s2) + cmp.Diff(a, a2); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// The largest spend that is allowed must fit into MaxSpendJSON. Signatures
// and messages are rubbish of the right size.
func TestTheLargestSpendFits(t *testing.T) {
	m := theMint()
	s := &coin.Spend{Purpose: coin.Pay, Bank: strings.Repeat("B", 20), OfferDigest: [32]byte{1}, Amount: coin.MaxAmount, Currency: "EUROEURO", Group: theGroup.id, IssuedAt: 1}
	a := &coin.Authorisation{Presentation: make([]byte, coin.MaxPresentation)}
	for i := range coin.MaxCoins {
		c := coin.Coin{Bank: s.Bank, KeyID: m.bound8.KeyID, Kind: coin.Bound, Owner: coin.BoundOwner([32]byte{}, tag(1)), Signature: make([]byte, 512)}
		c.Randomizer[0], c.Randomizer[1] = byte(i), byte(i>>8)
		if i%2 == 0 {
			c.Kind, c.Owner = coin.Bearer, make(coin.Owner, 32)
			a.Bearer = append(a.Bearer, make([]byte, 64))
		}
		s.Coins = append(s.Coins, c)
	}
	for i := range coin.MaxOutputs {
		o := coin.Output{KeyID: m.one.KeyID, Blinded: make([]byte, 512)}
		o.Blinded[0], o.Blinded[1] = byte(i), byte(i>>8)
		s.ToIssuer, s.ToAcquirer = append(s.ToIssuer, o), append(s.ToAcquirer, o)
	}
	s, err := coin.NewSpend(*s)
	if err != nil {
		t.Fatal(err)
	}
	data, err := coin.EncodeSpend(s, a)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := coin.DecodeSpend(data); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(data))
}

func TestDecodeSpendRefuses(t *testing.T) {
	s, a := theMint().spend()
	good, err := coin.EncodeSpend(s, a)
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string, value any) func(map[string]any) { return func(j map[string]any) { j[name] = value } }
	output := func(name string, value any) func(map[string]any) {
		return func(j map[string]any) { j["to_issuer"].([]any)[0].(map[string]any)[name] = value }
	}
	zero := strings.Repeat("A", 43)
	cases := []struct {
		name   string
		change func(map[string]any)
		want   error
	}{
		{"unchanged", func(map[string]any) {}, nil},
		{"version 2", set("v", 2), coin.ErrMalformed},
		{"no version", func(j map[string]any) { delete(j, "v") }, coin.ErrMalformed},
		{"an unknown member", set("tip", 1), coin.ErrMalformed},
		{"an unknown member of an output", output("value", 1), coin.ErrMalformed},
		{"an unknown purpose", set("purpose", "gift"), coin.ErrPurpose},
		{"an amount with a fraction", set("amount", 9.5), coin.ErrMalformed},
		{"an amount out of range", set("amount", float64(1<<53)), coin.ErrOverflow},
		{"a negative amount", set("amount", -1), coin.ErrOverflow},
		{"no offer", func(j map[string]any) { delete(j, "offer") }, coin.ErrAmount},
		{"an offer written as zero", set("offer", zero), coin.ErrMalformed},
		{"an offer's digest cut short", set("offer", "AAAA"), coin.ErrMalformed},
		{"a group written as zero", set("group", zero), coin.ErrMalformed},
		{"a group's id too long", set("group", zero+"A"), coin.ErrTooLarge},
		{"a time with a zone", set("issued_at", "2026-05-01T12:00:00+00:00"), coin.ErrMalformed},
		{"no coins", set("coins", []string{}), coin.ErrMalformed},
		{"too many coins", set("coins", slices.Repeat([]string{"x"}, coin.MaxCoins+1)), coin.ErrTooLarge},
		{"a coin that is none", set("coins", []string{"x"}), coin.ErrMalformed},
		{"too many outputs", set("to_acquirer", slices.Repeat([]coin.OutputJSON{{}}, coin.MaxOutputs+1)), coin.ErrTooLarge},
		{"an output under a bad key id", output("kid", "x"), coin.ErrMalformed},
		{"an output too long", output("blinded", strings.Repeat("A", 1000)), coin.ErrTooLarge},
		{"an output too short", output("blinded", "AAAA"), coin.ErrOutput},
		{"an output that is no base64url", output("blinded", "+/+/"), coin.ErrMalformed},
		{"a bad output for the acquirer", set("to_acquirer", []coin.OutputJSON{{KeyID: zero, Blinded: "AAAA"}}), coin.ErrOutput},
		{"a signature too short", set("bearer", []string{"AAAA", "AAAA"}), coin.ErrMalformed},
		{"a signature missing", set("bearer", []string{}), coin.ErrOwner},
		{"too many signatures", set("bearer", slices.Repeat([]string{"x"}, coin.MaxCoins+1)), coin.ErrTooLarge},
		{"no presentation", set("presentation", ""), coin.ErrBinding},
		{"a presentation too large", set("presentation", strings.Repeat("A", 6000)), coin.ErrTooLarge},
		{"null for a list", set("bearer", nil), coin.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var j map[string]any
			if err := json.Unmarshal(good, &j); err != nil {
				t.Fatal(err)
			}
			c.change(j)
			data, err := json.Marshal(j)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = coin.DecodeSpend(data)
			expect(t, err, c.want)
		})
	}
	for name, data := range map[string]string{
		"a doubled member":   strings.Replace(string(good), `"amount":9`, `"amount":9,"amount":9`, 1),
		"another case":       strings.Replace(string(good), `"amount":9`, `"Amount":9`, 1),
		"bytes after it":     string(good) + " {}",
		"an array around it": "[" + string(good) + "]",
		"nothing":            "",
	} {
		if _, _, err := coin.DecodeSpend([]byte(data)); !errors.Is(err, coin.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	_, _, err = coin.DecodeSpend(make([]byte, coin.MaxSpendJSON+1))
	expect(t, err, coin.ErrTooLarge)
}

func FuzzDecodeSpend(f *testing.F) {
	m := theMint()
	s, a := m.spend()
	f.Add(must(coin.EncodeSpend(s, a)))
	s, a = signed(must(coin.NewSpend(coin.Spend{
		Purpose: coin.Exchange, Bank: bankID, Currency: "EUR", Coins: []coin.Coin{m.coin(m.eight, 6)}, IssuedAt: 1,
	})))
	f.Add(must(coin.EncodeSpend(s, a)))
	f.Add(must(coin.EncodeSpend(signed(must(coin.NewSpend(m.recoup().spend))))))
	f.Add([]byte(`{"v":1,"coins":["specie1"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, a, err := coin.DecodeSpend(data)
		if err != nil {
			return
		}
		again, err := coin.EncodeSpend(s, a)
		if err != nil {
			t.Fatal(err)
		}
		s2, a2, err := coin.DecodeSpend(again)
		if err != nil || s2.Digest() != s.Digest() || !cmp.Equal(a, a2) {
			t.Fatalf("another spend came back: %v", err)
		}
	})
}
