package trust_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/trust"
)

const payload = `{"says":"something"}`

func TestEveryRoleSignsAndIsRecognised(t *testing.T) {
	h := newHouse(t)
	cases := []struct {
		name string
		by   party
		typ  string
		want trust.Name
	}{
		{"a bank's master signs a keyset", h.bank, trust.TypKeyset, trust.Name{Role: trust.RoleBank, ID: "DEMOBANK"}},
		{"a bank's master that is no CA signs too", h.plainBank, trust.TypKeyset, trust.Name{Role: trust.RoleBank, ID: "PLAINBANK"}},
		{"a bank's online key signs a receipt", h.signing, trust.TypReceipt, trust.Name{Role: trust.RoleSigning, ID: "DEMOBANK"}},
		{"a group manager signs the group document", h.group, trust.TypGroup, trust.Name{Role: trust.RoleGroup, ID: "GROUP1"}},
		{"a supervisor signs the supervision document", h.supervisor, trust.TypSupervision, trust.Name{Role: trust.RoleSupervisor, ID: "OFFICER1"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			doc, err := h.root.Verify(c.by.sign(t, c.typ, payload), c.typ, c.want.Role, now)
			if err != nil {
				t.Fatal(err)
			}
			if doc.Signer != c.want || string(doc.Payload) != payload || doc.Digest != sha256.Sum256([]byte(payload)) {
				t.Fatalf("got %+v", doc)
			}
			if len(doc.Chain) != len(c.by.chain) || !doc.Chain[0].Equal(c.by.chain[0]) {
				t.Fatal("another chain came back")
			}
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	h, stranger := newHouse(t), newHouse(t)
	good := h.signing.sign(t, trust.TypReceipt, payload)
	seg := segments(good)
	enc := base64.RawURLEncoding
	rawHeader, err := enc.DecodeString(seg[0])
	if err != nil {
		t.Fatal(err)
	}
	header := func() map[string]any {
		return map[string]any{"alg": "ES256", "typ": trust.TypReceipt, "x5c": h.signing.x5c()}
	}
	with := func(name string, value any) []byte {
		m := header()
		m[name] = value
		return forge(t, m, payload, h.signing.key)
	}
	chain := func(certs ...string) []byte { return with("x5c", certs) }
	leaf, bank := h.signing.x5c()[0], h.signing.x5c()[1]
	root := base64.StdEncoding.EncodeToString(h.rootCert.Raw)

	if _, err := h.root.Verify(forge(t, header(), payload, h.signing.key), trust.TypReceipt, trust.RoleSigning, now); err != nil {
		t.Fatalf("the forger's own form must verify, or the cases below prove nothing: %v", err)
	}
	cases := []struct {
		name string
		jws  []byte
		typ  string
		role trust.Role
		at   time.Time
		want error
	}{
		{"a receipt read as a keyset", good, trust.TypKeyset, trust.RoleSigning, now, trust.ErrType},
		{"an online key where the master is due", good, trust.TypReceipt, trust.RoleBank, now, trust.ErrRole},
		{"a time before the validity", good, trust.TypReceipt, trust.RoleSigning, start.Add(-time.Second), trust.ErrExpired},
		{"a time after the validity", good, trust.TypReceipt, trust.RoleSigning, end.Add(time.Second), trust.ErrExpired},
		{"another root's document", stranger.signing.sign(t, trust.TypReceipt, payload), trust.TypReceipt, trust.RoleSigning, now, trust.ErrChain},
		{"another key under a good chain", forge(t, header(), payload, stranger.signing.key), trust.TypReceipt, trust.RoleSigning, now, trust.ErrSignature},
		{"the payload changed", []byte(seg[0] + "." + enc.EncodeToString([]byte(`{"says":"another"}`)) + "." + seg[2]), trust.TypReceipt, trust.RoleSigning, now, trust.ErrSignature},
		{"a space more in the header", []byte(enc.EncodeToString(append(rawHeader, ' ')) + "." + seg[1] + "." + seg[2]), trust.TypReceipt, trust.RoleSigning, now, trust.ErrSignature},
		{"the signature cut short", []byte(seg[0] + "." + seg[1] + "." + seg[2][:40]), trust.TypReceipt, trust.RoleSigning, now, trust.ErrSignature},
		{"no signature", []byte(seg[0] + "." + seg[1] + "."), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"alg none", with("alg", "none"), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"alg of another curve", with("alg", "ES384"), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"alg of another family", with("alg", "HS256"), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"an unencoded payload (b64)", with("b64", false), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"a critical header", with("crit", []string{"exp"}), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"a key id beside the chain", with("kid", "x"), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"a bare key beside the chain", with("jwk", map[string]string{"kty": "OKP", "crv": "Ed25519", "x": "AA"}), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"no chain", with("x5c", []string{}), trust.TypReceipt, trust.RoleSigning, now, trust.ErrChain},
		{"the bank's certificate missing", chain(leaf), trust.TypReceipt, trust.RoleSigning, now, trust.ErrRole},
		{"the root sent along", chain(leaf, bank, root), trust.TypReceipt, trust.RoleSigning, now, trust.ErrChain},
		{"the root in the bank's place", chain(leaf, root), trust.TypReceipt, trust.RoleSigning, now, trust.ErrRole},
		{"the chain turned round", chain(bank, leaf), trust.TypReceipt, trust.RoleSigning, now, trust.ErrRole},
		{"another bank's certificate in the middle", chain(leaf, h.other.x5c()[0]), trust.TypReceipt, trust.RoleSigning, now, trust.ErrRole},
		{"a certificate that is no base64", chain("%%", bank), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"a certificate that is no DER", chain("AAAA", bank), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"a certificate too large", chain(base64.StdEncoding.EncodeToString(make([]byte, 9<<10)), bank), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"a line break in the payload", []byte(seg[0] + "." + seg[1][:4] + "\n" + seg[1][4:] + "." + seg[2]), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"padding", []byte(seg[0] + "." + seg[1] + "=." + seg[2]), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"two parts", []byte(seg[0] + "." + seg[1]), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"four parts", append(bytes.Clone(good), '.', 'A', 'A'), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"JSON serialisation", []byte(`{"payload":"` + seg[1] + `","protected":"` + seg[0] + `","signature":"` + seg[2] + `"}`), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"nothing", nil, trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
		{"too much", bytes.Repeat([]byte("A"), trust.MaxJWS+1), trust.TypReceipt, trust.RoleSigning, now, trust.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			doc, err := h.root.Verify(c.jws, c.typ, c.role, c.at)
			if !errors.Is(err, c.want) || doc != nil {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestNoRootTrustsNothing(t *testing.T) {
	h := newHouse(t)
	jws := h.bank.sign(t, trust.TypKeyset, payload)
	for _, root := range []*trust.Root{nil, {}} {
		if _, err := root.Verify(jws, trust.TypKeyset, trust.RoleBank, now); !errors.Is(err, trust.ErrChain) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestEveryFlippedByteIsRefused(t *testing.T) {
	h := newHouse(t)
	good := h.group.sign(t, trust.TypGroup, payload)
	for i := range good {
		bad := bytes.Clone(good)
		if bad[i] == 'A' {
			bad[i] = 'B'
		} else {
			bad[i] = 'A'
		}
		if _, err := h.root.Verify(bad, trust.TypGroup, trust.RoleGroup, now); err == nil {
			t.Fatalf("byte %d changed and still accepted", i)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	h := newHouse(t)
	cases := []struct {
		name    string
		payload []byte
		by      party
		want    error
	}{
		{"a key that the certificate does not name", []byte(payload), party{newKey(t, elliptic.P384()), h.bank.chain}, trust.ErrChain},
		{"no certificate", []byte(payload), party{h.bank.key, nil}, trust.ErrChain},
		{"three certificates", []byte(payload), party{h.signing.key, append(append([]*x509.Certificate{}, h.signing.chain...), h.rootCert)}, trust.ErrChain},
		{"nothing to say", nil, h.bank, trust.ErrMalformed},
		{"more than a reader takes", bytes.Repeat([]byte("x"), trust.MaxJWS), h.bank, trust.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := trust.Sign(trust.TypKeyset, c.payload, c.by.key, c.by.chain); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestErrorsDoNotRepeatTheDocument(t *testing.T) {
	h := newHouse(t)
	const mark = "tellnobody"
	jws := forge(t, map[string]any{"alg": "ES256", "typ": mark, "x5c": h.signing.x5c()}, mark, h.signing.key)
	if _, err := h.root.Verify(jws, trust.TypReceipt, trust.RoleSigning, now); err == nil || strings.Contains(err.Error(), mark) {
		t.Fatalf("error %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	h := newHouse(f)
	for _, p := range []party{h.bank, h.signing, h.group} {
		jws, err := trust.Sign(trust.TypReceipt, []byte(payload), p.key, p.chain)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(jws)
	}
	f.Add([]byte("e30.e30.AA"))
	f.Add([]byte("eyJhbGciOiJub25lIn0.e30."))
	f.Fuzz(func(t *testing.T, jws []byte) {
		doc, err := h.root.Verify(jws, trust.TypReceipt, trust.RoleSigning, now)
		if err == nil && (string(doc.Payload) != payload || doc.Signer.Role != trust.RoleSigning) {
			t.Fatalf("accepted %+v", doc)
		}
		if _, err := trust.VerifyKeyed(jws, trust.TypReceipt); err != nil && !errors.Is(err, trust.ErrMalformed) &&
			!errors.Is(err, trust.ErrType) && !errors.Is(err, trust.ErrSignature) {
			t.Fatalf("unnamed error %v", err)
		}
	})
}
