package trust_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/trust"
)

// now lies in the middle of every certificate's validity.
var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

var (
	start = now.AddDate(-1, 0, 0)
	end   = now.AddDate(1, 0, 0)
)

// party is a key and its certificates, leaf first, without the root.
type party struct {
	key   *ecdsa.PrivateKey
	chain []*x509.Certificate
}

// house is a root and one party of each role.
type house struct {
	rootKey  *ecdsa.PrivateKey
	rootCert *x509.Certificate
	root     *trust.Root

	bank, other, plainBank, signing, group, supervisor party
}

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func parseCert(t testing.TB, der []byte, err error) *x509.Certificate {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{rootKey: newKey(t, elliptic.P384())}
	der, err := trust.CreateRoot(h.rootKey, start, end)
	h.rootCert = parseCert(t, der, err)
	if h.root, err = trust.NewRoot(h.rootCert); err != nil {
		t.Fatal(err)
	}
	under := func(name trust.Name, curve elliptic.Curve, isCA bool) party {
		key := newKey(t, curve)
		der, err := trust.Issue(h.rootCert, h.rootKey, name, key.Public(), start, end, isCA)
		return party{key, []*x509.Certificate{parseCert(t, der, err)}}
	}
	h.bank = under(trust.Name{Role: trust.RoleBank, ID: "DEMOBANK"}, elliptic.P384(), true)
	h.other = under(trust.Name{Role: trust.RoleBank, ID: "OTHERBANK"}, elliptic.P384(), true)
	h.plainBank = under(trust.Name{Role: trust.RoleBank, ID: "PLAINBANK"}, elliptic.P384(), false)
	h.group = under(trust.Name{Role: trust.RoleGroup, ID: "GROUP1"}, elliptic.P256(), false)
	h.supervisor = under(trust.Name{Role: trust.RoleSupervisor, ID: "OFFICER1"}, elliptic.P256(), false)

	key := newKey(t, elliptic.P256())
	der, err = trust.Issue(h.bank.chain[0], h.bank.key, trust.Name{Role: trust.RoleSigning, ID: "DEMOBANK"}, key.Public(), start, end, false)
	h.signing = party{key, []*x509.Certificate{parseCert(t, der, err), h.bank.chain[0]}}
	return h
}

func (p party) sign(t testing.TB, typ, payload string) []byte {
	t.Helper()
	jws, err := trust.Sign(typ, []byte(payload), p.key, p.chain)
	if err != nil {
		t.Fatal(err)
	}
	return jws
}

// forge makes a compact JWS over any header, signed as ES256 or ES384 by the
// key's curve: what an attacker with a key of his own can send.
func forge(t testing.TB, header map[string]any, payload string, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	raw, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding
	input := enc.EncodeToString(raw) + "." + enc.EncodeToString([]byte(payload))
	hash := crypto.SHA256
	if key.Curve == elliptic.P384() {
		hash = crypto.SHA384
	}
	d := hash.New()
	d.Write([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, d.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	size := key.Curve.Params().BitSize / 8
	sig := make([]byte, 2*size)
	r.FillBytes(sig[:size])
	s.FillBytes(sig[size:])
	return []byte(input + "." + enc.EncodeToString(sig))
}

func (p party) x5c() []string {
	var out []string
	for _, c := range p.chain {
		out = append(out, base64.StdEncoding.EncodeToString(c.Raw))
	}
	return out
}

func segments(jws []byte) []string { return strings.Split(string(jws), ".") }
