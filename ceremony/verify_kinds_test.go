package ceremony_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/order"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/trust"
)

// softSeal seals with an AES key in software.
type softSeal struct{ cipher.AEAD }

func newSoftSeal(t *testing.T) softSeal {
	t.Helper()
	return softSeal{must(cipher.NewGCMWithRandomNonce(must(aes.NewCipher(make([]byte, 32)))(t)))(t)}
}

func (s softSeal) Seal(_ context.Context, plain, aad []byte) ([]byte, error) {
	return s.AEAD.Seal(nil, nil, plain, aad), nil
}

func (s softSeal) Open(_ context.Context, box, aad []byte) ([]byte, error) {
	return s.AEAD.Open(nil, nil, box, aad)
}

func TestLiesAboutAGroup(t *testing.T) {
	a := newArchive(t)
	seal := newSoftSeal(t)
	sealed := func(id string) []byte {
		return must(must(ceremony.GenerateGroupSecrets(id))(t).Seal(t.Context(), seal))(t)
	}
	honest := func(t *testing.T) *story {
		s := a.tell(groupText, a.root, "root.certificate", "root.pem").key(t, "manager", "documents", a.manager.key.Public()).key(t, "manager", "seal", nil)
		s.output("group.sealed", sealed("TESTGROUP")).output("group.pem", pemOf("CERTIFICATE", a.manager.cert.Raw))
		s.outputs[0].Secret = true
		return s
	}
	edit := func(member string, value any) func(*testing.T, *story) {
		return func(t *testing.T, s *story) {
			var j map[string]any
			if err := json.Unmarshal(s.outputs[0].data, &j); err != nil {
				t.Fatal(err)
			}
			j[member] = value
			s.replace("group.sealed", must(json.Marshal(j))(t))
		}
	}
	a.expect(t, honest, []lie{
		{"another group's secrets", func(_ *testing.T, s *story) { s.replace("group.sealed", sealed("OTHERGROUP")) }, ceremony.ErrSealed},
		{"another group's under this one's name", func(_ *testing.T, s *story) {
			s.replace("group.sealed", bytes.Replace(sealed("OTHERGROUP"), []byte("OTHERGROUP"), []byte("TESTGROUP"), 1))
		}, group.ErrProof},
		{"no point", edit("w", strings.Repeat("A", 87)), ceremony.ErrSealed},
		{"a short proof", edit("w_proof", "AAAA"), ceremony.ErrSealed},
		{"no form key", edit("hpke", "AAAA"), ceremony.ErrSealed},
		{"an empty box", edit("box", ""), ceremony.ErrSealed},
		{"another version", edit("v", 2), ceremony.ErrSealed},
		{"the sealed file public", func(_ *testing.T, s *story) { s.outputs[0].Secret = false }, ceremony.ErrInput},
		{"the sealing key never made", func(_ *testing.T, s *story) { s.keys = s.keys[:1] }, ceremony.ErrKey},
		{"the sealing key of another kind", func(t *testing.T, s *story) {
			s.keys = s.keys[:1]
			s.key(t, "manager", "seal", a.receipts.Public())
		}, ceremony.ErrKey},
		{"another group's certificate", func(t *testing.T, s *story) {
			cert := a.issue(t, a.root, trust.Name{Role: trust.RoleGroup, ID: "OTHERGROUP"}, a.manager.key.Public(), "2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z", false)
			s.replace("group.pem", pemOf("CERTIFICATE", cert.Raw))
		}, trust.ErrRole},
	})
	// A secret file need not leave the room; that it was not looked at is said.
	data := honest(t).write(t)
	if err := os.Remove(a.path("group.sealed")); err != nil {
		t.Fatal(err)
	}
	r := must(a.verifier(t).Verify(data))(t)
	if n := unchecked(r); n != 2 {
		t.Errorf("%d claims unchecked: %+v", n, r.Claims)
	}
}

// unchecked counts the claims that were not looked at, but for that of a
// ceremony that begins a row.
func unchecked(r *ceremony.Report) (n int) {
	for _, c := range r.Claims {
		if c.Standing == ceremony.Unchecked && !strings.Contains(c.Detail, "the plan names none") {
			n++
		}
	}
	return n
}

func TestLiesAboutASupervisorsCertificate(t *testing.T) {
	a := newArchive(t)
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	name := trust.Name{Role: trust.RoleSupervisor, ID: "ALICE"}
	if err := os.Mkdir(a.path("alice"), 0o700); err != nil {
		t.Fatal(err)
	}
	request := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "ALICE"}, URIs: []*url.URL{must(url.Parse(name.URN()))(t)},
	}, key))(t)
	a.write(t, "alice/request.csr", string(pemOf("CERTIFICATE REQUEST", request)))
	cert := func(name trust.Name, pub any) []byte {
		return pemOf("CERTIFICATE", a.issue(t, a.root, name, pub, "2026-01-01T00:00:00Z", "2031-01-01T00:00:00Z", false).Raw)
	}
	honest := func(t *testing.T) *story {
		return a.tell(certifyText, a.root, "request", "alice/request.csr", "root.certificate", "root.pem").output("alice.pem", cert(name, key.Public()))
	}
	a.expect(t, honest, []lie{
		{"another key than she asked for", func(_ *testing.T, s *story) { s.replace("alice.pem", cert(name, a.receipts.Public())) }, ceremony.ErrKey},
		{"another supervisor's", func(_ *testing.T, s *story) {
			s.replace("alice.pem", cert(trust.Name{Role: trust.RoleSupervisor, ID: "BORIS"}, key.Public()))
		}, trust.ErrRole},
		{"a key that nobody planned", func(t *testing.T, s *story) { s.key(t, "root", "spare", a.receipts.Public()) }, ceremony.ErrKey},
		{"a request that is none", func(t *testing.T, _ *story) { a.write(t, "alice/request.csr", "hello") }, ceremony.ErrInput},
		{"a request that says nothing", func(t *testing.T, _ *story) {
			a.write(t, "alice/request.csr", string(pemOf("CERTIFICATE REQUEST", []byte{1})))
		}, ceremony.ErrInput},
	})
	a.write(t, "alice/request.csr", string(pemOf("CERTIFICATE REQUEST", request)))
	data := honest(t).write(t)
	a.write(t, "alice/request.csr", "another file by now")
	if r := must(a.verifier(t).Verify(data))(t); unchecked(r) != 1 {
		t.Errorf("without the request: %+v", r.Claims)
	}
}

func TestLiesAboutAnOrder(t *testing.T) {
	a := newArchive(t)
	issue := func(t *testing.T, s *story, by party, change func(*order.Order)) []byte {
		t.Helper()
		s.settle(t)
		w := &order.Order{
			Terms: order.Terms{
				Group: "TESTGROUP", Member: "AAECAwQFBgcICQoLDA0ODw", Case: "2026-0173",
				Reason: "order of the district court of 2026-02-20", Until: instant("2026-09-01T00:00:00Z"),
			},
			IssuedAt: a.at, Plan: []byte(s.plan), Inputs: s.inputs, Rosters: [][]byte{a.file(t, "officers.yaml")},
		}
		for _, text := range s.opened.Approvals {
			w.Approvals = append(w.Approvals, []byte(text))
		}
		change(w)
		return must(trust.Sign(trust.TypOrder, must(w.Marshal())(t), by.key, by.chain()))(t)
	}
	asIs := func(*order.Order) {}
	tell := func(t *testing.T, text string) *story {
		return a.tell(text, a.manager, "root", "root.pem", "manager.certificate", "group.pem").output("order.jws", nil)
	}
	honest := func(t *testing.T) *story {
		s := tell(t, orderText)
		s.replace("order.jws", issue(t, s, a.manager, asIs))
		return s
	}
	a.expect(t, honest, []lie{
		{"closed by a bank", func(_ *testing.T, s *story) { s.by = a.master }, trust.ErrRole},
		{"issued at another time", func(t *testing.T, s *story) {
			s.replace("order.jws", issue(t, s, a.manager, func(w *order.Order) { w.IssuedAt = a.at.Add(-time.Second) }))
		}, order.ErrOrder},
		{"of another plan with the same order", func(t *testing.T, s *story) {
			s.replace("order.jws", issue(t, tell(t, orderText+"# again\n"), a.manager, asIs))
		}, order.ErrOrder},
		{"about another member", func(t *testing.T, s *story) {
			other := change(t, orderText, "AAECAwQFBgcICQoLDA0ODw", "AQECAwQFBgcICQoLDA0ODw")
			s.replace("order.jws", issue(t, tell(t, other), a.manager, func(w *order.Order) { w.Member = "AQECAwQFBgcICQoLDA0ODw" }))
		}, order.ErrOrder},
		{"signed by a bank", func(t *testing.T, s *story) { s.replace("order.jws", issue(t, s, a.master, asIs)) }, trust.ErrRole},
	})
}

func TestLiesAboutTheCeremonyBefore(t *testing.T) {
	a := newArchive(t)
	keep := func(name string, data []byte) transcript.Hash {
		if err := os.WriteFile(a.path(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		return must(transcript.Read(data))(t).Head()
	}
	keep("before.log", a.mint(t).write(t))
	old := string(a.file(t, "officers.yaml"))
	other := keep("other.log", a.tell(rootText, a.root).key(t, "root", "root", a.root.key.Public()).output("root.pem", a.file(t, "root.pem")).write(t))
	late := a.mint(t)
	late.closedAt = a.at.Add(time.Second)
	keep("late.log", late.write(t))
	cut := func(name string) []byte {
		data := a.file(t, name)
		return data[:bytes.LastIndexByte(data[:len(data)-1], '\n')+1]
	}
	keep("open.log", cut("before.log"))

	following := func(t *testing.T, name string) *story {
		s := a.mint(t)
		s.plan = change(t, s.plan, "\nceremony:", "\nfollows: "+name+"\nceremony:")
		s.inputs = slices.Insert(s.inputs, 1, transcript.Input{Field: "follows", Path: name})
		head := must(transcript.Read(a.file(t, name)))(t).Head()
		s.opened.Follows = &head
		return s
	}
	honest := func(t *testing.T) *story { return following(t, "before.log") }
	a.expect(t, honest, []lie{
		{"it does not say which", func(_ *testing.T, s *story) { s.opened.Follows = nil }, ceremony.ErrInput},
		{"it names another", func(_ *testing.T, s *story) { s.opened.Follows = &other }, ceremony.ErrInput},
		{"that one was never closed", func(t *testing.T, s *story) { *s = *following(t, "open.log") }, transcript.ErrOpen},
		{"that one ended later", func(t *testing.T, s *story) { *s = *following(t, "late.log") }, ceremony.ErrClock},
	})

	// The officers change: BAKER goes, DAVIS comes.
	a.write(t, "officers.yaml", a.roster(t, 2, "ADAMS", "CLARK", "DAVIS"))
	changed := func(t *testing.T) *story {
		s := following(t, "before.log")
		s.opened.Former, s.approve = transcript.Text(old), []string{"ADAMS", "BAKER", "DAVIS"}
		return s
	}
	a.expect(t, changed, []lie{
		{"the officers before were not asked", func(_ *testing.T, s *story) {
			s.opened.Former, s.approve = "", []string{"ADAMS", "DAVIS"}
		}, approval.ErrQuorum},
		{"too few of the officers before", func(_ *testing.T, s *story) { s.approve = []string{"ADAMS", "DAVIS"} }, approval.ErrQuorum},
		{"others were asked in their place", func(t *testing.T, s *story) {
			s.opened.Former = transcript.Text(a.roster(t, 1, "ADAMS", "BAKER"))
		}, approval.ErrRoster},
		{"what stands there is no roster", func(_ *testing.T, s *story) { s.opened.Former = "hello" }, approval.ErrRoster},
	})
}

func TestWhatIsNotPinnedIsSaid(t *testing.T) {
	a := newArchive(t)
	data := a.mint(t).write(t)
	v := a.verifier(t)
	v.Roster = nil
	r := must(v.Verify(data))(t)
	if unchecked(r) != 1 || len(r.Approved) != 2 || r.By != a.master.name.URN() || !r.Closed.Equal(a.at) {
		t.Errorf("%+v", r)
	}
	// An auditor's folder holds copies under their names alone.
	flat := t.TempDir()
	if err := os.WriteFile(flat+"/keyset-1.jws", a.file(t, "keyset-1.jws"), 0o600); err != nil {
		t.Fatal(err)
	}
	v.Dir = flat
	must(v.Verify(data))(t)
	// Who chooses the officers still can't let others approve what they read.
	s := a.mint(t)
	s.approve = []string{"DAVIS"}
	others := transcript.Text(a.roster(t, 1, "DAVIS"))
	s.late = func(o *transcript.Opened) { o.Roster = others }
	if _, err := v.Verify(s.write(t)); !errors.Is(err, approval.ErrRoster) {
		t.Errorf("another roster than the plan's: %v", err)
	}
}
