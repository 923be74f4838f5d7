package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/speciecash/specie/attest"
)

func ecKey(t testing.TB) *ecdsa.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

// ecPublic is the TPMT_PUBLIC of an endorsement key, template L-2.
func ecPublic(t testing.TB, key *ecdsa.PublicKey) []byte {
	t.Helper()
	point, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	area := tpm2.ECCEKTemplate
	area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
		X: tpm2.TPM2BECCParameter{Buffer: point[1:33]}, Y: tpm2.TPM2BECCParameter{Buffer: point[33:]},
	})
	return tpm2.Marshal(area)
}

// rsaPublic is the TPMT_PUBLIC of an endorsement key, template L-1.
func rsaPublic(key *rsa.PublicKey) []byte {
	area := tpm2.RSAEKTemplate
	area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: key.N.Bytes()})
	return tpm2.Marshal(area)
}

func TestAGenuineEndorsementKeyIsAccepted(t *testing.T) {
	root := newAuthority(t, "root", nil)
	under := newAuthority(t, "under", root)
	key := ecKey(t)
	public := ecPublic(t, key)
	leaf := under.endorse(t, key, nil)
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name  string
		chain [][]byte
		roots *attest.Roots
	}{
		{"the intermediate sent along", [][]byte{leaf, under.cert.Raw}, rootsOf(t, root.pem())},
		{"the intermediate among the roots", [][]byte{leaf}, rootsOf(t, root.pem(), under.pem())},
		{"the root sent along", [][]byte{leaf, root.cert.Raw, under.cert.Raw}, rootsOf(t, root.pem())},
		{"padding as in the TPM", [][]byte{append(bytes.Clone(leaf), 0xff, 0xff, 0xff), under.cert.Raw}, rootsOf(t, root.pem())},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ek, err := attest.VerifyEK(c.chain, public, c.roots, hardware())
			if err != nil {
				t.Fatal(err)
			}
			if ek.Kind != "p256" || !bytes.Equal(ek.Public, public) || ek.ID != sha256.Sum256(spki) || ek.Root != sha256.Sum256(root.cert.Raw) {
				t.Fatalf("%+v", ek)
			}
			if id, err := attest.EKID(public); err != nil || id != ek.ID {
				t.Fatalf("the device's side gets another id: %x, %v", id, err)
			}
		})
	}
}

func TestAnUntrustedCertificateIsRefused(t *testing.T) {
	root, stranger := newAuthority(t, "root", nil), newAuthority(t, "root", nil)
	key := ecKey(t)
	roots := rootsOf(t, root.pem())
	leaf := root.endorse(t, key, nil)
	climber := &authority{cert: parse(t, root.endorse(t, stranger.key.Public(), nil)), key: stranger.key}
	altered := bytes.Clone(leaf)
	altered[len(altered)-1] ^= 1
	critical := func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}})
	}
	cases := []struct {
		name  string
		chain [][]byte
		at    time.Time
	}{
		{"of an unknown authority", [][]byte{stranger.endorse(t, key, nil)}, noon()},
		{"of an unknown authority that is sent along", [][]byte{stranger.endorse(t, key, nil), stranger.cert.Raw}, noon()},
		{"signed with another endorsement key", [][]byte{climber.endorse(t, key, nil), climber.cert.Raw}, noon()},
		{"with an altered signature", [][]byte{altered}, noon()},
		{"not yet valid", [][]byte{leaf}, noon().AddDate(0, -2, 0)},
		{"of an authority that has expired", [][]byte{leaf}, noon().AddDate(2, 0, 0)},
		{"at no time", [][]byte{leaf}, time.Time{}},
		{"with a critical extension that nobody knows", [][]byte{root.endorse(t, key, critical)}, noon()},
		{"with something after it", [][]byte{append(bytes.Clone(leaf), 0xff, 0x01)}, noon()},
		{"cut", [][]byte{leaf[:len(leaf)-1]}, noon()},
		{"missing", nil, noon()},
		{"empty", [][]byte{{}}, noon()},
		{"too long", [][]byte{append(bytes.Clone(leaf), bytes.Repeat([]byte{0xff}, attest.MaxCertificate)...)}, noon()},
		{"in too long a chain", slices.Repeat([][]byte{leaf}, attest.MaxChain+1), noon()},
		{"with rubbish for an intermediate", [][]byte{leaf, []byte("rubbish")}, noon()},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := attest.VerifyEK(c.chain, ecPublic(t, key), roots, attest.Policy{At: c.at}); !errors.Is(err, attest.ErrChain) {
				t.Fatalf("got %v, want ErrChain", err)
			}
		})
	}
}

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestACertificateForAnotherPurposeIsRefused(t *testing.T) {
	root := newAuthority(t, "root", nil)
	ecc := ecKey(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*x509.Certificate){
		"no change":            nil,
		"no extended usage":    func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil },
		"an attestation key's": func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{2, 23, 133, 8, 3}} },
		"a TLS server's": func(c *x509.Certificate) {
			c.UnknownExtKeyUsage, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		},
		"any usage": func(c *x509.Certificate) {
			c.UnknownExtKeyUsage, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
		},
		"a certificate authority's":   func(c *x509.Certificate) { c.IsCA = true },
		"no word of authorities":      func(c *x509.Certificate) { c.BasicConstraintsValid = false },
		"one that signs certificates": func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign },
		"one that signs revocations":  func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCRLSign },
		"one that signs":              func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageDigitalSignature },
		"one that signs for good":     func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageContentCommitment },
		"no key usage":                func(c *x509.Certificate) { c.KeyUsage = 0 },
		"the usage of the other kind": func(c *x509.Certificate) {
			c.KeyUsage ^= x509.KeyUsageKeyAgreement | x509.KeyUsageKeyEncipherment
		},
	} {
		for kind, k := range map[string]struct {
			key    any
			public []byte
		}{"p256": {ecc, ecPublic(t, ecc)}, "rsa2048": {&rsaKey.PublicKey, rsaPublic(&rsaKey.PublicKey)}} {
			_, err := attest.VerifyEK([][]byte{root.endorse(t, k.key, change)}, k.public, rootsTaking(t, kind, root.pem()), hardware())
			if change == nil && err != nil || change != nil && !errors.Is(err, attest.ErrEKProfile) {
				t.Errorf("%s, %s: got %v, want ErrEKProfile", name, kind, err)
			}
		}
	}
}

func TestAShortKeyOfAnIssuerIsRefused(t *testing.T) {
	root := newAuthority(t, "root", nil)
	key := ecKey(t)
	weak := weakAuthority(t)
	certified := *weak.cert
	certified.SignatureAlgorithm = x509.ECDSAWithSHA256
	under := root.issue(t, &certified, weak.cert.PublicKey)
	template := parse(t, root.endorse(t, key, nil))
	template.ExtraExtensions, template.SignatureAlgorithm = []pkix.Extension{sanExtension(t, true)}, x509.SHA256WithRSA
	leaf, err := x509.CreateCertificate(rand.Reader, template, weak.cert, key, weak.key)
	if err != nil {
		t.Fatal(err)
	}
	_, err = attest.VerifyEK([][]byte{leaf, under.Raw}, ecPublic(t, key), rootsOf(t, root.pem()), hardware())
	if !errors.Is(err, attest.ErrChain) || !strings.Contains(err.Error(), "2048 bits") {
		t.Fatalf("got %v, want ErrChain that speaks of the key", err)
	}
}

// brokenModulus is made as firmware with CVE-2017-15361 made it: its factors are
// k·M + (65537^a mod M), with M the product of the first 126 primes.
func brokenModulus(t testing.TB) *big.Int {
	t.Helper()
	m := big.NewInt(2)
	for p := int64(3); p <= 701; p += 2 {
		if big.NewInt(p).ProbablyPrime(0) {
			m.Mul(m, big.NewInt(p))
		}
	}
	factor := func() *big.Int {
		for {
			a, err := rand.Int(rand.Reader, m)
			if err != nil {
				t.Fatal(err)
			}
			k, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(1023-m.BitLen())))
			if err != nil {
				t.Fatal(err)
			}
			k.SetBit(k, 1023-m.BitLen(), 1).SetBit(k, 1022-m.BitLen(), 1)
			p := k.Mul(k, m)
			p.Add(p, a.Exp(big.NewInt(65537), a, m))
			if p.BitLen() == 1024 && p.Bit(1022) == 1 && p.ProbablyPrime(10) {
				return p
			}
		}
	}
	return new(big.Int).Mul(factor(), factor())
}

func TestAKeyOfBrokenFirmwareIsRefused(t *testing.T) {
	root := newAuthority(t, "root", nil)
	key := &rsa.PublicKey{N: brokenModulus(t), E: 65537}
	if key.N.BitLen() != 2048 {
		t.Fatalf("a modulus of %d bits", key.N.BitLen())
	}
	_, err := attest.VerifyEK([][]byte{root.endorse(t, key, nil)}, rsaPublic(key), rootsTaking(t, "rsa2048", root.pem()), hardware())
	if !errors.Is(err, attest.ErrFirmware) {
		t.Fatalf("got %v, want ErrFirmware", err)
	}
}

func TestAPublicAreaOutsideTheProfileIsRefused(t *testing.T) {
	root := newAuthority(t, "root", nil)
	key := ecKey(t)
	chain := [][]byte{root.endorse(t, key, nil)}
	public := ecPublic(t, key)
	for name, bit := range flags {
		if _, err := attest.VerifyEK(chain, flip(public, bit), rootsOf(t, root.pem()), hardware()); !errors.Is(err, attest.ErrEKProfile) {
			t.Errorf("%s flipped: got %v, want ErrEKProfile", name, err)
		}
	}
	point := len(public) - 68
	long := bytes.Clone(public[:point])
	long = append(binary.BigEndian.AppendUint16(long, 33), 0)
	long = append(long, public[point+2:]...)
	for name, p := range map[string][]byte{
		"another policy":           append(append(bytes.Clone(public[:12]), public[12]^1), public[13:]...),
		"a longer coordinate":      long,
		"a point off the curve":    append(bytes.Clone(public[:len(public)-1]), public[len(public)-1]^1),
		"a byte after the end":     append(bytes.Clone(public), 0),
		"a byte missing":           public[:len(public)-1],
		"no key":                   public[:point],
		"an RSA modulus too short": append(bytes.Clone(tpm2.Marshal(tpm2.RSAEKTemplate)[:58]), 0, 1, 0x80),
		"nothing":                  nil,
		"too much":                 make([]byte, 4096),
	} {
		if _, err := attest.VerifyEK(chain, p, rootsOf(t, root.pem()), hardware()); !errors.Is(err, attest.ErrEKProfile) {
			t.Errorf("%s: got %v, want ErrEKProfile", name, err)
		}
		if _, err := attest.EKID(p); !errors.Is(err, attest.ErrEKProfile) {
			t.Errorf("%s: its id: got %v, want ErrEKProfile", name, err)
		}
	}
}

func TestTheCertificateOfAnotherKeyIsRefused(t *testing.T) {
	root := newAuthority(t, "root", nil)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	key := ecKey(t)
	chain := [][]byte{root.endorse(t, key, nil)}
	for name, public := range map[string][]byte{
		"another key of the same kind": ecPublic(t, ecKey(t)),
		"a key of another kind":        rsaPublic(&rsaKey.PublicKey),
	} {
		if _, err := attest.VerifyEK(chain, public, rootsOf(t, root.pem()), hardware()); !errors.Is(err, attest.ErrEKMismatch) {
			t.Errorf("%s: got %v, want ErrEKMismatch", name, err)
		}
		if ours, err := attest.Certifies(chain[0], public); err != nil || ours {
			t.Errorf("%s: Certifies says %v, %v", name, ours, err)
		}
	}
	if ours, err := attest.Certifies(chain[0], ecPublic(t, key)); err != nil || !ours {
		t.Errorf("Certifies says %v, %v of its own", ours, err)
	}
	if _, err := attest.Certifies([]byte("none"), ecPublic(t, key)); !errors.Is(err, attest.ErrChain) {
		t.Errorf("of no certificate: %v", err)
	}
	if _, err := attest.Certifies(chain[0], nil); !errors.Is(err, attest.ErrEKProfile) {
		t.Errorf("of no key: %v", err)
	}
}

// fixture reads what an emulated TPM has stored.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "swtpm", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestStoredCertificatesOfAnEmulatorAreAccepted(t *testing.T) {
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, kind := range []string{"rsa2048", "p384"} {
		roots := rootsTaking(t, kind, fixture(t, "roots.pem"))
		chain := [][]byte{fixture(t, kind+".der")}
		ek, err := attest.VerifyEK(chain, fixture(t, kind+".pub"), roots, anyTPM(at))
		if err != nil || ek.Kind != kind {
			t.Errorf("%s: %v", kind, err)
		}
		if _, err := attest.VerifyEK(chain, fixture(t, kind+".pub"), rootsOf(t, newAuthority(t, "other", nil).pem()), anyTPM(at)); !errors.Is(err, attest.ErrChain) {
			t.Errorf("%s under another root: got %v, want ErrChain", kind, err)
		}
	}
}

func FuzzVerifyEK(f *testing.F) {
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	roots := rootsTaking(f, "p384", fixture(f, "roots.pem"))
	genuine := make(map[[32]byte]bool)
	for _, kind := range []string{"rsa2048", "p384"} {
		leaf, public := fixture(f, kind+".der"), fixture(f, kind+".pub")
		if ek, err := attest.VerifyEK([][]byte{leaf}, public, roots, anyTPM(at)); err == nil {
			genuine[ek.ID] = true
		}
		f.Add(leaf, []byte{}, public)
		f.Add(append(bytes.Clone(leaf), 0xff, 0xff), leaf, public)
		f.Add(leaf[:len(leaf)-1], leaf, public[:len(public)-1])
	}
	f.Fuzz(func(t *testing.T, leaf, intermediate, public []byte) {
		chain := [][]byte{leaf}
		if len(intermediate) > 0 {
			chain = append(chain, intermediate)
		}
		ek, err := attest.VerifyEK(chain, public, roots, anyTPM(at))
		if err == nil && !genuine[ek.ID] {
			t.Fatalf("accepted a key that the authority never certified: %x", public)
		}
		if err != nil && !errors.Is(err, attest.ErrChain) && !errors.Is(err, attest.ErrEKProfile) && !errors.Is(err, attest.ErrEKMismatch) && !errors.Is(err, attest.ErrEKKind) {
			t.Fatalf("an error of no kind: %v", err)
		}
	})
}
