package attest_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/attest"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// noon is the time at which the tests' certificates are looked at.
func noon() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) }

// authority is a manufacturer's certificate authority.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string, parent *authority) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: noon().AddDate(-1, 0, 0), NotAfter: noon().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if parent == nil {
		parent = &authority{cert: template, key: key}
	}
	a.cert = parent.issue(t, template, key.Public())
	return a
}

// weakAuthority has an RSA key of 1024 bits.
func weakAuthority(t testing.TB) *rsaAuthority {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "weak"},
		NotBefore: noon().AddDate(-1, 0, 0), NotAfter: noon().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &rsaAuthority{cert: parse(t, der), key: key}
}

// rsaAuthority is an authority with an RSA key.
type rsaAuthority struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

func (a *authority) issue(t testing.TB, template *x509.Certificate, key crypto.PublicKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func sanOID() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 17} }

// sanExtension names the probe of the manufacturer TEST.
func sanExtension(t testing.TB, critical bool) pkix.Extension {
	t.Helper()
	return pkix.Extension{Id: sanOID(), Critical: critical, Value: model(t, "id:54455354", "Probe", "id:0755")}
}

// model is a subject alternative name as manufacturers write it. What is empty is
// left out.
func model(t testing.TB, manufacturer, model, version string) []byte {
	t.Helper()
	var names pkix.RDNSequence
	for i, value := range []string{manufacturer, model, version} {
		if value != "" {
			names = append(names, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{2, 23, 133, 2, i + 1}, Value: value}})
		}
	}
	name, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return generalNames(t, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: name})
}

func generalNames(t testing.TB, names ...asn1.RawValue) []byte {
	t.Helper()
	san, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return san
}

// endorse certifies an endorsement key as manufacturers do: the subject empty,
// the model in a critical subject alternative name. change departs from that.
func (a *authority) endorse(t testing.TB, key crypto.PublicKey, change func(*x509.Certificate)) []byte {
	t.Helper()
	usage := x509.KeyUsageKeyEncipherment
	if _, ok := key.(*ecdsa.PublicKey); ok {
		usage = x509.KeyUsageKeyAgreement
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		NotBefore:    noon().AddDate(0, -1, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		BasicConstraintsValid: true, KeyUsage: usage,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}},
		ExtraExtensions:    []pkix.Extension{sanExtension(t, true)},
	}
	if change != nil {
		change(template)
	}
	return a.issue(t, template, key).Raw
}

// resign changes what was certified, and signs it again.
func (a *authority) resign(t testing.TB, der []byte, edit func(tbs []byte) []byte) []byte {
	t.Helper()
	var cert struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &cert); err != nil {
		t.Fatal(err)
	}
	cert.TBS = asn1.RawValue{FullBytes: edit(bytes.Clone(cert.TBS.FullBytes))}
	digest := sha256.Sum256(cert.TBS.FullBytes)
	sig, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	cert.Signature = asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}
	out, err := asn1.Marshal(cert)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// replacing edits the one place where old stands, of the same length as with.
func replacing(t testing.TB, old, with string) func([]byte) []byte {
	return func(tbs []byte) []byte {
		t.Helper()
		if len(old) != len(with) || bytes.Count(tbs, []byte(old)) != 1 {
			t.Fatalf("%x stands %d times", old, bytes.Count(tbs, []byte(old)))
		}
		return bytes.Replace(tbs, []byte(old), []byte(with), 1)
	}
}

// serial edits a serial number: tag and contents.
func serial(t testing.TB, tag cbasn1.Tag, contents string) func([]byte) []byte {
	return func(tbs []byte) []byte {
		t.Helper()
		in := cryptobyte.String(tbs)
		var body, version, number cryptobyte.String
		versionTag := cbasn1.Tag(0).Constructed().ContextSpecific()
		if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1Element(&version, versionTag) || !body.ReadASN1(&number, cbasn1.INTEGER) {
			t.Fatal("no certificate")
		}
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(version)
			b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(contents)) })
			b.AddBytes(body)
		})
		return b.BytesOrPanic()
	}
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func (a *authority) pem() []byte {
	return pemOf(a.cert.Raw)
}

// rootsOf are roots of the manufacturer TEST, from whom keys on P-256 are taken.
func rootsOf(t testing.TB, pems ...[]byte) *attest.Roots {
	t.Helper()
	return rootsTaking(t, "p256", pems...)
}

func rootsTaking(t testing.TB, kind string, pems ...[]byte) *attest.Roots {
	t.Helper()
	return rootsWith(t, func(manifest string) string { return strings.ReplaceAll(manifest, "ek: p256", "ek: "+kind) }, pems...)
}

// rootsWith are roots with a manifest that edit has changed.
func rootsWith(t testing.TB, edit func(manifest string) string, pems ...[]byte) *attest.Roots {
	t.Helper()
	files := map[string][]byte{"all.pem": bytes.Join(pems, nil)}
	r, err := attest.ParseRoots([]byte(edit(string(manifestOf(t, "p256", files)))), files)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func manifestOf(t testing.TB, kind string, files map[string][]byte) []byte {
	t.Helper()
	text, err := attest.DraftManifest(files)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte(`"?"`), []byte("TEST"))
	return bytes.ReplaceAll(text, []byte("ek: rsa2048"), []byte("ek: "+kind))
}

// hardware is the policy of a manager who wants real TPMs, at noon.
func hardware() attest.Policy { return attest.Policy{At: noon()} }

// anyTPM is the policy of a test bench.
func anyTPM(at time.Time) attest.Policy { return attest.Policy{At: at, SoftwareTPMs: true} }
