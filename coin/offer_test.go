package coin_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

// merchant number fill.
func merchant(fill byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{fill}, 32))
}

func merchantID(fill byte) string {
	return coin.MerchantID(merchant(fill).Public().(ed25519.PublicKey))
}

func terms() coin.Offer {
	return coin.Offer{
		Mode: coin.Online, Till: "till-1", Acquirer: bankID, Amount: 9, Currency: "EUR", Expires: now.Add(time.Hour),
		Kinds: []coin.Kind{coin.Bound, coin.Bearer}, Groups: [][32]byte{theGroup.id}, Epoch: 3,
	}
}

func details() coin.PrivateOffer {
	return coin.PrivateOffer{Name: "Bäckerei Ahorn", Order: "A-17", Purpose: "two loaves <rye>"}
}

func newOffer(t testing.TB) *coin.SignedOffer {
	t.Helper()
	o, err := coin.NewOffer(terms(), details(), merchant(1))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOfferComesBackVerified(t *testing.T) {
	o := newOffer(t)
	got, err := coin.VerifyOffer(o.JWS, o.PrivateBytes, now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(o, got); diff != "" {
		t.Fatal(diff)
	}
	if got.Private.MerchantID != merchantID(1) || got.Private.Name != details().Name || got.Digest != sha256.Sum256(o.Public) {
		t.Fatalf("got %+v", got)
	}
	public, err := coin.ParseOffer(o.Public)
	if err != nil || !cmp.Equal(*public, o.Offer) {
		t.Fatalf("what the bank reads differs: %v", err)
	}
	if again := newOffer(t); again.Offer.Nonce == o.Offer.Nonce || again.Offer.Payee == o.Offer.Payee || again.Offer.Private == o.Offer.Private {
		t.Fatal("two offers share a nonce or salt")
	}
	for _, s := range []string{details().Name, details().Order, "loaves", merchantID(1)} {
		if strings.Contains(string(o.Public), s) {
			t.Fatalf("the public part tells %q", s)
		}
	}
}

func TestNewOfferRefuses(t *testing.T) {
	cases := []struct {
		name   string
		change func(*coin.Offer, *coin.PrivateOffer)
		want   error
	}{
		{"an unknown mode", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Mode = "later" }, coin.ErrMalformed},
		{"a till with a space", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Till = "till 1" }, coin.ErrMalformed},
		{"a till too long", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Till = strings.Repeat("a", 65) }, coin.ErrTooLarge},
		{"a bad bank", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Acquirer = "x" }, coin.ErrMalformed},
		{"nothing to pay", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Amount = 0 }, coin.ErrMalformed},
		{"a negative amount", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Amount = -1 }, coin.ErrOverflow},
		{"an amount out of range", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Amount = coin.MaxAmount + 1 }, coin.ErrOverflow},
		{"a bad currency", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Currency = "€" }, coin.ErrMalformed},
		{"no end", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Expires = time.Time{} }, coin.ErrMalformed},
		{"an end between two seconds", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Expires = o.Expires.Add(1) }, coin.ErrMalformed},
		{"no kind of coin", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Kinds = nil }, coin.ErrMalformed},
		{"a kind twice", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Kinds = []coin.Kind{coin.Bound, coin.Bound} }, coin.ErrMalformed},
		{"a kind in upper case", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Kinds[0] = "Bound" }, coin.ErrMalformed},
		{"too many kinds", func(o *coin.Offer, _ *coin.PrivateOffer) {
			o.Kinds = strings2kinds("a b c d e f g h bound")
		}, coin.ErrTooLarge},
		{"bound coins without group", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Groups = nil }, coin.ErrMalformed},
		{"a group without bound coins", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Kinds = []coin.Kind{coin.Bearer} }, coin.ErrMalformed},
		{"an epoch without group", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Kinds, o.Groups = []coin.Kind{coin.Bearer}, nil }, coin.ErrMalformed},
		{"a group twice", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Groups = append(o.Groups, o.Groups[0]) }, coin.ErrMalformed},
		{"a group of zero", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Groups[0] = [32]byte{} }, coin.ErrMalformed},
		{"too many groups", func(o *coin.Offer, _ *coin.PrivateOffer) { o.Groups = make([][32]byte, 17) }, coin.ErrTooLarge},
		{"a name too long", func(_ *coin.Offer, p *coin.PrivateOffer) { p.Name = strings.Repeat("x", 257) }, coin.ErrTooLarge},
		{"a name with an escape sequence", func(_ *coin.Offer, p *coin.PrivateOffer) { p.Name = "\x1b[2J" }, coin.ErrMalformed},
		{"an order on two lines", func(_ *coin.Offer, p *coin.PrivateOffer) { p.Order = "1\n2" }, coin.ErrMalformed},
		{"a purpose written backwards", func(_ *coin.Offer, p *coin.PrivateOffer) { p.Purpose = "\u202e99.9" }, coin.ErrMalformed},
		{"a purpose with a line separator", func(_ *coin.Offer, p *coin.PrivateOffer) { p.Purpose = "a\u2028b" }, coin.ErrMalformed},
		{"a purpose that is not UTF-8", func(_ *coin.Offer, p *coin.PrivateOffer) { p.Purpose = "\xff" }, coin.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o, p := terms(), details()
			c.change(&o, &p)
			_, err := coin.NewOffer(o, p, merchant(1))
			expect(t, err, c.want)
		})
	}
	_, err := coin.NewOffer(terms(), details(), theMint().masterKey)
	expect(t, err, coin.ErrMalformed)
	_, err = coin.NewOffer(coin.Offer{}, details(), merchant(1))
	expect(t, err, coin.ErrMalformed)
	bearer := terms()
	bearer.Kinds, bearer.Groups, bearer.Epoch = []coin.Kind{coin.Bearer}, nil, 0
	if _, err := coin.NewOffer(bearer, coin.PrivateOffer{}, merchant(1)); err != nil {
		t.Fatalf("bearer coins and no text: %v", err)
	}
}

func strings2kinds(s string) (out []coin.Kind) {
	for _, k := range strings.Fields(s) {
		out = append(out, coin.Kind(k))
	}
	return out
}

// changed decodes a JSON object, changes it and keeps the order of members,
// which a map does not.
func changed(t *testing.T, data []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%s is not in %s", old, data)
	}
	return bytes.Replace(data, []byte(old), []byte(new), 1)
}

func TestVerifyOfferRefuses(t *testing.T) {
	o := newOffer(t)
	resigned := func(public []byte) []byte { return must(trust.SignKeyed(coin.TypOffer, public, merchant(1))) }
	public := func(old, new string) []byte { return resigned(changed(t, o.Public, old, new)) }
	other := newOffer(t)
	cases := []struct {
		name    string
		jws     []byte
		private []byte
		at      time.Time
		want    error
	}{
		{"unchanged", o.JWS, o.PrivateBytes, now, nil},
		{"as it ends", o.JWS, o.PrivateBytes, now.Add(time.Hour), coin.ErrOfferExpired},
		{"the private part of another offer", o.JWS, other.PrivateBytes, now, coin.ErrForeignOffer},
		{"another order in the private part", o.JWS, changed(t, o.PrivateBytes, "A-17", "A-18"), now, coin.ErrForeignOffer},
		{"a space in the private part", o.JWS, append(bytes.Clone(o.PrivateBytes), ' '), now, coin.ErrForeignOffer},
		{"another merchant in the private part", o.JWS, changed(t, o.PrivateBytes, merchantID(1), merchantID(2)), now, coin.ErrForeignOffer},
		{"signed by another merchant", must(trust.SignKeyed(coin.TypOffer, o.Public, merchant(2))), o.PrivateBytes, now, coin.ErrForeignOffer},
		{"another type of document", must(trust.SignKeyed(coin.TypHolderReceipt, o.Public, merchant(1))), o.PrivateBytes, now, trust.ErrType},
		{"a signature that is broken", flipLast(o.JWS), o.PrivateBytes, now, errAny},
		{"an unknown member of the private part", o.JWS, changed(t, o.PrivateBytes, `{`, `{"x":1,`), now, coin.ErrMalformed},
		{"a private part too large", o.JWS, make([]byte, coin.MaxPrivate+1), now, coin.ErrTooLarge},
		{"an escape sequence in the private part", o.JWS, changed(t, o.PrivateBytes, "A-17", `\u001b`), now, coin.ErrMalformed},
		{"a public part too large", resigned(make([]byte, coin.MaxOffer+1)), o.PrivateBytes, now, coin.ErrTooLarge},
		{"version 2", public(`"v":1`, `"v":2`), o.PrivateBytes, now, coin.ErrMalformed},
		{"an unknown member", public(`"v":1`, `"v":1,"tip":1`), o.PrivateBytes, now, coin.ErrMalformed},
		{"a space between members", public(`"v":1,`, `"v":1, `), o.PrivateBytes, now, coin.ErrMalformed},
		{"members in another order", public(`"v":1,"mode":"online"`, `"mode":"online","v":1`), o.PrivateBytes, now, coin.ErrMalformed},
		{"a member left out", public(`"till":"till-1",`, ``), o.PrivateBytes, now, coin.ErrMalformed},
		{"two parts", public(`"parts":1`, `"parts":2`), o.PrivateBytes, now, coin.ErrMalformed},
		{"kinds in another order", public(`["bearer","bound"]`, `["bound","bearer"]`), o.PrivateBytes, now, coin.ErrMalformed},
		{"an amount of nothing", public(`"amount":9`, `"amount":0`), o.PrivateBytes, now, coin.ErrMalformed},
		{"an amount with an exponent", public(`"amount":9`, `"amount":9e0`), o.PrivateBytes, now, coin.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := coin.VerifyOffer(c.jws, c.private, c.at)
			if c.want == errAny && err != nil {
				return
			}
			expect(t, err, c.want)
		})
	}
}

// errAny marks cases where any refusal will do.
var errAny = errors.New("any")

func TestOfferTellsItsPayeeWithTheSaltOnly(t *testing.T) {
	o := newOffer(t)
	expect(t, o.Offer.CheckPayee(o.Private.PayeeSalt, merchantID(1)), nil)
	expect(t, o.Offer.CheckPayee(o.Private.PayeeSalt, merchantID(2)), coin.ErrForeignOffer)
	expect(t, o.Offer.CheckPayee(o.Private.PrivateSalt, merchantID(1)), coin.ErrForeignOffer)
}

func TestOfferCheckSpend(t *testing.T) {
	m := theMint()
	o := newOffer(t)
	with := func(change func(*coin.Spend)) *coin.Spend {
		s, _ := m.spend()
		s.OfferDigest = o.Digest
		change(s)
		return s
	}
	only := func(kinds ...coin.Kind) coin.Offer {
		c := o.Offer
		if c.Kinds = kinds; !slices.Contains(kinds, coin.Bound) {
			c.Groups, c.Epoch = nil, 0
		}
		return c
	}
	paying := func(o coin.Offer) func(*coin.Spend) {
		return func(s *coin.Spend) { s.OfferDigest = sha256.Sum256(must(o.Bytes())) }
	}
	bearerOnly, boundOnly := only(coin.Bearer), only(coin.Bound)
	cases := []struct {
		name  string
		offer coin.Offer
		s     *coin.Spend
		want  error
	}{
		{"unchanged", o.Offer, with(func(*coin.Spend) {}), nil},
		{"an exchange", o.Offer, with(func(s *coin.Spend) { s.Purpose = coin.Exchange }), coin.ErrPurpose},
		{"another offer", o.Offer, with(func(s *coin.Spend) { s.OfferDigest[0]++ }), coin.ErrForeignOffer},
		{"less than is due", o.Offer, with(func(s *coin.Spend) { s.Amount-- }), coin.ErrAmount},
		{"more than is due", o.Offer, with(func(s *coin.Spend) { s.Amount++ }), coin.ErrAmount},
		{"another currency", o.Offer, with(func(s *coin.Spend) { s.Currency = "USD" }), coin.ErrCurrency},
		{"a bound coin where bearer coins are taken", bearerOnly, with(paying(bearerOnly)), coin.ErrUnknownKind},
		{"a bearer coin where bound coins are taken", boundOnly, with(paying(boundOnly)), coin.ErrUnknownKind},
		{"another group", o.Offer, with(func(s *coin.Spend) { s.Group[0]++ }), coin.ErrBinding},
		{"an offer that is none", coin.Offer{}, with(func(*coin.Spend) {}), coin.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, c.offer.CheckSpend(c.s), c.want) })
	}
}

func TestLink(t *testing.T) {
	o := newOffer(t)
	l, err := o.Link("https://shop.example/pay")
	if err != nil {
		t.Fatal(err)
	}
	text, err := l.Text()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d characters", len(text))
	back, err := coin.ParseLink(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l, back); diff != "" {
		t.Fatal(diff)
	}
	if got, err := back.Verify(now); err != nil || got.Digest != o.Digest {
		t.Fatalf("got %v", err)
	}
	enc := base64.RawURLEncoding
	raw, err := enc.DecodeString(strings.TrimPrefix(text, "specie:pay?o="))
	if err != nil {
		t.Fatal(err)
	}
	link := func(data []byte) string { return "specie:pay?o=" + enc.EncodeToString(data) }
	cases := []struct {
		name string
		text string
		want error
	}{
		{"nothing", "", coin.ErrMalformed},
		{"another scheme", "bitcoin:pay?o=" + text[13:], coin.ErrMalformed},
		{"another parameter", text + "&amount=1", coin.ErrMalformed},
		{"a line break", text[:40] + "\n" + text[40:], coin.ErrMalformed},
		{"an unknown member", link(changed(t, raw, `{`, `{"x":1,`)), coin.ErrMalformed},
		{"no offer", link([]byte(`{"jws":"","private":"AA","to":"https://shop.example/pay"}`)), coin.ErrMalformed},
		{"no private part", link([]byte(`{"jws":"a.b.c","private":"","to":"https://shop.example/pay"}`)), coin.ErrMalformed},
		{"no address", link(changed(t, raw, `"to":"https://shop.example/pay"`, `"to":""`)), coin.ErrMalformed},
		{"an address in the clear", link(changed(t, raw, `"https:`, `"http:`)), coin.ErrMalformed},
		{"too long", "specie:pay?o=" + strings.Repeat("A", coin.MaxLink), coin.ErrTooLarge},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := coin.ParseLink(c.text)
			expect(t, err, c.want)
		})
	}
}

func TestLinkAddresses(t *testing.T) {
	o := newOffer(t)
	for to, ok := range map[string]bool{
		"https://shop.example/pay":                          true,
		"https://shop.example:8443/pay?till=1":              true,
		"http://127.0.0.1:8080/pay":                         true,
		"http://[::1]:8080/pay":                             true,
		"http://localhost:8080/pay":                         true,
		"http://shop.example/pay":                           false,
		"http://127.0.0.1.evil.example/pay":                 false,
		"http://10.0.0.1/pay":                               false,
		"https://user:pw@shop.example/":                     false,
		"https://shop.example/#x":                           false,
		"https:///pay":                                      false,
		"https:shop.example":                                false,
		"ftp://shop.example/":                               false,
		"javascript:alert(1)":                               false,
		"/pay":                                              false,
		"https://shop.example/\x00":                         false,
		"https://shop.example/" + strings.Repeat("x", 1025): false,
	} {
		if _, err := o.Link(to); (err == nil) != ok {
			t.Errorf("%.60q: got %v", to, err)
		}
	}
	if _, err := (&coin.Link{To: "https://x.example"}).Text(); !errors.Is(err, coin.ErrMalformed) {
		t.Errorf("got %v", err)
	}
	if _, err := (&coin.Link{To: "x"}).Text(); !errors.Is(err, coin.ErrMalformed) {
		t.Errorf("got %v", err)
	}
	if _, err := (&coin.Link{JWS: make([]byte, coin.MaxLink), Private: []byte("x"), To: "https://x.example"}).Text(); !errors.Is(err, coin.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseOffer(f *testing.F) {
	o := newOffer(f)
	f.Add(o.Public)
	f.Add(changed2(o.Public, `"v":1`, `"v":2`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := coin.ParseOffer(data)
		if err != nil {
			return
		}
		again, err := o.Bytes()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("not canonical, %v", err)
		}
	})
}

func changed2(data []byte, old, new string) []byte {
	return bytes.Replace(data, []byte(old), []byte(new), 1)
}

func FuzzParsePrivate(f *testing.F) {
	f.Add(newOffer(f).PrivateBytes)
	f.Add([]byte(`{"name":"\u001b"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := coin.ParsePrivate(data)
		if err == nil && strings.ContainsAny(p.Name+p.Order+p.Purpose, "\x00\x1b\n\r") {
			t.Fatalf("control characters in %q", *p)
		}
	})
}

func FuzzParseLink(f *testing.F) {
	l := must(newOffer(f).Link("https://shop.example/pay"))
	f.Add(must(l.Text()))
	f.Add("specie:pay?o=" + base64.RawURLEncoding.EncodeToString(must(json.Marshal(map[string]string{"jws": "a.b.c", "private": "AA", "to": "http://[::1]/"}))))
	f.Add("specie:pay?o=")
	f.Add(must(l.QR()))
	f.Fuzz(func(t *testing.T, text string) {
		l, err := coin.ParseLink(text)
		if err != nil {
			return
		}
		if o, err := l.Verify(now); err == nil && !bytes.Equal(o.JWS, l.JWS) {
			t.Fatal("another offer came back")
		}
		// Escapes in JSON can be shorter than what they stand for.
		again, err := l.Text()
		if errors.Is(err, coin.ErrTooLarge) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if back, err := coin.ParseLink(again); err != nil || !cmp.Equal(l, back) {
			t.Fatalf("another link came back: %v", err)
		}
	})
}
