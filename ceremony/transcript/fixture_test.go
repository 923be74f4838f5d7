package transcript_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/trust"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

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

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// party is a key and its certificates, leaf first, without the root.
type party struct {
	name  trust.Name
	key   *ecdsa.PrivateKey
	chain []*x509.Certificate
}

// house is a root and parties under it.
type house struct {
	root              *trust.Root
	self              party // the root itself: no certificates
	bank, other, late party
	supervisor        party
}

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	return must(ecdsa.GenerateKey(curve, rand.Reader))(t)
}

func newHouse(t testing.TB) *house {
	t.Helper()
	key := newKey(t, elliptic.P384())
	der := must(trust.CreateRoot(key, now.AddDate(-1, 0, 0), now.AddDate(1, 0, 0)))(t)
	h := &house{root: must(trust.NewRoot(must(x509.ParseCertificate(der))(t)))(t)}
	h.self = party{name: trust.Name{Role: trust.RoleRoot}, key: key}
	under := func(role trust.Role, id string, curve elliptic.Curve, from time.Time) party {
		p := party{name: trust.Name{Role: role, ID: id}, key: newKey(t, curve)}
		der := must(trust.Issue(h.root.Certificate(), key, p.name, p.key.Public(), from, now.AddDate(1, 0, 0), role == trust.RoleBank))(t)
		p.chain = []*x509.Certificate{must(x509.ParseCertificate(der))(t)}
		return p
	}
	h.bank = under(trust.RoleBank, "DEMOBANK", elliptic.P384(), now.AddDate(0, -1, 0))
	h.other = under(trust.RoleBank, "OTHERBANK", elliptic.P384(), now.AddDate(0, -1, 0))
	h.late = under(trust.RoleBank, "LATEBANK", elliptic.P384(), now.AddDate(0, 1, 0))
	h.supervisor = under(trust.RoleSupervisor, "OFFICER1", elliptic.P256(), now.AddDate(0, -1, 0))
	return h
}

func opened() transcript.Opened {
	plan := "ceremony: signing # <a plan> & more\n"
	inputs := []transcript.Input{{Field: "root", Path: "root.pem", SHA256: transcript.Hash{1}}}
	return transcript.Opened{
		Ceremony: "signing", Plan: transcript.Text(plan), Digest: transcript.PlanDigest([]byte(plan), inputs), Inputs: inputs,
		Roster: "threshold: 1\n", Approvals: []transcript.Text{"one", "two"},
		Build: transcript.Build{Version: "v1", Revision: "abc", Go: "go1.26"},
	}
}

// begin writes a transcript up to before its end.
func begin(t testing.TB) *transcript.Writer {
	t.Helper()
	w := must(transcript.Create(filepath.Join(t.TempDir(), "t.jsonl"), clock))(t)
	t.Cleanup(func() { _ = w.Release() })
	ok(t, w.Append(transcript.EventOpened, opened()))
	ok(t, w.Append(transcript.EventToken, transcript.Token{Label: "online", Serial: "1"}))
	ok(t, w.Append(transcript.EventGenerating, transcript.Generating{Token: "online", Label: "receipts", Kind: "EC P-256"}))
	ok(t, w.Append(transcript.EventKey, transcript.Key{Token: "online", Label: "receipts", Kind: "EC P-256", SPKI: []byte{1, 2}, Audited: true, SelfTest: true}))
	ok(t, w.Append(transcript.EventOutput, transcript.Output{Path: "signing.pem", SHA256: transcript.Hash{2}}))
	return w
}

// closed is a whole transcript.
func closed(t testing.TB, by party) []byte {
	t.Helper()
	w := begin(t)
	ok(t, w.Close(by.name, by.chain, by.key))
	return must(os.ReadFile(w.Path()))(t)
}

// large is a bank whose certificate is genuine and larger than any need be.
func (h *house) large(t testing.TB) party {
	t.Helper()
	p := party{name: h.bank.name, key: h.bank.key}
	template := *h.bank.chain[0]
	template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: make([]byte, 9<<10)}}
	der := must(x509.CreateCertificate(rand.Reader, &template, h.root.Certificate(), p.key.Public(), h.self.key))(t)
	p.chain = []*x509.Certificate{must(x509.ParseCertificate(der))(t)}
	must(h.root.CheckChain(p.chain, now))(t)
	return p
}
