package ceremony_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

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
	chain := func(by party, bank string) []byte {
		leaf := a.issue(t, by, trust.Name{Role: trust.RoleSigning, ID: bank}, a.receipts.Public(), "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", false)
		return append(pemOf("CERTIFICATE", leaf.Raw), pemOf("CERTIFICATE", by.cert.Raw)...)
	}
	certificate := chain(a.master, "TESTBANK")
	signer := sha256.Sum256(must(x509.MarshalPKIXPublicKey(a.receipts.Public()))(t))
	text := change(t, revokeText, "REVOKED]", kids[0]+"]\nlost: ["+kids[1]+"]\nrevoke_signers: [signing.pem]")
	revoked := func() *coin.Keyset {
		set := a.next(t)
		set.Denominations[0].Revoked, set.Denominations[1].Lost = true, true
		set.RevokedSigners, set.Crit = [][32]byte{signer}, []string{"revoked_signers"}
		return set
	}
	honest := func(t *testing.T) *story {
		a.write(t, "signing.pem", string(certificate))
		s := a.tell(text, a.master, "root", "root.pem", "master.certificate", "issuer.pem", "previous", "keyset-1.jws", "revoke_signers.1", "signing.pem").output("keyset-2.jws", nil)
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
		{"the signing key of another bank", func(t *testing.T, _ *story) { a.write(t, "signing.pem", string(chain(a.other, "OTHERBANK"))) }, trust.ErrRole},
		{"a file that is no certificate", func(t *testing.T, _ *story) { a.write(t, "signing.pem", "7") }, trust.ErrMalformed},
		{"no keyset at all", func(_ *testing.T, s *story) { s.replace("keyset-2.jws", []byte("x")) }, trust.ErrMalformed},
		{"a key made on the side", func(t *testing.T, s *story) { s.key(t, "offline", "spare", a.receipts.Public()) }, ceremony.ErrKey},
	}...))
	// Each of these shows without the keyset before, too.
	for _, l := range lies {
		s := honest(t)
		l.tell(t, s)
		data := s.write(t)
		v := a.verifier(t)
		v.Dir = t.TempDir()
		for _, name := range []string{"keyset-2.jws", "signing.pem"} {
			if err := os.WriteFile(filepath.Join(v.Dir, name), a.file(t, name), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := v.Verify(data); !errors.Is(err, l.want) {
			t.Errorf("%s: %v", l.name, err)
		}
	}
}
