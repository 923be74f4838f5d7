package hsm_test

import (
	"bytes"
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
)

// with returns the template with one attribute replaced.
func with(template []*pkcs11.Attribute, typ uint, value any) []*pkcs11.Attribute {
	out := []*pkcs11.Attribute{pkcs11.NewAttribute(typ, value)}
	for _, a := range template {
		if a.Type != typ {
			out = append(out, a)
		}
	}
	return out
}

func mechanism(m uint) []*pkcs11.Mechanism {
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(m, nil)}
}

// ulongs is the value of an attribute that is an array of CK_ULONG.
func ulongs(values ...uint) []byte {
	var out []byte
	for _, v := range values {
		out = append(out, pkcs11.NewAttribute(0, v).Value...)
	}
	return out
}

// loosened are the ways to make a private key that does more than it should.
var loosened = []struct {
	name  string
	typ   uint
	value any
	says  string
}{
	{"a key that can be extracted", pkcs11.CKA_EXTRACTABLE, true, "CKA_EXTRACTABLE is true, must be false"},
	{"a key that is not sensitive", pkcs11.CKA_SENSITIVE, false, "CKA_SENSITIVE is false, must be true"},
	{"a key that also unwraps", pkcs11.CKA_UNWRAP, true, "CKA_UNWRAP is true"},
	{"a key that also derives", pkcs11.CKA_DERIVE, true, "CKA_DERIVE is true"},
	{"a key whose flags can be changed", pkcs11.CKA_MODIFIABLE, true, "CKA_MODIFIABLE is true"},
	{"a key that can be copied", pkcs11.CKA_COPYABLE, true, "CKA_COPYABLE is true"},
	{"a key that the PIN can destroy", pkcs11.CKA_DESTROYABLE, true, "CKA_DESTROYABLE is true"},
	{"a key that anybody sees without login", pkcs11.CKA_PRIVATE, false, "CKA_PRIVATE is false"},
	{"a key that any key may wrap", pkcs11.CKA_WRAP_WITH_TRUSTED, false, "CKA_WRAP_WITH_TRUSTED is false"},
	{"a key with a second mechanism", pkcs11.CKA_ALLOWED_MECHANISMS, ulongs(pkcs11.CKM_RSA_X_509, pkcs11.CKM_RSA_PKCS), "CKA_ALLOWED_MECHANISMS is 0x"},
	{"a key with another mechanism", pkcs11.CKA_ALLOWED_MECHANISMS, ulongs(pkcs11.CKM_SHA384_RSA_PKCS_PSS), "CKA_ALLOWED_MECHANISMS is 0x"},
}

func TestAuditRefusesALoosenedRSAKey(t *testing.T) {
	cases := append(loosened[:len(loosened):len(loosened)], []struct {
		name  string
		typ   uint
		value any
		says  string
	}{
		{"a key that also decrypts", pkcs11.CKA_DECRYPT, true, "CKA_DECRYPT is true, must be false"},
		{"a key that signs with recovery", pkcs11.CKA_SIGN_RECOVER, true, "CKA_SIGN_RECOVER is true"},
		{"a key that does not sign", pkcs11.CKA_SIGN, false, "CKA_SIGN is false"},
		{"a key without an id of its own", pkcs11.CKA_ID, []byte{1}, "CKA_ID has 1 bytes"},
	}...)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tok := newToken(t)
			id := bytes.Repeat([]byte{7}, 16)
			write(t, tok, func(ctx *pkcs11.Ctx, s pkcs11.SessionHandle) error {
				_, _, err := ctx.GenerateKeyPair(s, mechanism(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN),
					hsm.RSAPublicTemplate("loose", id), with(hsm.RSATemplate("loose", id), c.typ, c.value))
				return err
			})
			_, err := tok.RSAKeys(t.Context())
			if !errors.Is(err, hsm.ErrAudit) {
				t.Fatalf("got %v, want ErrAudit", err)
			}
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), `"loose"`) {
				t.Fatalf("%q does not name key and attribute (%s)", err, c.says)
			}
		})
	}
}

func TestAuditRefusesAKeyThatWasImported(t *testing.T) {
	tok := newToken(t)
	importRSA(t, tok, "foreign", figures(t))
	_, err := tok.RSAKeys(t.Context())
	if !errors.Is(err, hsm.ErrAudit) || !strings.Contains(err.Error(), "CKA_LOCAL is false") {
		t.Fatalf("got %v, want ErrAudit about CKA_LOCAL", err)
	}
}

func TestAuditRefusesALoosenedECKey(t *testing.T) {
	params, err := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name   string
		public bool
		typ    uint
		value  any
		says   string
	}{
		{"a key that can be extracted", false, pkcs11.CKA_EXTRACTABLE, true, "CKA_EXTRACTABLE"},
		{"a key that also derives", false, pkcs11.CKA_DERIVE, true, "CKA_DERIVE"},
		{"a key that hashes by itself", false, pkcs11.CKA_ALLOWED_MECHANISMS, ulongs(pkcs11.CKM_ECDSA_SHA1), "CKA_ALLOWED_MECHANISMS"},
		{"a public half that wraps", true, pkcs11.CKA_WRAP, true, "CKA_WRAP"},
		{"a public half that can be changed", true, pkcs11.CKA_MODIFIABLE, true, "CKA_MODIFIABLE"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tok := newToken(t)
			public, private := hsm.ECDSATemplates("loose", bytes.Repeat([]byte{7}, 16), params)
			if c.public {
				public = with(public, c.typ, c.value)
			} else {
				private = with(private, c.typ, c.value)
			}
			write(t, tok, func(ctx *pkcs11.Ctx, s pkcs11.SessionHandle) error {
				_, _, err := ctx.GenerateKeyPair(s, mechanism(pkcs11.CKM_EC_KEY_PAIR_GEN), public, private)
				return err
			})
			_, err := tok.FindECDSA(t.Context(), "loose")
			if !errors.Is(err, hsm.ErrAudit) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want ErrAudit about %s", err, c.says)
			}
		})
	}
}

func TestAuditRefusesALoosenedAESKey(t *testing.T) {
	cases := []struct {
		name  string
		typ   uint
		value any
		says  string
	}{
		{"a key that can be extracted", pkcs11.CKA_EXTRACTABLE, true, "CKA_EXTRACTABLE"},
		{"a key that wraps others out", pkcs11.CKA_WRAP, true, "CKA_WRAP"},
		{"a key of 128 bits", pkcs11.CKA_VALUE_LEN, 16, "CKA_VALUE_LEN"},
		{"a key good for ECB", pkcs11.CKA_ALLOWED_MECHANISMS, ulongs(pkcs11.CKM_AES_GCM, pkcs11.CKM_AES_ECB), "CKA_ALLOWED_MECHANISMS"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tok := newToken(t)
			write(t, tok, func(ctx *pkcs11.Ctx, s pkcs11.SessionHandle) error {
				_, err := ctx.GenerateKey(s, mechanism(pkcs11.CKM_AES_KEY_GEN), with(hsm.AESTemplate("loose", bytes.Repeat([]byte{7}, 16)), c.typ, c.value))
				return err
			})
			_, err := tok.FindAES(t.Context(), "loose")
			if !errors.Is(err, hsm.ErrAudit) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want ErrAudit about %s", err, c.says)
			}
		})
	}
}

// The flags of a key that passed can't be changed afterwards, with the PIN and
// a read-write session at hand.
func TestTheTokenKeepsTheFlagsOfAnAuditedKey(t *testing.T) {
	tok := newToken(t)
	key := newRSA(t, tok, "kept")
	changes := []struct {
		name  string
		typ   uint
		value any
	}{
		{"extractable", pkcs11.CKA_EXTRACTABLE, true},
		{"decrypt", pkcs11.CKA_DECRYPT, true},
		{"modifiable", pkcs11.CKA_MODIFIABLE, true},
		{"label", pkcs11.CKA_LABEL, "other"},
	}
	for _, c := range changes {
		write(t, tok, func(ctx *pkcs11.Ctx, s pkcs11.SessionHandle) error {
			h := findOne(t, ctx, s, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY))
			if ctx.SetAttributeValue(s, h, []*pkcs11.Attribute{pkcs11.NewAttribute(c.typ, c.value)}) == nil {
				t.Errorf("%s was changed", c.name)
			}
			return nil
		})
	}
	write(t, tok, func(ctx *pkcs11.Ctx, s pkcs11.SessionHandle) error {
		h := findOne(t, ctx, s, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY))
		if ctx.SignInit(s, mechanism(pkcs11.CKM_SHA384_RSA_PKCS), h) == nil {
			t.Error("the key signs by a mechanism that it is not allowed")
		}
		if ctx.DestroyObject(s, h) == nil {
			t.Error("the PIN destroyed the key")
		}
		return nil
	})
	if err := key.Audit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func findOne(t *testing.T, ctx *pkcs11.Ctx, s pkcs11.SessionHandle, match ...*pkcs11.Attribute) pkcs11.ObjectHandle {
	t.Helper()
	if err := ctx.FindObjectsInit(s, match); err != nil {
		t.Fatal(err)
	}
	found, _, err := ctx.FindObjects(s, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := ctx.FindObjectsFinal(s); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 {
		t.Fatalf("%d objects, want 1", len(found))
	}
	return found[0]
}

// A public EC object that is not the private one's is noticed when the key is
// loaded: nobody gets a certificate for it.
func TestAuditRefusesAForeignPublicHalf(t *testing.T) {
	tok := newToken(t)
	params, err := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7})
	if err != nil {
		t.Fatal(err)
	}
	id := bytes.Repeat([]byte{7}, 16)
	public, private := hsm.ECDSATemplates("mixed", id, params)
	// The true public half gets another label and so out of the way.
	away := with(public, pkcs11.CKA_LABEL, "away")
	foreign := with(private, pkcs11.CKA_LABEL, "away")
	write(t, tok, func(ctx *pkcs11.Ctx, s pkcs11.SessionHandle) error {
		if _, _, err := ctx.GenerateKeyPair(s, mechanism(pkcs11.CKM_EC_KEY_PAIR_GEN), away, private); err != nil {
			return err
		}
		_, _, err := ctx.GenerateKeyPair(s, mechanism(pkcs11.CKM_EC_KEY_PAIR_GEN), public, foreign)
		return err
	})
	if _, err := tok.FindECDSA(t.Context(), "mixed"); !errors.Is(err, hsm.ErrFaulty) {
		t.Fatalf("got %v, want ErrFaulty", err)
	}
}

func TestGeneratedKeysPassTheirAudit(t *testing.T) {
	tok := newToken(t)
	rsaKey := newRSA(t, tok, "rsa")
	ec, err := tok.GenerateECDSA(t.Context(), "ec", elliptic.P384())
	if err != nil {
		t.Fatal(err)
	}
	aes, err := tok.GenerateAES(t.Context(), "aes")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{rsaKey.Audit(t.Context()), ec.Audit(t.Context()), aes.Audit(t.Context())} {
		if err != nil {
			t.Error(err)
		}
	}
	if len(rsaKey.ID()) != 16 || bytes.Equal(rsaKey.ID(), ec.ID()) || bytes.Equal(ec.ID(), aes.ID()) {
		t.Error("ids are not 16 bytes of their own")
	}
}

// What a token does not say is not taken for granted.
func TestAuditRefusesAnAbsentAttribute(t *testing.T) {
	key := newRSA(t, newToken(t), "k")
	fault.set(t, func() { fault.absent = pkcs11.CKA_NEVER_EXTRACTABLE })
	err := key.Audit(t.Context())
	if !errors.Is(err, hsm.ErrAudit) || !strings.Contains(err.Error(), "CKA_NEVER_EXTRACTABLE is absent") {
		t.Fatalf("got %v, want ErrAudit about CKA_NEVER_EXTRACTABLE", err)
	}
}

// A key that looks right at first and different later is not signed with.
func TestAKeyThatChangesIsRefused(t *testing.T) {
	cases := []struct {
		name string
		typ  uint
		says string
	}{
		{"a modulus", pkcs11.CKA_MODULUS, "CKA_MODULUS changed"},
		{"an exponent", pkcs11.CKA_PUBLIC_EXPONENT, "CKA_PUBLIC_EXPONENT"},
		{"a flag", pkcs11.CKA_SENSITIVE, "CKA_SENSITIVE"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tok := newToken(t)
			key := newRSA(t, tok, "k")
			_, m := known(t, key)
			fault.set(t, func() {
				fault.attribute = func(typ uint, v []byte) []byte {
					if typ != c.typ {
						return v
					}
					v = bytes.Clone(v)
					v[len(v)/2] ^= 1
					return v
				}
			})
			err := key.Audit(t.Context())
			if !errors.Is(err, hsm.ErrAudit) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want ErrAudit about %s", err, c.says)
			}
			if err := tok.LoseSessions(fault.raw); err != nil {
				t.Fatal(err)
			}
			if _, err := key.BlindSign(t.Context(), m); !errors.Is(err, hsm.ErrAudit) {
				t.Fatalf("BlindSign after session loss: got %v, want ErrAudit", err)
			}
		})
	}
}
