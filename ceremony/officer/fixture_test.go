package officer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/speciecash/specie/trust"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// country is a root that certifies officers.
type country struct {
	root   *trust.Root
	signer crypto.Signer
}

func newCountry(t testing.TB) *country {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	der := must(trust.CreateRoot(key, at.AddDate(-1, 0, 0), at.AddDate(10, 0, 0)))(t)
	root := must(trust.NewRoot(must(x509.ParseCertificate(der))(t)))(t)
	return &country{root: root, signer: key}
}

// certify makes a certificate of pub for name.
func (c *country) certify(t testing.TB, name trust.Name, pub crypto.PublicKey) []byte {
	t.Helper()
	der := must(trust.Issue(c.root.Certificate(), c.signer, name, pub, at.AddDate(0, -1, 0), at.AddDate(1, 0, 0), false))(t)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// officer is one who was certified, with his card.
func (c *country) officer(t testing.TB, id string) (*Officer, []byte) {
	t.Helper()
	o := must(Create(filepath.Join(t.TempDir(), id), id, nil))(t)
	card := must(o.Accept(c.root, c.certify(t, trust.Name{Role: trust.RoleSupervisor, ID: id}, o.signer.Public()), at))(t)
	return o, card
}

// panel is officers who dealt to each other, 2 must come together.
type panel struct {
	*country
	officers []*Officer
	cards    [][]byte
	dealings [][]byte
}

func newPanel(t testing.TB, ids ...string) *panel {
	t.Helper()
	p := &panel{country: newCountry(t)}
	for _, id := range ids {
		o, card := p.officer(t, id)
		p.officers, p.cards = append(p.officers, o), append(p.cards, card)
	}
	for _, o := range p.officers {
		p.dealings = append(p.dealings, p.deal(t, o, "TESTGROUP", 2))
	}
	return p
}

func (p *panel) deal(t testing.TB, o *Officer, group string, threshold int) []byte {
	t.Helper()
	return must(o.Deal(p.root, group, threshold, p.cards, at))(t)
}

// must ends the test on an error and passes the value on.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
