package coin_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/frame"
)

func newEnvelope() *coin.Envelope {
	m := theMint()
	e := &coin.Envelope{Bank: bankID, Root: m.root.Fingerprint(), Currency: "EUR", Amount: 13}
	for _, c := range []coin.Coin{m.coin(m.eight, 3), m.coin(m.four, 3), m.coin(m.one, 3)} {
		e.Coins = append(e.Coins, coin.EnvelopeCoin{Coin: c, Owner: must(keyOf(&c))})
	}
	e.Sort()
	return e
}

func TestAnEnvelopeComesOutAsItWentIn(t *testing.T) {
	e := newEnvelope()
	for _, write := range []func() (string, error){e.Text, e.QR} {
		text := must(write())
		back, err := coin.ParseEnvelope(text)
		if err != nil {
			t.Fatal(err)
		}
		if !coin.IsEnvelope(text) || !cmp.Equal(e, back) {
			t.Error("another envelope came back")
		}
		for i := range back.Coins {
			if _, err := theMint().keyset.VerifyCoin(&back.Coins[i].Coin); err != nil {
				t.Error(err)
			}
		}
	}
	if text := must(e.QR()); strings.Trim(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ+-./:") != "" {
		t.Errorf("not for alphanumeric mode: %s", text)
	}
}

// TestAnEnvelopesSecretsAreItsCoinsAlone: what is given away is what derives from
// the seed for that coin, not the seed nor another coin's secret.
func TestAnEnvelopesSecretsAreItsCoinsAlone(t *testing.T) {
	raw := must(base64.RawURLEncoding.DecodeString(strings.TrimPrefix(must(newEnvelope().Text()), "specie:coins?c=")))
	if bytes.Contains(raw, seed[:]) {
		t.Error("the seed is in it")
	}
	for _, other := range []uint64{0, 1, 2, 4} {
		if bytes.Contains(raw, ownerKey(theMint().eight.KeyID, other).Seed()) {
			t.Errorf("the secret of coin number %d is in it", other)
		}
	}
	if !bytes.Contains(raw, ownerKey(theMint().eight.KeyID, 3).Seed()) {
		t.Error("this test looks for the wrong thing")
	}
}

func TestAnEnvelopeDoesNotPrint(t *testing.T) {
	e := newEnvelope()
	for _, s := range []string{fmt.Sprint(e), fmt.Sprintf("%+v %x", *e, e.Coins[0]), e.String(), e.LogValue().String()} {
		if strings.Trim(s, "[redacted] ") != "" {
			t.Errorf("prints %q", s)
		}
	}
	if _, err := json.Marshal(e); err == nil {
		t.Error("marshals")
	}
}

func TestEnvelopesThatAreNotWritten(t *testing.T) {
	m := theMint()
	bound := m.coin(m.bound8, 3)
	for name, c := range map[string]struct {
		change func(*coin.Envelope)
		want   error
	}{
		"no bank":               {func(e *coin.Envelope) { e.Bank = "x" }, coin.ErrMalformed},
		"no currency":           {func(e *coin.Envelope) { e.Currency = "x" }, coin.ErrMalformed},
		"worth nothing":         {func(e *coin.Envelope) { e.Amount = 0 }, coin.ErrMalformed},
		"worth less":            {func(e *coin.Envelope) { e.Amount = -1 }, nil},
		"no coins":              {func(e *coin.Envelope) { e.Coins = nil }, coin.ErrMalformed},
		"too many coins":        {func(e *coin.Envelope) { e.Coins = slices.Repeat(e.Coins, 11) }, coin.ErrTooLarge},
		"a bound coin":          {func(e *coin.Envelope) { e.Coins[0].Coin = bound }, coin.ErrMalformed},
		"a coin not signed":     {func(e *coin.Envelope) { e.Coins[0].Coin.Signature = nil }, coin.ErrMalformed},
		"another bank's coin":   {func(e *coin.Envelope) { e.Coins[0].Coin.Bank = "OTHERBANK" }, coin.ErrMalformed},
		"another's secret":      {func(e *coin.Envelope) { e.Coins[0].Owner = e.Coins[1].Owner }, coin.ErrOwner},
		"no secret":             {func(e *coin.Envelope) { e.Coins[0].Owner = nil }, coin.ErrOwner},
		"in another order":      {func(e *coin.Envelope) { slices.Reverse(e.Coins) }, coin.ErrMalformed},
		"a coin twice":          {func(e *coin.Envelope) { e.Coins[1] = e.Coins[0] }, coin.ErrMalformed},
		"a signature cut short": {func(e *coin.Envelope) { e.Coins[0].Coin.Signature = e.Coins[0].Coin.Signature[1:] }, coin.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnvelope()
			c.change(e)
			_, err := e.Text()
			_, err2 := e.QR()
			if err == nil || err2 == nil || (c.want != nil && (!errors.Is(err, c.want) || !errors.Is(err2, c.want))) {
				t.Errorf("%v, %v", err, err2)
			}
		})
	}
}

func TestEnvelopesThatAreNotRead(t *testing.T) {
	text := must(newEnvelope().Text())
	raw := must(base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, "specie:coins?c=")))
	var parts [][]byte
	for rest := raw; len(rest) > 0; {
		n := binary.BigEndian.Uint32(rest)
		parts, rest = append(parts, rest[4:4+n]), rest[4+n:]
	}
	write := func(change func(p [][]byte) [][]byte) string {
		return "specie:coins?c=" + base64.RawURLEncoding.EncodeToString(frame.Join(change(slices.Clone(parts))...))
	}
	put := func(i int, b []byte) string {
		return write(func(p [][]byte) [][]byte { p[i] = b; return p })
	}
	if _, err := coin.ParseEnvelope(put(0, parts[0])); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"nothing":                {"", coin.ErrMalformed},
		"a payment link":         {"specie:pay?o=AAAA", coin.ErrMalformed},
		"another parameter":      {text + "&x=1", coin.ErrMalformed},
		"a line break":           {text[:50] + "\n" + text[50:], coin.ErrMalformed},
		"cut off":                {text[:len(text)-8], coin.ErrMalformed},
		"another version":        {put(0, []byte("specie/coins/2")), coin.ErrMalformed},
		"no bank":                {put(1, nil), coin.ErrMalformed},
		"a short fingerprint":    {put(2, parts[2][1:]), coin.ErrMalformed},
		"no currency":            {put(3, nil), coin.ErrMalformed},
		"a short amount":         {put(4, parts[4][1:]), coin.ErrMalformed},
		"worth nothing":          {put(4, make([]byte, 8)), coin.ErrMalformed},
		"worth more than can be": {put(4, bytes.Repeat([]byte{255}, 8)), coin.ErrMalformed},
		"a short key id":         {put(5, parts[5][1:]), coin.ErrMalformed},
		"a short randomizer":     {put(6, parts[6][1:]), coin.ErrMalformed},
		"a short signature":      {put(7, parts[7][1:]), coin.ErrMalformed},
		"no signature":           {put(7, nil), coin.ErrMalformed},
		"a short secret":         {put(8, parts[8][1:]), coin.ErrMalformed},
		"half a coin":            {write(func(p [][]byte) [][]byte { return p[:len(p)-1] }), coin.ErrMalformed},
		"no coins":               {write(func(p [][]byte) [][]byte { return p[:5] }), coin.ErrMalformed},
		"too many coins":         {write(func(p [][]byte) [][]byte { return append(p, slices.Repeat(p[5:9], 32)...) }), coin.ErrMalformed},
		"a coin twice":           {write(func(p [][]byte) [][]byte { return append(p, p[len(p)-4:]...) }), coin.ErrMalformed},
		"too long":               {"specie:coins?c=" + strings.Repeat("A", coin.MaxEnvelopeText), coin.ErrTooLarge},
		"too long for a picture": {"SPECIE:COINS1/" + strings.Repeat("A", coin.MaxEnvelopeText), coin.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := coin.ParseEnvelope(c.text)
			expect(t, err, c.want)
		})
	}
}

func FuzzParseEnvelope(f *testing.F) {
	e := newEnvelope()
	f.Add(must(e.Text()))
	f.Add(must(e.QR()))
	f.Add("specie:coins?c=AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := coin.ParseEnvelope(text)
		if err != nil {
			return
		}
		a, err := e.Text()
		b, err2 := e.QR()
		if err != nil || err2 != nil || (a != text && b != text) {
			t.Fatalf("read in another form than it is written: %v, %v", err, err2)
		}
	})
}
