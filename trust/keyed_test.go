package trust_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"

	"github.com/speciecash/specie/trust"
)

const typOffer = "specie-test+jws"

func edKey(fill byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = fill
	return ed25519.NewKeyFromSeed(seed)
}

// RFC 8037 Appendix A.3.
func TestThumbprintIsTheRFCs(t *testing.T) {
	x, err := base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := trust.Thumbprint(x), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func TestKeyedDocument(t *testing.T) {
	key := edKey(1)
	jws, err := trust.SignKeyed(typOffer, []byte(payload), key)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := trust.VerifyKeyed(jws, typOffer)
	if err != nil {
		t.Fatal(err)
	}
	pub := key.Public().(ed25519.PublicKey)
	if string(doc.Payload) != payload || !doc.Key.Equal(pub) || doc.KeyID != trust.Thumbprint(pub) {
		t.Fatalf("got %+v", doc)
	}
}

func TestSignKeyedRefusesOtherKeys(t *testing.T) {
	if _, err := trust.SignKeyed(typOffer, []byte(payload), newHouse(t).bank.key); !errors.Is(err, trust.ErrMalformed) {
		t.Fatalf("got %v", err)
	}
}

func TestVerifyKeyedRefuses(t *testing.T) {
	key, pub := edKey(1), edKey(1).Public().(ed25519.PublicKey)
	enc := base64.RawURLEncoding
	jwk := func(x []byte) map[string]string {
		return map[string]string{"kty": "OKP", "crv": "Ed25519", "x": enc.EncodeToString(x)}
	}
	forged := func(change func(map[string]any)) []byte {
		h := map[string]any{"alg": "EdDSA", "typ": typOffer, "jwk": jwk(pub)}
		change(h)
		raw, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		input := enc.EncodeToString(raw) + "." + enc.EncodeToString([]byte(payload))
		return []byte(input + "." + enc.EncodeToString(ed25519.Sign(key, []byte(input))))
	}
	good := forged(func(map[string]any) {})
	seg := segments(good)
	h := newHouse(t)
	cases := []struct {
		name string
		jws  []byte
		want error
	}{
		{"unchanged", good, nil},
		{"another type", forged(func(h map[string]any) { h["typ"] = trust.TypReceipt }), trust.ErrType},
		{"another key in the header", forged(func(h map[string]any) { h["jwk"] = jwk(edKey(2).Public().(ed25519.PublicKey)) }), trust.ErrSignature},
		{"no key", forged(func(h map[string]any) { delete(h, "jwk") }), trust.ErrMalformed},
		{"a key too short", forged(func(h map[string]any) { h["jwk"] = jwk(pub[:31]) }), trust.ErrMalformed},
		{"another curve", forged(func(h map[string]any) { k := jwk(pub); k["crv"] = "X25519"; h["jwk"] = k }), trust.ErrMalformed},
		{"another key type", forged(func(h map[string]any) { k := jwk(pub); k["kty"] = "EC"; h["jwk"] = k }), trust.ErrMalformed},
		{"a private key", forged(func(h map[string]any) { k := jwk(pub); k["d"] = "AAAA"; h["jwk"] = k }), trust.ErrMalformed},
		{"a chain beside the key", forged(func(h2 map[string]any) { h2["x5c"] = h.bank.x5c() }), trust.ErrMalformed},
		{"another algorithm", forged(func(h map[string]any) { h["alg"] = "ES256" }), trust.ErrMalformed},
		{"the payload changed", []byte(seg[0] + "." + enc.EncodeToString([]byte(`{}`)) + "." + seg[2]), trust.ErrSignature},
		{"a certified document", h.bank.sign(t, typOffer, payload), trust.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := trust.VerifyKeyed(c.jws, typOffer); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}
