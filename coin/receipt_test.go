package coin_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

func depositReceipt(s *coin.Spend) *coin.DepositReceipt {
	return &coin.DepositReceipt{
		Bank: bankID, Op: s.Op(), OfferDigest: s.OfferDigest, SpendDigest: s.Digest(), Amount: s.Amount, Currency: "EUR",
		Payee: [32]byte{5}, At: now,
	}
}

func TestDepositReceipt(t *testing.T) {
	m := theMint()
	s, _ := m.spend()
	r := depositReceipt(s)
	jws, err := r.Sign(m.signingKey, m.signing)
	if err != nil {
		t.Fatal(err)
	}
	got, err := coin.VerifyDepositReceipt(m.root, jws, now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, got); diff != "" {
		t.Fatal(diff)
	}
	expect(t, got.Covers(s, [32]byte{5}), nil)
	expect(t, got.Covers(s, [32]byte{6}), coin.ErrReceipt)
	for name, change := range map[string]func(*coin.DepositReceipt){
		"bank": func(r *coin.DepositReceipt) { r.Bank = "OTHERBANK" }, "op": func(r *coin.DepositReceipt) { r.Op[0]++ },
		"offer": func(r *coin.DepositReceipt) { r.OfferDigest[0]++ }, "spend": func(r *coin.DepositReceipt) { r.SpendDigest[0]++ },
		"amount": func(r *coin.DepositReceipt) { r.Amount++ }, "currency": func(r *coin.DepositReceipt) { r.Currency = "USD" },
	} {
		t.Run("it is about another "+name, func(t *testing.T) {
			c := *r
			change(&c)
			expect(t, c.Covers(s, [32]byte{5}), coin.ErrReceipt)
		})
	}
}

func TestDepositReceiptRefuses(t *testing.T) {
	m := theMint()
	s, _ := m.spend()
	r := depositReceipt(s)
	good := must(r.Sign(m.signingKey, m.signing))
	doc := must(m.root.Verify(good, trust.TypReceipt, trust.RoleSigning, now))
	by := func(payload []byte, key *ecdsa.PrivateKey, chain []*x509.Certificate) []byte {
		return must(trust.Sign(trust.TypReceipt, payload, key, chain))
	}
	with := func(old, new string) []byte { return by(changed(t, doc.Payload, old, new), m.signingKey, m.signing) }
	cases := []struct {
		name string
		jws  []byte
		at   time.Time
		want error
	}{
		{"unchanged", good, now, nil},
		{"the master's signature", by(doc.Payload, m.masterKey, m.master), now, trust.ErrRole},
		{"another bank in it", with(`"bank":"DEMOBANK"`, `"bank":"OTHERBANK"`), now, coin.ErrBank},
		{"another type of document", must(trust.Sign(trust.TypKeyset, doc.Payload, m.signingKey, m.signing)), now, trust.ErrType},
		{"a certificate that has ended", good, now.AddDate(2, 0, 0), trust.ErrExpired},
		{"version 2", with(`"v":1`, `"v":2`), now, coin.ErrMalformed},
		{"another kind of receipt", with(`"kind":"deposit"`, `"kind":"payment"`), now, coin.ErrMalformed},
		{"an unknown member", with(`{`, `{"x":1,`), now, coin.ErrMalformed},
		{"another spelling", with(`"v":1`, `"v": 1`), now, coin.ErrMalformed},
		{"a negative amount", with(`"amount":9`, `"amount":-9`), now, coin.ErrOverflow},
		{"a bad currency", with(`"EUR"`, `"eur"`), now, coin.ErrMalformed},
		{"a bad bank", with(`"DEMOBANK"`, `"x"`), now, coin.ErrMalformed},
		{"a bad time", with(`T12:00:00Z`, `T12:00Z`), now, coin.ErrMalformed},
		{"too large", by([]byte(`{"x":"`+strings.Repeat("x", 5000)+`"}`), m.signingKey, m.signing), now, coin.ErrTooLarge},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := coin.VerifyDepositReceipt(m.root, c.jws, c.at)
			expect(t, err, c.want)
		})
	}
	for name, change := range map[string]func(*coin.DepositReceipt){
		"a bad bank": func(r *coin.DepositReceipt) { r.Bank = "" }, "a bad currency": func(r *coin.DepositReceipt) { r.Currency = "" },
		"a time between seconds": func(r *coin.DepositReceipt) { r.At = now.Add(1) },
	} {
		t.Run("signing with "+name, func(t *testing.T) {
			c := *r
			change(&c)
			_, err := c.Sign(m.signingKey, m.signing)
			expect(t, err, coin.ErrMalformed)
		})
	}
	_, err := r.Sign(m.masterKey, m.signing)
	expect(t, err, trust.ErrChain)
}

func holderReceipt(s *coin.Spend) *coin.HolderReceipt {
	return &coin.HolderReceipt{OfferDigest: s.OfferDigest, SpendDigest: s.Digest(), Amount: s.Amount, Currency: "EUR", At: now}
}

func TestHolderReceipt(t *testing.T) {
	s, _ := theMint().spend()
	r := holderReceipt(s)
	jws, err := r.Sign(merchant(1))
	if err != nil {
		t.Fatal(err)
	}
	got, err := coin.VerifyHolderReceipt(jws, merchantID(1))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, got); diff != "" {
		t.Fatal(diff)
	}
	expect(t, got.Covers(s), nil)
	for name, change := range map[string]func(*coin.HolderReceipt){
		"offer": func(r *coin.HolderReceipt) { r.OfferDigest[0]++ }, "spend": func(r *coin.HolderReceipt) { r.SpendDigest[0]++ },
		"amount": func(r *coin.HolderReceipt) { r.Amount++ }, "currency": func(r *coin.HolderReceipt) { r.Currency = "USD" },
	} {
		t.Run("it is about another "+name, func(t *testing.T) {
			c := *r
			change(&c)
			expect(t, c.Covers(s), coin.ErrReceipt)
		})
	}
	_, err = coin.VerifyHolderReceipt(jws, merchantID(2))
	expect(t, err, coin.ErrReceipt)
}

func TestHolderReceiptRefuses(t *testing.T) {
	s, _ := theMint().spend()
	good := must(holderReceipt(s).Sign(merchant(1)))
	payload := must(trust.VerifyKeyed(good, coin.TypHolderReceipt)).Payload
	with := func(old, new string) []byte {
		return must(trust.SignKeyed(coin.TypHolderReceipt, changed(t, payload, old, new), merchant(1)))
	}
	cases := []struct {
		name string
		jws  []byte
		want error
	}{
		{"unchanged", good, nil},
		{"another merchant's signature", must(trust.SignKeyed(coin.TypHolderReceipt, payload, merchant(2))), coin.ErrReceipt},
		{"another type of document", must(trust.SignKeyed(coin.TypOffer, payload, merchant(1))), trust.ErrType},
		{"version 2", with(`"v":1`, `"v":2`), coin.ErrMalformed},
		{"another kind of receipt", with(`"kind":"payment"`, `"kind":"deposit"`), coin.ErrMalformed},
		{"an unknown member", with(`{`, `{"x":1,`), coin.ErrMalformed},
		{"another spelling", with(`"v":1`, `"v": 1`), coin.ErrMalformed},
		{"a negative amount", with(`"amount":9`, `"amount":-9`), coin.ErrOverflow},
		{"a bad currency", with(`"EUR"`, `"eur"`), coin.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := coin.VerifyHolderReceipt(c.jws, merchantID(1))
			expect(t, err, c.want)
		})
	}
	bad := holderReceipt(s)
	bad.Currency = ""
	_, err := bad.Sign(merchant(1))
	expect(t, err, coin.ErrMalformed)
}

func FuzzReceiptPayload(f *testing.F) {
	m := theMint()
	s, _ := m.spend()
	f.Add(must(m.root.Verify(must(depositReceipt(s).Sign(m.signingKey, m.signing)), trust.TypReceipt, trust.RoleSigning, now)).Payload)
	f.Add(must(trust.VerifyKeyed(must(holderReceipt(s).Sign(merchant(1))), coin.TypHolderReceipt)).Payload)
	f.Add([]byte(`{"v":1,"kind":"deposit"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		again, err := coin.ParseDepositReceipt(payload)
		if err == nil && !bytes.Equal(again, payload) {
			t.Fatalf("not canonical: %s", payload)
		}
		other, err2 := coin.ParseHolderReceipt(payload)
		if err2 == nil && !bytes.Equal(other, payload) {
			t.Fatalf("not canonical: %s", payload)
		}
		if err == nil && err2 == nil {
			t.Fatal("one payload passes for both receipts")
		}
	})
}
