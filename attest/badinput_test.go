package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/group/fp256bn"
)

// p384Public is the TPMT_PUBLIC of an endorsement key, template H-3, and its key.
func p384Public(t testing.TB) ([]byte, *ecdsa.PublicKey) {
	t.Helper()
	area := fixture(t, "p384.pub")
	point := append([]byte{4}, area[len(area)-98:len(area)-50]...)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P384(), append(point, area[len(area)-48:]...))
	if err != nil {
		t.Fatal(err)
	}
	return area, key
}

// TestEveryFieldOfAnEndorsementKeyFlipped: what a challenge is encrypted with
// depends on most of them.
func TestEveryFieldOfAnEndorsementKeyFlipped(t *testing.T) {
	root := newAuthority(t, "root", nil)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256 := ecKey(t)
	p384Area, p384 := p384Public(t)
	type field struct {
		name string
		size int
		want error
	}
	// TPM 2.0 Part 2, §12.2.4.
	head := func(policy int) []field {
		return []field{
			{"type", 2, attest.ErrEKProfile}, {"name algorithm", 2, attest.ErrEKProfile}, {"attributes", 4, attest.ErrEKProfile},
			{"size of the policy", 2, attest.ErrEKProfile}, {"policy", policy, attest.ErrEKProfile}, {"cipher", 2, attest.ErrEKProfile},
			{"bits of the cipher's key", 2, attest.ErrEKProfile}, {"cipher's mode", 2, attest.ErrEKProfile}, {"scheme", 2, attest.ErrEKProfile},
		}
	}
	point := func(size int) []field {
		return []field{
			{"curve", 2, attest.ErrEKProfile}, {"key derivation", 2, attest.ErrEKProfile}, {"size of x", 2, attest.ErrEKProfile},
			{"x", size, attest.ErrEKProfile}, {"size of y", 2, attest.ErrEKProfile}, {"y", size, attest.ErrEKProfile},
		}
	}
	for kind, c := range map[string]struct {
		key    any
		public []byte
		fields []field
	}{
		"rsa2048": {&rsaKey.PublicKey, rsaPublic(&rsaKey.PublicKey), append(head(32),
			field{"bits", 2, attest.ErrEKProfile}, field{"exponent", 4, attest.ErrEKProfile}, field{"size of the modulus", 2, attest.ErrEKProfile},
			field{"modulus", 256, attest.ErrEKMismatch})},
		"p256": {p256, ecPublic(t, p256), append(head(32), point(32)...)},
		"p384": {p384, p384Area, append(head(48), point(48)...)},
	} {
		chain := [][]byte{root.endorse(t, c.key, nil)}
		roots := rootsTaking(t, kind, root.pem())
		if _, err := attest.VerifyEK(chain, c.public, roots, hardware()); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		at := 0
		for _, f := range c.fields {
			for i := range f.size {
				flipped := bytes.Clone(c.public)
				flipped[at+i] ^= 1
				if _, err := attest.VerifyEK(chain, flipped, roots, hardware()); !errors.Is(err, f.want) {
					t.Errorf("%s, byte %d of %s flipped: got %v, want %v", kind, i, f.name, err, f.want)
				}
				if _, err := attest.EKID(flipped); f.want == attest.ErrEKProfile && !errors.Is(err, f.want) {
					t.Errorf("%s, byte %d of %s flipped: its id: got %v, want %v", kind, i, f.name, err, f.want)
				}
				name := append([]byte{0, 0x0b}, make([]byte, 32)...)
				if _, _, err := attest.MakeCredential(&attest.EK{Public: flipped}, name, name[:32]); f.want == attest.ErrEKProfile && !errors.Is(err, f.want) {
					t.Errorf("%s, byte %d of %s flipped: a challenge: got %v, want %v", kind, i, f.name, err, f.want)
				}
			}
			at += f.size
		}
		if at != len(c.public) {
			t.Fatalf("%s: %d bytes in the fields, %d in the area", kind, at, len(c.public))
		}
	}
}

func TestEveryByteOfAChainFlipped(t *testing.T) {
	root := newAuthority(t, "root", nil)
	under := newAuthority(t, "under", root)
	key := ecKey(t)
	chain := [][]byte{under.endorse(t, key, nil), under.cert.Raw}
	roots, public := rootsOf(t, root.pem()), ecPublic(t, key)
	if _, err := attest.VerifyEK(chain, public, roots, hardware()); err != nil {
		t.Fatal(err)
	}
	for i, cert := range chain {
		for at := range cert {
			for _, bit := range []byte{1, 0x80} {
				flipped := [][]byte{chain[0], chain[1]}
				flipped[i] = bytes.Clone(cert)
				flipped[i][at] ^= bit
				if _, err := attest.VerifyEK(flipped, public, roots, hardware()); !errors.Is(err, attest.ErrChain) {
					t.Errorf("byte %d of certificate %d flipped by %#x: got %v, want ErrChain", at, i, bit, err)
				}
			}
		}
	}
}

// TestEveryFieldOfACertificateChanged has the authority sign what was changed: the
// signature stops none of these.
func TestEveryFieldOfACertificateChanged(t *testing.T) {
	root := newAuthority(t, "root", nil)
	key := ecKey(t)
	made := root.endorse(t, key, nil)
	roots, public := rootsOf(t, root.pem()), ecPublic(t, key)
	remake := func(change func(*x509.Certificate)) []byte { return root.endorse(t, key, change) }
	swap := func(old, with string) []byte { return root.resign(t, made, replacing(t, old, with)) }
	otherName := *root.cert
	otherName.RawSubject, otherName.Subject.CommonName = nil, "another name"
	for name, c := range map[string]struct {
		der  []byte
		want error
	}{
		"version 1":                {swap("\xa0\x03\x02\x01\x02", "\xa0\x03\x02\x01\x00"), attest.ErrEKProfile},
		"version 4":                {swap("\xa0\x03\x02\x01\x02", "\xa0\x03\x02\x01\x03"), attest.ErrChain},
		"serial number":            {root.resign(t, made, serial(t, 2, "")), attest.ErrChain},
		"signature algorithm":      {swap("\x2a\x86\x48\xce\x3d\x04\x03\x02", "\x2a\x86\x48\xce\x3d\x04\x03\x03"), attest.ErrChain},
		"issuer":                   {(&authority{cert: &otherName, key: root.key}).endorse(t, key, nil), attest.ErrChain},
		"beginning":                {remake(func(c *x509.Certificate) { c.NotBefore = noon().Add(time.Second) }), attest.ErrChain},
		"end":                      {remake(func(c *x509.Certificate) { c.NotAfter = noon().Add(-time.Second) }), attest.ErrChain},
		"key":                      {root.endorse(t, ecKey(t), nil), attest.ErrEKMismatch},
		"curve":                    {root.endorse(t, p224(t), nil), attest.ErrEKMismatch},
		"key usage":                {swap("\x06\x03\x55\x1d\x0f", "\x06\x03\x55\x1d\x7f"), attest.ErrChain},
		"extended key usage":       {swap("\x67\x81\x05\x08\x01", "\x67\x81\x05\x08\x03"), attest.ErrEKProfile},
		"basic constraints":        {swap("\x06\x03\x55\x1d\x13", "\x06\x03\x55\x1d\x7e"), attest.ErrChain},
		"alternative name":         {swap("\x06\x03\x55\x1d\x11", "\x06\x03\x55\x1d\x7d"), attest.ErrChain},
		"manufacturer's attribute": {swap("\x67\x81\x05\x02\x01", "\x67\x81\x05\x02\x04"), attest.ErrEKProfile},
		"model's attribute":        {swap("\x67\x81\x05\x02\x02", "\x67\x81\x05\x02\x04"), attest.ErrEKProfile},
		"version's attribute":      {swap("\x67\x81\x05\x02\x03", "\x67\x81\x05\x02\x04"), attest.ErrEKProfile},
		"manufacturer":             {swap("id:54455354", "id:54455355"), attest.ErrChain},
		"an extension twice":       {root.resign(t, made, func(tbs []byte) []byte { return twice(t, tbs, sanOID()) }), attest.ErrChain},
		"which key the issuer has": {swap("\x06\x03\x55\x1d\x23", "\x06\x03\x55\x1d\x7c"), nil}, // a hint
		"nothing":                  {made, nil},
	} {
		if _, err := attest.VerifyEK([][]byte{c.der}, public, roots, hardware()); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func p224(t testing.TB) *ecdsa.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

// twice repeats an extension.
func twice(t testing.TB, tbs []byte, id asn1.ObjectIdentifier) []byte {
	t.Helper()
	var outer asn1.RawValue
	if _, err := asn1.Unmarshal(tbs, &outer); err != nil {
		t.Fatal(err)
	}
	oid, err := asn1.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	var body []byte
	for rest := outer.Bytes; len(rest) > 0; {
		var e asn1.RawValue
		if rest, err = asn1.Unmarshal(rest, &e); err != nil {
			t.Fatal(err)
		}
		switch {
		case e.Tag == asn1.TagSequence && bytes.HasPrefix(e.Bytes, oid):
			body = append(append(body, e.FullBytes...), e.FullBytes...)
		case e.IsCompound && bytes.Contains(e.Bytes, oid):
			body = append(body, twice(t, e.FullBytes, id)...)
		default:
			body = append(body, e.FullBytes...)
		}
	}
	out, err := asn1.Marshal(asn1.RawValue{Class: outer.Class, Tag: outer.Tag, IsCompound: true, Bytes: body})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryByteOfAGroupKeyFlipped(t *testing.T) {
	template := attest.GroupKeyTemplate()
	public := publicOf(template, fp256bn.Generator1())
	for at := range public {
		flipped := bytes.Clone(public)
		flipped[at] ^= 1
		if _, _, err := attest.CheckGroupKey(flipped, template); !errors.Is(err, attest.ErrTemplate) {
			t.Errorf("byte %d of the public area flipped: got %v, want ErrTemplate", at, err)
		}
	}
	for at := range template[:len(template)-4] { // the point's sizes don't matter
		flipped := bytes.Clone(template)
		flipped[at] ^= 1
		if _, _, err := attest.CheckGroupKey(public, flipped); !errors.Is(err, attest.ErrTemplate) {
			t.Errorf("byte %d of the template flipped: got %v, want ErrTemplate", at, err)
		}
	}
}

func TestWhatTheCallerForgotIsRefused(t *testing.T) {
	root := newAuthority(t, "root", nil)
	key := ecKey(t)
	chain, public := [][]byte{root.endorse(t, key, nil)}, ecPublic(t, key)
	if _, err := attest.VerifyEK(chain, public, nil, hardware()); !errors.Is(err, attest.ErrRoots) {
		t.Errorf("no roots: got %v, want ErrRoots", err)
	}
	if _, err := attest.VerifyEK(chain, public, rootsOf(t, root.pem()), attest.Policy{SoftwareTPMs: true}); !errors.Is(err, attest.ErrChain) {
		t.Errorf("no time: got %v, want ErrChain", err)
	}
	ek, err := attest.VerifyEK(chain, public, rootsOf(t, root.pem()), hardware())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("a key"))
	name := append([]byte{0x00, 0x0b}, digest[:]...)
	for what, c := range map[string]struct {
		ek           *attest.EK
		name, secret []byte
		want         error
	}{
		"nothing forgotten":           {ek, name, digest[:], nil},
		"no endorsement key":          {nil, name, digest[:], attest.ErrEKProfile},
		"one without a public area":   {&attest.EK{Kind: "p256"}, name, digest[:], attest.ErrEKProfile},
		"a SHA-1 name":                {ek, append([]byte{0x00, 0x04}, digest[:]...), digest[:], attest.ErrInput},
		"a name of another algorithm": {ek, append([]byte{0x01, 0x0b}, digest[:]...), digest[:], attest.ErrInput},
		"a name and more":             {ek, append(bytes.Clone(name), 0), digest[:], attest.ErrInput},
		"a handle for a name":         {ek, []byte{0x81, 0x01, 0x00, 0x01}, digest[:], attest.ErrInput},
	} {
		if _, _, err := attest.MakeCredential(c.ek, c.name, c.secret); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", what, err, c.want)
		}
	}
}

// FuzzCertificate has an authority sign whatever comes: what is accepted names its
// manufacturer and certifies the key shown.
func FuzzCertificate(f *testing.F) {
	root := newAuthority(f, "root", nil)
	key := ecKey(f)
	public, roots := ecPublic(f, key), rootsOf(f, root.pem())
	id, err := attest.EKID(public)
	if err != nil {
		f.Fatal(err)
	}
	for _, change := range []func(*x509.Certificate){nil, func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil }, func(c *x509.Certificate) { c.ExtraExtensions = nil }} {
		f.Add(parse(f, root.endorse(f, key, change)).RawTBSCertificate)
	}
	for _, number := range malformed {
		f.Add(serial(f, 2, number)(parse(f, root.endorse(f, key, nil)).RawTBSCertificate))
	}
	f.Fuzz(func(t *testing.T, tbs []byte) {
		var element asn1.RawValue
		if rest, err := asn1.Unmarshal(tbs, &element); err != nil || len(rest) > 0 || len(tbs) > 4096 {
			return // what no authority can sign: not one element
		}
		made := root.resign(t, root.endorse(t, key, nil), func([]byte) []byte { return tbs })
		ek, err := attest.VerifyEK([][]byte{made}, public, roots, hardware())
		switch {
		case err == nil:
			if ek.ID != id || ek.Manufacturer != "TEST" || ek.Model == "" || ek.Version == "" {
				t.Fatalf("accepted as %+v", ek)
			}
		case !errors.Is(err, attest.ErrChain) && !errors.Is(err, attest.ErrEKProfile) && !errors.Is(err, attest.ErrEKMismatch) && !errors.Is(err, attest.ErrSoftwareTPM):
			t.Fatalf("an error of no kind: %v", err)
		}
	})
}

// FuzzEKID: what is taken for an endorsement key, go-tpm reads as the same key.
func FuzzEKID(f *testing.F) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	for _, area := range [][]byte{rsaPublic(&rsaKey.PublicKey), ecPublic(f, ecKey(f)), fixture(f, "p384.pub"), attest.GroupKeyTemplate()} {
		f.Add(area)
		f.Add(area[:len(area)-1])
	}
	f.Fuzz(func(t *testing.T, area []byte) {
		id, err := attest.EKID(area)
		if err != nil {
			if !errors.Is(err, attest.ErrEKProfile) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		public, err := tpm2.Unmarshal[tpm2.TPMTPublic](area)
		if err != nil {
			t.Fatalf("accepted what go-tpm can't read: %v", err)
		}
		key, err := tpm2.Pub(*public)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := x509.MarshalPKIXPublicKey(key)
		if err != nil || id != sha256.Sum256(spki) {
			t.Fatalf("another key than go-tpm reads: %v", err)
		}
	})
}
