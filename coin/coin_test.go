package coin_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/speciecash/specie/coin"
)

func TestCoinIsMadeAndVerifies(t *testing.T) {
	m := theMint()
	for _, d := range m.keyset.Denominations {
		t.Run(name("%s %d", d.Kind, d.Value), func(t *testing.T) {
			p := m.planchet(d, 3)
			c, err := p.Finalize(m.rawSign(d.KeyID, p.Blinded()))
			if err != nil {
				t.Fatal(err)
			}
			if c.ID() != p.ID() {
				t.Fatal("the planchet announced another id")
			}
			got, err := m.keyset.VerifyCoin(c)
			if err != nil || got.Value != d.Value {
				t.Fatalf("got %v, %v", got, err)
			}
			text, err := c.Text()
			if err != nil {
				t.Fatal(err)
			}
			back, err := coin.ParseCoin(text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c, back); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestPlanchetIsTheSameAgainAndOtherwiseDiffers(t *testing.T) {
	m := theMint()
	owner := func(index uint64) coin.Owner { return m.coin(m.one, index).Owner }
	bound := func(nonce, fill byte) coin.Owner { return coin.BoundOwner([32]byte{nonce}, tag(fill)) }
	blinded := func(s coin.Seed, bank string, d coin.Denomination, index uint64, o coin.Owner) string {
		p, err := coin.NewPlanchet(s, bank, &d, index, o)
		if err != nil {
			t.Fatal(err)
		}
		return string(p.Blinded())
	}
	for i := range uint64(3) {
		if blinded(seed, bankID, m.one, i, owner(i)) != blinded(seed, bankID, m.one, i, owner(i)) {
			t.Fatalf("number %d is not the same the second time", i)
		}
	}
	seen := map[string]string{}
	for what, b := range map[string]string{
		"number 0":                 blinded(seed, bankID, m.one, 0, owner(0)),
		"number 1":                 blinded(seed, bankID, m.one, 1, owner(1)),
		"number 1, owner 0":        blinded(seed, bankID, m.one, 1, owner(0)),
		"number 0, owner 1":        blinded(seed, bankID, m.one, 0, owner(1)),
		"another seed":             blinded(coin.Seed{}, bankID, m.one, 0, owner(0)),
		"another bank":             blinded(seed, "OTHERBANK", m.one, 0, owner(0)),
		"another key":              blinded(seed, bankID, m.four, 0, owner(0)),
		"bound":                    blinded(seed, bankID, m.bound8, 0, bound(1, 1)),
		"bound to another TPM":     blinded(seed, bankID, m.bound8, 0, bound(1, 2)),
		"bound with another nonce": blinded(seed, bankID, m.bound8, 0, bound(2, 1)),
	} {
		if other, ok := seen[b]; ok {
			t.Fatalf("%s and %s have the same blinded message", what, other)
		}
		seen[b] = what
	}
}

func TestOwnerSecretsDifferByEveryArgument(t *testing.T) {
	m := theMint()
	seen := map[string]bool{}
	add := func(b []byte) {
		if seen[string(b)] {
			t.Fatal("a secret came twice")
		}
		seen[string(b)] = true
	}
	for _, s := range []coin.Seed{{}, seed} {
		for _, bank := range []string{bankID, "OTHERBANK"} {
			for _, d := range []coin.Denomination{m.one, m.four} {
				for i := range uint64(3) {
					add(must(coin.OwnerKey(s, bank, d.KeyID, i)).Seed())
					nonce := must(coin.BoundNonce(s, bank, d.KeyID, i))
					add(nonce[:])
				}
			}
		}
	}
}

func TestNewPlanchetRefuses(t *testing.T) {
	m := theMint()
	good := m.coin(m.one, 0).Owner
	bound := m.coin(m.bound8, 0).Owner
	badPoint := bytes.Clone(bound)
	badPoint[32] = 4
	with := func(d coin.Denomination, change func(*coin.Denomination)) *coin.Denomination { change(&d); return &d }
	cases := []struct {
		name  string
		bank  string
		d     *coin.Denomination
		owner coin.Owner
		want  error
	}{
		{"a bad bank id", "x", &m.one, good, coin.ErrMalformed},
		{"a bound owner of a bearer coin", bankID, &m.one, bound, coin.ErrMalformed},
		{"a bearer owner of a bound coin", bankID, &m.bound8, good, coin.ErrMalformed},
		{"no owner", bankID, &m.one, nil, coin.ErrMalformed},
		{"a tag that is no compressed point", bankID, &m.bound8, badPoint, coin.ErrMalformed},
		{"an unknown kind", bankID, with(m.one, func(d *coin.Denomination) { d.Kind = "offline" }), good, coin.ErrUnknownKind},
		{"another key's id", bankID, with(m.one, func(d *coin.Denomination) { d.KeyID = m.four.KeyID }), good, coin.ErrKeyset},
		{"no key", bankID, with(m.one, func(d *coin.Denomination) { d.PublicKey = nil }), good, coin.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := coin.NewPlanchet(seed, c.bank, c.d, 0, c.owner)
			expect(t, err, c.want)
		})
	}
}

func TestCoinVerifyRefuses(t *testing.T) {
	m := theMint()
	bearer, bound := m.coin(m.eight, 0), m.coin(m.bound8, 0)
	sameKeyOtherKind := m.eight
	sameKeyOtherKind.Kind = coin.Bound
	flip := func(b []byte, at int) []byte { c := bytes.Clone(b); c[at] ^= 1; return c }
	cases := []struct {
		name   string
		coin   coin.Coin
		change func(*coin.Coin)
		d      coin.Denomination
		want   error
	}{
		{"unchanged", bearer, func(*coin.Coin) {}, m.eight, nil},
		{"unchanged and bound", bound, func(*coin.Coin) {}, m.bound8, nil},
		{"another bank", bearer, func(c *coin.Coin) { c.Bank = "OTHERBANK" }, m.eight, coin.ErrCoinSignature},
		{"another owner", bearer, func(c *coin.Coin) { c.Owner = flip(c.Owner, 0) }, m.eight, coin.ErrCoinSignature},
		{"another nonce", bound, func(c *coin.Coin) { c.Owner = flip(c.Owner, 0) }, m.bound8, coin.ErrCoinSignature},
		{"another tag", bound, func(c *coin.Coin) { c.Owner = flip(c.Owner, 64) }, m.bound8, coin.ErrCoinSignature},
		{"another randomizer", bearer, func(c *coin.Coin) { c.Randomizer[0] ^= 1 }, m.eight, coin.ErrCoinSignature},
		{"a flipped bit in the signature", bearer, func(c *coin.Coin) { c.Signature = flip(c.Signature, 200) }, m.eight, coin.ErrCoinSignature},
		{"a signature of another size", bearer, func(c *coin.Coin) { c.Signature = make([]byte, 384) }, m.eight, coin.ErrCoinSignature},
		{"a signature above the modulus", bearer, func(c *coin.Coin) { c.Signature = bytes.Repeat([]byte{255}, 256) }, m.eight, coin.ErrCoinSignature},
		{"a signature of no size", bearer, func(c *coin.Coin) { c.Signature = nil }, m.eight, coin.ErrMalformed},
		{"another key", bearer, func(*coin.Coin) {}, m.four, coin.ErrUnknownKey},
		{"another key, named in the coin", bearer, func(c *coin.Coin) { c.KeyID = m.four.KeyID }, m.four, coin.ErrCoinSignature},
		{"another kind of key", bearer, func(*coin.Coin) {}, sameKeyOtherKind, coin.ErrUnknownKind},
		{"an unknown kind", bearer, func(c *coin.Coin) { c.Kind = "offline" }, m.eight, coin.ErrUnknownKind},
		{"an owner of the other kind", bearer, func(c *coin.Coin) { c.Kind = coin.Bound }, m.eight, coin.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			changed := c.coin
			c.change(&changed)
			expect(t, changed.Verify(&c.d), c.want)
		})
	}
	other := bearer
	other.Bank = "OTHERBANK"
	_, err := m.keyset.VerifyCoin(&other)
	expect(t, err, coin.ErrBank)
	unknown := bearer
	unknown.KeyID = coin.KeyID{}
	_, err = m.keyset.VerifyCoin(&unknown)
	expect(t, err, coin.ErrUnknownKey)
	_, err = bearer.BoundClaim()
	expect(t, err, coin.ErrUnknownKind)
}

func TestMessageFormat(t *testing.T) {
	c := coin.Coin{Bank: bankID, Kind: coin.Bearer, Owner: make(coin.Owner, 32)}
	want := "85" + "6d" + hex.EncodeToString([]byte("specie/coin/1")) + "68" + hex.EncodeToString([]byte(bankID)) +
		"5820" + strings.Repeat("00", 32) + "66" + hex.EncodeToString([]byte("bearer")) + "5820" + strings.Repeat("00", 32)
	if got := hex.EncodeToString(c.Message()); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if got := hex.EncodeToString(c.Prepared()); got != strings.Repeat("00", 32)+want {
		t.Fatalf("prepared: got %s", got)
	}
}

func TestDecodeCoin(t *testing.T) {
	m := theMint()
	c := m.coin(m.one, 0)
	good, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var fields map[uint64]any
	if err := cbor.Unmarshal(good, &fields); err != nil {
		t.Fatal(err)
	}
	enc := must(cbor.CoreDetEncOptions().EncMode())
	with := func(key uint64, value any) []byte {
		f := map[uint64]any{}
		for k, v := range fields {
			f[k] = v
		}
		if f[key] = value; value == nil {
			delete(f, key)
		}
		return must(enc.Marshal(f))
	}
	cases := []struct {
		name string
		data []byte
		want error
	}{
		{"unchanged", good, nil},
		{"a field of a later minor version", with(9, "new"), nil},
		{"the next major version", with(0, 2), coin.ErrMalformed},
		{"no version", with(0, nil), coin.ErrMalformed},
		{"no bank", with(1, nil), coin.ErrMalformed},
		{"a bank in lower case", with(1, "demobank"), coin.ErrMalformed},
		{"no key id", with(2, nil), coin.ErrMalformed},
		{"a key id of 31 bytes", with(2, make([]byte, 31)), coin.ErrMalformed},
		{"an unknown kind", with(3, "offline"), coin.ErrUnknownKind},
		{"an owner of 31 bytes", with(4, make([]byte, 31)), coin.ErrMalformed},
		{"a randomizer of 33 bytes", with(5, make([]byte, 33)), coin.ErrMalformed},
		{"a signature of 255 bytes", with(6, make([]byte, 255)), coin.ErrMalformed},
		{"a bank of another type", with(1, 5), coin.ErrMalformed},
		{"a tagged field", with(9, cbor.Tag{Number: 32, Content: "http://x"}), coin.ErrMalformed},
		{"a field nested deeply", with(9, []any{[]any{[]any{[]any{[]any{1}}}}}), coin.ErrMalformed},
		{"too many fields", func() []byte {
			f := map[uint64]any{}
			for k := range uint64(20) {
				f[k] = fields[k%7]
			}
			return must(enc.Marshal(f))
		}(), coin.ErrMalformed},
		{"an integer longer than it needs be", bytes.Replace(good, []byte{0xa7, 0, 1}, []byte{0xa7, 0, 0x18, 1}, 1), coin.ErrMalformed},
		{"fields out of order", func() []byte {
			// The first two pairs are 00 01 and 01 68 "DEMOBANK".
			pair := good[3:13]
			return append(append(append([]byte{0xa7}, pair...), good[1:3]...), good[13:]...)
		}(), coin.ErrMalformed},
		{"a field twice", append(append([]byte{0xa8}, good[1:3]...), good[1:]...), coin.ErrMalformed},
		{"a map of indefinite length", append(append([]byte{0xbf}, good[1:]...), 0xff), coin.ErrMalformed},
		{"bytes after it", append(bytes.Clone(good), 0), coin.ErrMalformed},
		{"its end missing", good[:len(good)-1], coin.ErrMalformed},
		{"an array", []byte{0x80}, coin.ErrMalformed},
		{"nothing", nil, coin.ErrMalformed},
		{"too large", make([]byte, coin.MaxCoin+1), coin.ErrTooLarge},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := coin.DecodeCoin(c.data)
			expect(t, err, c.want)
		})
	}
	text := must(c.Text())
	for name, s := range map[string]string{
		"no prefix": text[7:], "the next major version": "specie2" + text[7:], "padding": text + "=", "a line break": text[:50] + "\n" + text[50:], "nothing": "",
	} {
		if _, err := coin.ParseCoin(s); !errors.Is(err, coin.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := coin.ParseCoin("specie1" + strings.Repeat("A", 5000)); !errors.Is(err, coin.ErrTooLarge) {
		t.Errorf("too large: got %v", err)
	}
	bad := c
	bad.Owner = nil
	if _, err := bad.Text(); !errors.Is(err, coin.ErrMalformed) {
		t.Errorf("writing a coin without owner: got %v", err)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	s := coin.Seed{0xde, 0xad, 0xbe, 0xef}
	p := theMint().planchet(theMint().one, 0)
	for _, v := range []any{s, &s, p} {
		for _, format := range []string{"%v", "%+v", "%#v", "%x", "%d", "%s", "%q"} {
			got := fmt.Sprintf(format, v)
			if strings.Trim(got, "&") != "[redacted]" {
				t.Errorf("%T with %s prints %.60q", v, format, got)
			}
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "seed", s)
	if !strings.Contains(log.String(), "seed=[redacted]") {
		t.Errorf("log has %q", log.String())
	}
	if b, err := json.Marshal(s); err == nil {
		t.Errorf("marshals as %s", b)
	}
	if b, err := cbor.Marshal(s); err == nil {
		t.Errorf("marshals as %x", b)
	}
	if !s.Equal(s) || s.Equal(coin.Seed{}) {
		t.Error("Equal is wrong")
	}
}

func FuzzDecodeCoin(f *testing.F) {
	m := theMint()
	for _, d := range []coin.Denomination{m.one, m.bound8} {
		c := m.coin(d, 0)
		f.Add(must(theMint().planchet(theMint().one, 9).Unsigned().Encode()))
		f.Add(must(c.Encode()))
	}
	f.Add([]byte{0xa0})
	f.Add([]byte{0xbf, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := coin.DecodeCoin(data)
		if err != nil {
			if !errors.Is(err, coin.ErrMalformed) && !errors.Is(err, coin.ErrTooLarge) && !errors.Is(err, coin.ErrUnknownKind) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		again, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := coin.DecodeCoin(again)
		if err != nil || back.ID() != c.ID() || !cmp.Equal(c, back) {
			t.Fatalf("another coin came back: %v", err)
		}
		// Without unknown fields there is one encoding.
		if data[0] == again[0] && !bytes.Equal(data, again) {
			t.Fatalf("two encodings of one coin:\n%x\n%x", data, again)
		}
	})
}

func FuzzParseCoin(f *testing.F) {
	m := theMint()
	c := m.coin(m.one, 0)
	f.Add(must(c.Text()))
	f.Add("specie1")
	f.Add("specie2AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := coin.ParseCoin(s)
		if err != nil {
			return
		}
		if text, err := c.Text(); err != nil || len(text) > len(s) {
			t.Fatalf("%q became %q, %v", s, text, err)
		}
	})
}
