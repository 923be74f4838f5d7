package hsm_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
)

func TestECDSAKeySignsCertificates(t *testing.T) {
	tok := newToken(t)
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384()} {
		name := curve.Params().Name
		t.Run(name, func(t *testing.T) {
			made, err := tok.GenerateECDSA(t.Context(), name, curve)
			if err != nil {
				t.Fatal(err)
			}
			key, err := tok.FindECDSA(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if !made.Public().(*ecdsa.PublicKey).Equal(key.Public()) {
				t.Fatal("found another key than was made")
			}
			var signer crypto.Signer = key
			tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
			der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, signer.Public(), signer)
			if err != nil {
				t.Fatal(err)
			}
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			if err := cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestECDSAKeysListsByLabelAfterReopening(t *testing.T) {
	cfg := newConfig(t)
	tok, err := module.Token(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	public := make(map[string]crypto.PublicKey)
	for label, curve := range map[string]elliptic.Curve{"b": elliptic.P256(), "c": elliptic.P384(), "a": elliptic.P256()} {
		key, err := tok.GenerateECDSA(t.Context(), label, curve)
		if err != nil {
			t.Fatal(err)
		}
		public[label] = key.Public()
	}
	newRSA(t, tok, "rsa") // of another kind, and not listed
	if err := tok.Close(); err != nil {
		t.Fatal(err)
	}
	keys, err := openToken(t, cfg).ECDSAKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, k := range keys {
		got += k.Label()
		if !k.Public().(*ecdsa.PublicKey).Equal(public[k.Label()]) {
			t.Errorf("key %q has another public half", k.Label())
		}
	}
	if got != "abc" {
		t.Fatalf("keys %q", got)
	}
}

// One key that should not be there is reason enough not to sign with any.
func TestECDSAKeysRefusesATokenWithALoosenedKey(t *testing.T) {
	tok := newToken(t)
	if _, err := tok.GenerateECDSA(t.Context(), "good", elliptic.P256()); err != nil {
		t.Fatal(err)
	}
	params, err := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7})
	if err != nil {
		t.Fatal(err)
	}
	public, private := hsm.ECDSATemplates("loose", bytes.Repeat([]byte{7}, 16), params)
	write(t, tok, func(ctx *pkcs11.Ctx, s pkcs11.SessionHandle) error {
		_, _, err := ctx.GenerateKeyPair(s, mechanism(pkcs11.CKM_EC_KEY_PAIR_GEN), public, with(private, pkcs11.CKA_EXTRACTABLE, true))
		return err
	})
	if keys, err := tok.ECDSAKeys(t.Context()); !errors.Is(err, hsm.ErrAudit) || keys != nil {
		t.Fatalf("got %v, %v; want ErrAudit", keys, err)
	}
}

func TestECDSAKeyRefuses(t *testing.T) {
	tok := newToken(t)
	p256, err := tok.GenerateECDSA(t.Context(), "p256", elliptic.P256())
	if err != nil {
		t.Fatal(err)
	}
	short, long := sha256.Sum256(nil), sha512.Sum384(nil)
	cases := []struct {
		name   string
		digest []byte
		opts   crypto.SignerOpts
	}{
		{"a message that was not hashed", []byte("message"), crypto.SHA256},
		{"no hash named", short[:], nil},
		{"hash zero", short[:], crypto.Hash(0)},
		{"SHA-384 on P-256", long[:], crypto.SHA384},
		{"SHA-1", make([]byte, 20), crypto.SHA1},
		{"a digest cut short", short[:31], crypto.SHA256},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := p256.Sign(nil, c.digest, c.opts); !errors.Is(err, hsm.ErrInput) {
				t.Fatalf("got %v, want ErrInput", err)
			}
		})
	}
	if _, err := tok.GenerateECDSA(t.Context(), "p521", elliptic.P521()); !errors.Is(err, hsm.ErrInput) {
		t.Fatalf("P-521: got %v, want ErrInput", err)
	}
	if _, err := tok.GenerateECDSA(t.Context(), "p256", elliptic.P256()); !errors.Is(err, hsm.ErrDuplicateLabel) {
		t.Fatalf("label taken: got %v, want ErrDuplicateLabel", err)
	}
	if _, err := tok.FindECDSA(t.Context(), "nobody"); !errors.Is(err, hsm.ErrKeyNotFound) {
		t.Fatalf("got %v, want ErrKeyNotFound", err)
	}
}

func TestECDSAKeyReleasesNoFaultySignature(t *testing.T) {
	key, err := newToken(t).GenerateECDSA(t.Context(), "k", elliptic.P256())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("message"))
	damages := []struct {
		name   string
		damage func([]byte) []byte
	}{
		{"a flipped bit", func(s []byte) []byte { s[40] ^= 1; return s }},
		{"a signature cut short", func(s []byte) []byte { return s[:62] }},
		{"zeros", func(s []byte) []byte { return make([]byte, len(s)) }},
	}
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			fault.set(t, func() {
				fault.sign = func(s []byte, err error) ([]byte, error) { return d.damage(s), err }
			})
			if sig, err := key.Sign(nil, digest[:], crypto.SHA256); !errors.Is(err, hsm.ErrFaulty) || sig != nil {
				t.Fatalf("got %x, %v, want ErrFaulty", sig, err)
			}
		})
	}
}

// The two attributes of an EC key are foreign bytes: what parses is a point
// that encodes back to what was read.
func FuzzParsePoint(f *testing.F) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			f.Fatal(err)
		}
		raw, err := key.PublicKey.Bytes()
		if err != nil {
			f.Fatal(err)
		}
		point, err := asn1.Marshal(raw)
		if err != nil {
			f.Fatal(err)
		}
		params := "06082a8648ce3d030107"
		if curve == elliptic.P384() {
			params = "06052b81040022"
		}
		oid, err := hex.DecodeString(params)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(oid, point)
		f.Add(oid, raw)
		f.Add(oid, append(bytes.Clone(point), 0))
		f.Add([]byte{6, 1, 0}, point)
	}
	f.Fuzz(func(t *testing.T, params, point []byte) {
		key, err := hsm.ParsePoint(params, point)
		if err != nil {
			return
		}
		raw, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(point, raw) {
			t.Fatalf("%x reads as %x", point, raw)
		}
	})
}
