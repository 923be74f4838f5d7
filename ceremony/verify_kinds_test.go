package ceremony_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/ceremony/warrant"
	"github.com/speciecash/specie/coin"
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

func unchecked(r *ceremony.Report) (n int) {
	for _, c := range r.Claims {
		if c.Standing == ceremony.Unchecked {
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
	})
	data := honest(t).write(t)
	a.write(t, "alice/request.csr", "another file by now")
	if r := must(a.verifier(t).Verify(data))(t); unchecked(r) != 1 {
		t.Errorf("without the request: %+v", r.Claims)
	}
}

// next is the keyset after the first, of a rotation or revocation.
func (a *archive) next(t *testing.T) *coin.Keyset {
	t.Helper()
	first := must(coin.ParseKeyset(a.pinned(t), a.file(t, "keyset-1.jws"), a.at))(t)
	set := *first
	set.Seq, set.Prev, set.Denominations = 2, first.Digest, slices.Clone(first.Denominations)
	return &set
}

func TestLiesAboutARotation(t *testing.T) {
	a := newArchive(t)
	a.mint(t).write(t)
	text := change(t, rotateText, "key: bearer-b", "key: later")
	later := func() *coin.Keyset {
		set := a.next(t)
		d := a.denomination(t, &a.later.PublicKey, 1)
		d.IssueFrom, d.IssueUntil, d.SpendUntil = instant("2026-05-01T00:00:00Z"), instant("2026-07-01T00:00:00Z"), instant("2027-07-01T00:00:00Z")
		set.Denominations = append(set.Denominations, d)
		return set
	}
	name := trust.Name{Role: trust.RoleSigning, ID: "TESTBANK"}
	chain := func(key *ecdsa.PrivateKey) []byte {
		leaf := a.issue(t, a.master, name, key.Public(), "2026-03-01T00:00:00Z", "2028-01-01T00:00:00Z", false)
		return append(pemOf("CERTIFICATE", leaf.Raw), pemOf("CERTIFICATE", a.master.cert.Raw)...)
	}
	honest := func(t *testing.T) *story {
		s := a.tell(text, a.master, "root", "root.pem", "master.certificate", "issuer.pem", "previous", "keyset-1.jws").
			key(t, "online", "later-1", &a.later.PublicKey).key(t, "online", "receipts-b", a.receipts.Public()).
			output("keyset-2.jws", nil).output("signing-b.pem", chain(a.receipts))
		s.resign(t, "keyset-2.jws", later(), a.master)
		return s
	}
	onSet := func(change func(*coin.Keyset)) func(*testing.T, *story) {
		return func(t *testing.T, s *story) {
			set := later()
			change(set)
			s.resign(t, "keyset-2.jws", set, a.master)
		}
	}
	stranger := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	a.expect(t, honest, []lie{
		{"another predecessor", onSet(func(k *coin.Keyset) { k.Prev[0] ^= 1 }), coin.ErrKeyset},
		{"an old key left out", onSet(func(k *coin.Keyset) { k.Denominations = k.Denominations[1:] }), coin.ErrKeyset},
		{"an old key spent longer", onSet(func(k *coin.Keyset) { k.Denominations[0].SpendUntil = instant("2028-01-01T00:00:00Z") }), coin.ErrKeyset},
		{"an old key revoked on the side", onSet(func(k *coin.Keyset) { k.Denominations[0].Revoked = true }), coin.ErrKeyset},
		{"the signing key of another token", func(_ *testing.T, s *story) { s.replace("signing-b.pem", chain(stranger)) }, ceremony.ErrKey},
	})
	// Without the keyset before, the new keys are still held against the plan.
	s := honest(t)
	data := s.write(t)
	if err := os.Rename(a.path("keyset-1.jws"), a.path("away.jws")); err != nil {
		t.Fatal(err)
	}
	if r := must(a.verifier(t).Verify(data))(t); unchecked(r) != 1 {
		t.Errorf("without the keyset before: %+v", r.Claims)
	}
	for what, change := range map[string]func(*coin.Denomination){
		"value":      func(d *coin.Denomination) { d.Value = 2 },
		"kind":       func(d *coin.Denomination) { d.Kind = coin.Bound },
		"start":      func(d *coin.Denomination) { d.IssueFrom = d.IssueFrom.Add(time.Hour) },
		"end":        func(d *coin.Denomination) { d.IssueUntil = d.IssueUntil.Add(time.Hour) },
		"spending":   func(d *coin.Denomination) { d.SpendUntil = d.SpendUntil.Add(time.Hour) },
		"debt":       func(d *coin.Denomination) { d.LegalUntil = d.LegalUntil.Add(time.Hour) },
		"deposit":    func(d *coin.Denomination) { d.DepositUntil = d.SpendUntil.Add(time.Hour) },
		"revocation": func(d *coin.Denomination) { d.Revoked = true },
		"loss":       func(d *coin.Denomination) { d.Lost = true },
	} {
		if err := os.Rename(a.path("away.jws"), a.path("keyset-1.jws")); err != nil {
			t.Fatal(err)
		}
		s := honest(t)
		onSet(func(k *coin.Keyset) { change(&k.Denominations[2]) })(t, s)
		data := s.write(t)
		if err := os.Rename(a.path("keyset-1.jws"), a.path("away.jws")); err != nil {
			t.Fatal(err)
		}
		if _, err := a.verifier(t).Verify(data); !errors.Is(err, coin.ErrKeyset) {
			t.Errorf("another %s than planned: %v", what, err)
		}
	}
}

func TestLiesAboutARevocation(t *testing.T) {
	a := newArchive(t)
	a.mint(t).write(t)
	kids := []string{must(coin.NewKeyID(&a.bearer1.PublicKey))(t).String(), must(coin.NewKeyID(&a.bearer2.PublicKey))(t).String()}
	signer := [32]byte{7}
	text := change(t, revokeText, "REVOKED]", kids[0]+"]\nlost: ["+kids[1]+fmt.Sprintf("]\nrevoke_signers: [%x]", signer))
	revoked := func() *coin.Keyset {
		set := a.next(t)
		set.Denominations[0].Revoked, set.Denominations[1].Lost = true, true
		set.RevokedSigners, set.Crit = [][32]byte{signer}, []string{"revoked_signers"}
		return set
	}
	honest := func(t *testing.T) *story {
		s := a.tell(text, a.master, "root", "root.pem", "master.certificate", "issuer.pem", "previous", "keyset-1.jws").output("keyset-2.jws", nil)
		s.resign(t, "keyset-2.jws", revoked(), a.master)
		return s
	}
	onSet := func(change func(*coin.Keyset)) func(*testing.T, *story) {
		return func(t *testing.T, s *story) {
			set := revoked()
			change(set)
			s.resign(t, "keyset-2.jws", set, a.master)
		}
	}
	lies := []lie{
		{"not revoked after all", onSet(func(k *coin.Keyset) { k.Denominations[0].Revoked = false }), coin.ErrKeyset},
		{"not lost after all", onSet(func(k *coin.Keyset) { k.Denominations[1].Lost = false }), coin.ErrKeyset},
		{"the signing key not revoked", onSet(func(k *coin.Keyset) { k.RevokedSigners = [][32]byte{{8}} }), coin.ErrKeyset},
		{"the key left out instead", onSet(func(k *coin.Keyset) { k.Denominations = k.Denominations[1:] }), coin.ErrUnknownKey},
	}
	a.expect(t, honest, append(lies, []lie{
		{"one more revoked", onSet(func(k *coin.Keyset) { k.Denominations[1].Revoked = true }), coin.ErrKeyset},
		{"one more signing key revoked", onSet(func(k *coin.Keyset) { k.RevokedSigners = append(k.RevokedSigners, [32]byte{8}) }), coin.ErrKeyset},
		{"a key made on the side", func(t *testing.T, s *story) { s.key(t, "offline", "spare", a.receipts.Public()) }, ceremony.ErrKey},
	}...))
	// Each of these shows without the keyset before, too.
	for _, l := range lies {
		s := honest(t)
		l.tell(t, s)
		data := s.write(t)
		v := a.verifier(t)
		v.Dir = t.TempDir()
		if err := os.WriteFile(v.Dir+"/keyset-2.jws", a.file(t, "keyset-2.jws"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(data); !errors.Is(err, l.want) {
			t.Errorf("%s: %v", l.name, err)
		}
	}
}

func TestLiesAboutAWarrant(t *testing.T) {
	a := newArchive(t)
	issue := func(t *testing.T, s *story, by party, change func(*warrant.Warrant)) []byte {
		t.Helper()
		s.settle(t)
		w := &warrant.Warrant{
			Order: warrant.Order{
				Group: "TESTGROUP", Member: "AAECAwQFBgcICQoLDA0ODw", Case: "2026-0173",
				Reason: "order of the district court of 2026-02-20", Until: instant("2026-09-01T00:00:00Z"),
			},
			IssuedAt: a.at, Plan: []byte(s.plan), Inputs: s.inputs, Rosters: [][]byte{a.file(t, "officers.yaml")},
		}
		for _, text := range s.opened.Approvals {
			w.Approvals = append(w.Approvals, []byte(text))
		}
		change(w)
		return must(trust.Sign(trust.TypWarrant, must(w.Marshal())(t), by.key, by.chain()))(t)
	}
	asIs := func(*warrant.Warrant) {}
	tell := func(t *testing.T, text string) *story {
		return a.tell(text, a.manager, "root", "root.pem", "manager.certificate", "group.pem").output("warrant.jws", nil)
	}
	honest := func(t *testing.T) *story {
		s := tell(t, warrantText)
		s.replace("warrant.jws", issue(t, s, a.manager, asIs))
		return s
	}
	a.expect(t, honest, []lie{
		{"closed by a bank", func(_ *testing.T, s *story) { s.by = a.master }, trust.ErrRole},
		{"issued at another time", func(t *testing.T, s *story) {
			s.replace("warrant.jws", issue(t, s, a.manager, func(w *warrant.Warrant) { w.IssuedAt = a.at.Add(-time.Second) }))
		}, warrant.ErrWarrant},
		{"of another plan with the same order", func(t *testing.T, s *story) {
			s.replace("warrant.jws", issue(t, tell(t, warrantText+"# again\n"), a.manager, asIs))
		}, warrant.ErrWarrant},
		{"about another member", func(t *testing.T, s *story) {
			other := change(t, warrantText, "AAECAwQFBgcICQoLDA0ODw", "AQECAwQFBgcICQoLDA0ODw")
			s.replace("warrant.jws", issue(t, tell(t, other), a.manager, func(w *warrant.Warrant) { w.Member = "AQECAwQFBgcICQoLDA0ODw" }))
		}, warrant.ErrWarrant},
		{"signed by a bank", func(t *testing.T, s *story) { s.replace("warrant.jws", issue(t, s, a.master, asIs)) }, trust.ErrRole},
	})
}

func TestLiesAboutARestoredToken(t *testing.T) {
	a := newArchive(t)
	if err := os.WriteFile(a.path("keyset-1.log"), a.mint(t).write(t), 0o600); err != nil {
		t.Fatal(err)
	}
	restore := change(t, restoreText, "made_by: [signing.log, keyset-1.log]", "made_by: [keyset-1.log]")
	fields := []string{"root", "root.pem", "master.certificate", "issuer.pem", "made_by.1", "keyset-1.log"}
	honest := func(t *testing.T) *story {
		s := a.tell(restore, a.master, fields...).key(t, "online", "bearer-1", &a.bearer1.PublicKey).key(t, "online", "bearer-2", &a.bearer2.PublicKey)
		s.keys[0].Made, s.keys[1].Made = false, false
		return s
	}
	missing := change(t, restore, "root: root.pem", "missing: [bearer-2]\nroot: root.pem")
	lies := []lie{
		{"a key that is not there", func(_ *testing.T, s *story) { s.keys = s.keys[:1] }, ceremony.ErrKey},
		{"a key named as missing that is there", func(t *testing.T, s *story) {
			s.plan = plan(missing, "/usr/lib/softhsm/libsofthsm2.so")
		}, ceremony.ErrKey},
		{"another key under the label", func(t *testing.T, s *story) {
			s.keys = s.keys[:1]
			s.key(t, "online", "bearer-2", &a.later.PublicKey)
			s.keys[1].Made = false
		}, ceremony.ErrKey},
		{"another id in the token", func(_ *testing.T, s *story) { s.keys[1].CKAID = "0c" }, ceremony.ErrKey},
		{"a key in another token", func(_ *testing.T, s *story) { s.keys[1].Token = "offline" }, ceremony.ErrKey},
		{"a key that was not audited", func(_ *testing.T, s *story) { s.keys[1].Audited = false }, ceremony.ErrKey},
		{"a key that no ceremony made", func(t *testing.T, s *story) {
			s.key(t, "online", "spare", &a.later.PublicKey)
			s.keys[2].Made = false
		}, ceremony.ErrKey},
		{"a key that was made now", func(_ *testing.T, s *story) { s.keys[1].Made = true }, ceremony.ErrKey},
	}
	a.expect(t, honest, lies)
	t.Run("with one that is missing", func(t *testing.T) {
		a.expect(t, func(t *testing.T) *story {
			s := honest(t)
			s.plan, s.keys = plan(missing, "/usr/lib/softhsm/libsofthsm2.so"), s.keys[:1]
			return s
		}, nil)
	})
	data := honest(t).write(t)
	if err := os.Remove(a.path("keyset-1.log")); err != nil {
		t.Fatal(err)
	}
	if r := must(a.verifier(t).Verify(data))(t); unchecked(r) != 1 {
		t.Errorf("without the transcripts: %+v", r.Claims)
	}
}

func TestLiesAboutADestruction(t *testing.T) {
	a := newArchive(t)
	a.mint(t).write(t)
	text := change(t, destroyText, "keyset-2.jws", "over.jws")
	id := func(pub *rsa.PublicKey) string { return must(coin.NewKeyID(pub))(t).String() }
	signer := [32]byte{7}
	// One key is revoked, one past its time, and one is still good.
	set := a.firstKeyset(t)
	set.Denominations[0].Revoked = true
	set.Denominations[1].SpendUntil, set.Denominations[1].IssueUntil = a.at, a.at
	set.Denominations = append(set.Denominations, a.denomination(t, &a.later.PublicKey, 4))
	set.RevokedSigners, set.Crit = [][32]byte{signer}, []string{"revoked_signers"}
	a.write(t, "over.jws", string(must(trust.Sign(trust.TypKeyset, must(set.Marshal())(t), a.master.key, a.master.chain()))(t)))
	gone := transcript.Destroyed{Token: "online", Serial: "5e71a1", Keys: []string{id(&a.bearer1.PublicKey), id(&a.bearer2.PublicKey), fmt.Sprintf("%x", signer)}}
	more := func(id string) func(*testing.T, *story) {
		return func(_ *testing.T, s *story) {
			with := gone
			with.Keys = append(slices.Clone(gone.Keys), id)
			s.middle[1].data = with
		}
	}
	honest := func(t *testing.T) *story {
		s := a.tell(text, a.master, "root", "root.pem", "master.certificate", "issuer.pem", "keyset", "over.jws")
		s.middle = []told{{transcript.EventErasing, gone}, {transcript.EventDestroyed, gone}}
		return s
	}
	other := gone
	other.Token = "offline"
	a.expect(t, honest, []lie{
		{"it was never erased", func(_ *testing.T, s *story) { s.middle = s.middle[:1] }, ceremony.ErrKey},
		{"another token was", func(_ *testing.T, s *story) { s.middle[1].data = other }, ceremony.ErrKey},
		{"another one too", func(_ *testing.T, s *story) {
			s.middle = append(s.middle, told{transcript.EventDestroyed, other})
		}, ceremony.ErrKey},
		{"one of another serial number", func(t *testing.T, s *story) {
			s.plan = change(t, s.plan, "token=online", "token=online;serial=5e71a1")
			wrong := gone
			wrong.Serial = "0bad"
			s.middle[1].data = wrong
		}, ceremony.ErrKey},
		{"it was never rehearsed", func(_ *testing.T, s *story) { s.rehearse = nil }, ceremony.ErrUnrehearsed},
		{"a key that was still good", more(id(&a.later.PublicKey)), ceremony.ErrNeeded},
		{"a signing key that was not revoked", more(fmt.Sprintf("%x", [32]byte{8})), ceremony.ErrStranger},
		{"something that the plan does not name", more("spare"), ceremony.ErrStranger},
	})
	t.Run("with one that the plan names", func(t *testing.T) {
		a.expect(t, func(t *testing.T) *story {
			s := honest(t)
			s.plan = change(t, s.plan, "so_pin:", "also: [spare]\nso_pin:")
			more("spare")(t, s)
			return s
		}, []lie{{"and one more", func(t *testing.T, s *story) {
			d := s.middle[1].data.(transcript.Destroyed)
			d.Keys = append(d.Keys, "another")
			s.middle[1].data = d
		}, ceremony.ErrStranger}})
	})
	data := honest(t).write(t)
	a.write(t, "over.jws", "another file by now")
	if r := must(a.verifier(t).Verify(data))(t); unchecked(r) != 1 {
		t.Errorf("without the keyset: %+v", r.Claims)
	}
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
}
