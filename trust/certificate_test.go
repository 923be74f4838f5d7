package trust_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/speciecash/specie/trust"
)

func TestIssueRefuses(t *testing.T) {
	h := newHouse(t)
	pub := newKey(t, elliptic.P384()).Public()
	small := newKey(t, elliptic.P256()).Public()
	ed, _, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	name := func(role trust.Role, id string) trust.Name { return trust.Name{Role: role, ID: id} }
	cases := []struct {
		name   string
		parent *x509.Certificate
		signer crypto.Signer
		who    trust.Name
		pub    crypto.PublicKey
		from   time.Time
		to     time.Time
		isCA   bool
		want   error
	}{
		{"the root certifies an online key directly", h.rootCert, h.rootKey, name(trust.RoleSigning, "DEMOBANK"), pub, start, end, false, trust.ErrRole},
		{"a bank certifies another bank's online key", h.bank.chain[0], h.bank.key, name(trust.RoleSigning, "OTHERBANK"), pub, start, end, false, trust.ErrRole},
		{"a bank certifies a bank", h.bank.chain[0], h.bank.key, name(trust.RoleBank, "DEMOBANK"), pub, start, end, false, trust.ErrRole},
		{"a bank certifies a supervisor", h.bank.chain[0], h.bank.key, name(trust.RoleSupervisor, "DEMOBANK"), pub, start, end, false, trust.ErrRole},
		{"a bank that is no CA certifies", h.plainBank.chain[0], h.plainBank.key, name(trust.RoleSigning, "PLAINBANK"), pub, start, end, false, trust.ErrRole},
		{"a second root", h.rootCert, h.rootKey, name(trust.RoleRoot, ""), pub, start, end, false, trust.ErrRole},
		{"a group manager as CA", h.rootCert, h.rootKey, name(trust.RoleGroup, "GROUP1"), pub, start, end, true, trust.ErrRole},
		{"an unknown role", h.rootCert, h.rootKey, name("pope", "ROMA"), pub, start, end, false, trust.ErrMalformed},
		{"an id too short", h.rootCert, h.rootKey, name(trust.RoleBank, "ABC"), pub, start, end, false, trust.ErrMalformed},
		{"an id too long", h.rootCert, h.rootKey, name(trust.RoleBank, "ABCDEFGHIJKLMNOPQRSTU"), pub, start, end, false, trust.ErrMalformed},
		{"an id in lower case", h.rootCert, h.rootKey, name(trust.RoleBank, "demobank"), pub, start, end, false, trust.ErrMalformed},
		{"an id with a colon", h.rootCert, h.rootKey, name(trust.RoleBank, "DEMO:X"), pub, start, end, false, trust.ErrMalformed},
		{"another signer than the parent", h.rootCert, h.bank.key, name(trust.RoleBank, "DEMOBANK"), pub, start, end, false, trust.ErrChain},
		{"a CA on P-256", h.rootCert, h.rootKey, name(trust.RoleBank, "DEMOBANK"), small, start, end, true, trust.ErrMalformed},
		{"an Ed25519 key", h.rootCert, h.rootKey, name(trust.RoleGroup, "GROUP1"), ed, start, end, false, trust.ErrMalformed},
		{"an RSA key", h.rootCert, h.rootKey, name(trust.RoleGroup, "GROUP1"), rsaKey.Public(), start, end, false, trust.ErrMalformed},
		{"validity before the parent's", h.rootCert, h.rootKey, name(trust.RoleGroup, "GROUP1"), pub, start.Add(-time.Hour), end, false, trust.ErrMalformed},
		{"validity after the parent's", h.rootCert, h.rootKey, name(trust.RoleGroup, "GROUP1"), pub, start, end.Add(time.Hour), false, trust.ErrMalformed},
		{"validity ending before it begins", h.rootCert, h.rootKey, name(trust.RoleGroup, "GROUP1"), pub, end, start, false, trust.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := trust.Issue(c.parent, c.signer, c.who, c.pub, c.from, c.to, c.isCA); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
	if _, err := trust.CreateRoot(newKey(t, elliptic.P256()), start, end); !errors.Is(err, trust.ErrMalformed) {
		t.Fatalf("a root on P-256: got %v", err)
	}
}

// The certificates of these cases are what a careless or hostile CA could
// make outside of this package; each differs from a good one in one thing.
func TestCheckChainRefusesWhatIssueWouldNotMake(t *testing.T) {
	h := newHouse(t)
	good := func() *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "x"}, NotBefore: start, NotAfter: end,
			BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
			URIs: []*url.URL{{Scheme: "urn", Opaque: "specie:group:GROUP1"}},
		}
	}
	cases := []struct {
		name   string
		change func(*x509.Certificate)
		curve  elliptic.Curve
		want   error
	}{
		{"unchanged", func(*x509.Certificate) {}, elliptic.P256(), nil},
		{"no name", func(c *x509.Certificate) { c.URIs = nil }, elliptic.P256(), trust.ErrRole},
		{"two names", func(c *x509.Certificate) {
			c.URIs = append(c.URIs, &url.URL{Scheme: "urn", Opaque: "specie:bank:DEMOBANK"})
		}, elliptic.P256(), trust.ErrRole},
		{"a host name beside the name", func(c *x509.Certificate) { c.DNSNames = []string{"bank.example"} }, elliptic.P256(), trust.ErrRole},
		{"an unknown role", func(c *x509.Certificate) { c.URIs[0].Opaque = "specie:mint:DEMOBANK" }, elliptic.P256(), trust.ErrRole},
		{"a bad id", func(c *x509.Certificate) { c.URIs[0].Opaque = "specie:group:g1" }, elliptic.P256(), trust.ErrRole},
		{"a name with a tail", func(c *x509.Certificate) { c.URIs[0].Opaque = "specie:root:" }, elliptic.P256(), trust.ErrRole},
		{"a manager as CA", func(c *x509.Certificate) { c.IsCA = true; c.KeyUsage |= x509.KeyUsageCertSign }, elliptic.P384(), trust.ErrChain},
		{"a key that may not sign documents", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }, elliptic.P256(), trust.ErrChain},
		{"a key on P-521", func(*x509.Certificate) {}, elliptic.P521(), trust.ErrChain},
		{"expired", func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }, elliptic.P256(), trust.ErrExpired},
		{"not yet valid", func(c *x509.Certificate) { c.NotBefore = now.Add(time.Second) }, elliptic.P256(), trust.ErrExpired},
		{"an unknown critical extension", func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: true, Value: []byte{5, 0}}}
		}, elliptic.P256(), trust.ErrChain},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tmpl := good()
			c.change(tmpl)
			der, err := x509.CreateCertificate(rand.Reader, tmpl, h.rootCert, newKey(t, c.curve).Public(), h.rootKey)
			_, err = h.root.CheckChain([]*x509.Certificate{parseCert(t, der, err)}, now)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestCheckChainRefusesBadLinks(t *testing.T) {
	h := newHouse(t)
	leaf := func(parent *x509.Certificate, by *ecdsa.PrivateKey) *x509.Certificate {
		tmpl := &x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "x"}, NotBefore: start, NotAfter: end,
			KeyUsage: x509.KeyUsageDigitalSignature,
			URIs:     []*url.URL{{Scheme: "urn", Opaque: "specie:signing:PLAINBANK"}},
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, newKey(t, elliptic.P256()).Public(), by)
		return parseCert(t, der, err)
	}
	// A parent made up for CreateCertificate: the same name, another key.
	fake := *h.plainBank.chain[0]
	fakeKey := newKey(t, elliptic.P384())
	fake.PublicKey = fakeKey.Public()
	fakeRoot := *h.rootCert
	fakeRoot.PublicKey = fakeKey.Public()
	tmpl := *h.group.chain[0]
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, &fakeRoot, h.group.key.Public(), fakeKey)
	forged := parseCert(t, der, err)

	cases := []struct {
		name  string
		chain []*x509.Certificate
	}{
		{"a bank that is no CA in the middle", []*x509.Certificate{leaf(h.plainBank.chain[0], h.plainBank.key), h.plainBank.chain[0]}},
		{"a certificate under the root's name by another key", []*x509.Certificate{forged}},
		{"no certificate", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := h.root.CheckChain(c.chain, now); !errors.Is(err, trust.ErrChain) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestParseRoot(t *testing.T) {
	h := newHouse(t)
	good := h.root.PEM()
	root, err := trust.ParseRoot(good)
	if err != nil {
		t.Fatal(err)
	}
	if root.Fingerprint() != h.root.Fingerprint() || !root.Certificate().Equal(h.rootCert) {
		t.Fatal("another root came back")
	}
	block := func(c *x509.Certificate) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	selfSigned := func(change func(*x509.Certificate), curve elliptic.Curve) []byte {
		key := newKey(t, curve)
		tmpl := &x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "x"}, NotBefore: start, NotAfter: end,
			BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
			URIs: []*url.URL{{Scheme: "urn", Opaque: "specie:root"}},
		}
		change(tmpl)
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
		return block(parseCert(t, der, err))
	}
	if _, err := trust.ParseRoot(selfSigned(func(*x509.Certificate) {}, elliptic.P384())); err != nil {
		t.Fatalf("the cases below prove nothing: %v", err)
	}
	cross, err := x509.CreateCertificate(rand.Reader, func() *x509.Certificate { c := *h.rootCert; return &c }(), h.bank.chain[0], h.rootKey.Public(), h.bank.key)
	cases := []struct {
		name string
		in   []byte
		want error
	}{
		{"nothing", nil, trust.ErrMalformed},
		{"no PEM", []byte("root"), trust.ErrMalformed},
		{"two certificates", append(append([]byte{}, good...), good...), trust.ErrMalformed},
		{"another kind of block", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: h.rootCert.Raw}), trust.ErrMalformed},
		{"no certificate inside", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1, 2}}), trust.ErrMalformed},
		{"too large", make([]byte, trust.MaxRootPEM+1), trust.ErrMalformed},
		{"a bank's certificate", block(h.bank.chain[0]), trust.ErrRole},
		{"no name", selfSigned(func(c *x509.Certificate) { c.URIs = nil }, elliptic.P384()), trust.ErrRole},
		{"no CA", selfSigned(func(c *x509.Certificate) { c.IsCA = false }, elliptic.P384()), trust.ErrChain},
		{"no right to certify", selfSigned(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }, elliptic.P384()), trust.ErrChain},
		{"a key on P-256", selfSigned(func(*x509.Certificate) {}, elliptic.P256()), trust.ErrMalformed},
		{"not self-signed", block(parseCert(t, cross, err)), trust.ErrChain},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := trust.ParseRoot(c.in); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func FuzzParseRoot(f *testing.F) {
	f.Add(newHouse(f).root.PEM())
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		root, err := trust.ParseRoot(data)
		if err == nil && len(root.PEM()) == 0 {
			t.Fatal("accepted and empty")
		}
	})
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"urn:specie:root", "urn:specie:bank:DEMOBANK", "urn:specie:bank:", "urn:specie:root:X", "URN:SPECIE:ROOT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := trust.ParseName(s); err == nil && n.URN() != s {
			t.Fatalf("%q became %q", s, n.URN())
		}
	})
}
