// Package groupdoctest makes a whole group for tests: a root, a manager, three
// supervisors of whom two open, and the documents they sign. Every key is
// generated and every signature is real; nothing is kept on disk.
//
// It is for tests of any package above groupdoc and must not be imported by
// anything else.
package groupdoctest

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/trust"
)

// Name is the id of the group that New makes.
const Name = "TESTGROUP"

// Party is a key and its certificate chain, leaf first.
type Party struct {
	Key   *ecdsa.PrivateKey
	Chain []*x509.Certificate
}

// Group is a group with all its secrets in the test's hands.
type Group struct {
	Root     *trust.Root
	RootKey  *ecdsa.PrivateKey
	Manager  Party
	Officers []Party
	// Shares holds the supervisors' shares, index 1 first.
	Shares         []*group.Share
	Supervision    *groupdoc.Supervision
	SupervisionJWS [][]byte
	Issuer         *group.IssuerKey
	FormKey        hpke.PrivateKey
	// Contents is what New fills in; Sign signs it.
	Contents *groupdoc.Contents
}

// New makes the group. Certificates are valid from a year before now to a
// year after, the current epoch (number 7) from an hour before to a day after.
// template and roots are what the document says of TPM keys.
func New(t testing.TB, now time.Time, template []byte, roots [32]byte) *Group {
	t.Helper()
	g := &Group{RootKey: newKey(t, elliptic.P384())}
	der, err := trust.CreateRoot(g.RootKey, now.AddDate(-2, 0, 0), now.AddDate(2, 0, 0))
	if g.Root, err = trust.NewRoot(certificate(t, der, err)); err != nil {
		t.Fatal(err)
	}
	g.Manager = g.Certify(t, trust.Name{Role: trust.RoleGroup, ID: Name}, now)
	g.supervise(t, now)
	if g.Issuer, err = group.GenerateIssuerKey(); err != nil {
		t.Fatal(err)
	}
	proof, err := g.Issuer.Prove(Name)
	if err != nil {
		t.Fatal(err)
	}
	if g.FormKey, err = hpke.DHKEM(ecdh.X25519()).GenerateKey(); err != nil {
		t.Fatal(err)
	}
	starts := now.UTC().Truncate(time.Second).Add(-time.Hour)
	ends := starts.Add(25 * time.Hour)
	g.Contents = &groupdoc.Contents{
		ID:             Name,
		Seq:            1,
		Current:        groupdoc.Epoch{Number: 7, Starts: starts, Ends: ends},
		Next:           groupdoc.Epoch{Number: 8, Starts: ends, Ends: ends.Add(24 * time.Hour)},
		Template:       template,
		EKKinds:        []string{"rsa2048"},
		EKRoots:        roots,
		W:              g.Issuer.Public(),
		WProof:         proof,
		FormKey:        g.FormKey.PublicKey().Bytes(),
		SupervisionJWS: g.SupervisionJWS,
		IssuedAt:       now.UTC().Truncate(time.Second),
	}
	return g
}

// supervise plays the supervisors' ceremony: three deal, all sign.
func (g *Group) supervise(t testing.TB, now time.Time) {
	t.Helper()
	const n, k = 3, 2
	dealings, sent := make([]*group.Dealing, n), make([][]*group.Share, n)
	var err error
	for i := range n {
		if dealings[i], sent[i], err = group.Deal(Name, i+1, n, k); err != nil {
			t.Fatal(err)
		}
	}
	key, err := group.CombineDealings(Name, dealings)
	if err != nil {
		t.Fatal(err)
	}
	g.Supervision = &groupdoc.Supervision{Group: Name, Key: *key}
	for j := range n {
		share, err := group.CombineShares(key, j+1, dealings, []*group.Share{sent[0][j], sent[1][j], sent[2][j]})
		if err != nil {
			t.Fatal(err)
		}
		g.Shares = append(g.Shares, share)
		id := fmt.Sprintf("OFFICER%d", j+1)
		g.Officers = append(g.Officers, g.Certify(t, trust.Name{Role: trust.RoleSupervisor, ID: id}, now))
		g.Supervision.Supervisors = append(g.Supervision.Supervisors, groupdoc.Supervisor{Index: j + 1, ID: id})
	}
	g.SupervisionJWS = g.SignSupervision(t, g.Supervision)
}

// SignSupervision lets every officer sign a supervisors' document.
func (g *Group) SignSupervision(t testing.TB, s *groupdoc.Supervision) [][]byte {
	t.Helper()
	payload, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, o := range g.Officers {
		jws, err := groupdoc.SignSupervision(payload, o.Key, o.Chain)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, jws)
	}
	return out
}

// Sign signs Contents as the manager.
func (g *Group) Sign(t testing.TB) []byte {
	t.Helper()
	jws, err := groupdoc.Sign(g.Root, g.Contents, g.Manager.Key, g.Manager.Chain)
	if err != nil {
		t.Fatal(err)
	}
	return jws
}

// Document is Contents signed and read back.
func (g *Group) Document(t testing.TB) *groupdoc.Document {
	t.Helper()
	doc, err := groupdoc.Parse(g.Root, g.Sign(t), g.Contents.IssuedAt)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// Certify makes a P-256 key certified by the root for a year around now.
func (g *Group) Certify(t testing.TB, name trust.Name, now time.Time) Party {
	t.Helper()
	key := newKey(t, elliptic.P256())
	der, err := trust.Issue(g.Root.Certificate(), g.RootKey, name, key.Public(), now.AddDate(-1, 0, 0), now.AddDate(1, 0, 0), false)
	return Party{Key: key, Chain: []*x509.Certificate{certificate(t, der, err)}}
}

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func certificate(t testing.TB, der []byte, err error) *x509.Certificate {
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
