package ceremony_test

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

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
			s.plan = plan(missing, noModule)
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
	a.expect(t, honest, append(lies, lie{"after a ceremony that was never closed", func(t *testing.T, s *story) {
		log := a.file(t, "keyset-1.log")
		t.Cleanup(func() { a.write(t, "keyset-1.log", string(log)) })
		a.write(t, "keyset-1.log", string(log[:bytes.LastIndexByte(log[:len(log)-1], '\n')+1]))
	}, transcript.ErrOpen}))
	t.Run("with one that is missing", func(t *testing.T) {
		a.expect(t, func(t *testing.T) *story {
			s := honest(t)
			s.plan, s.keys = plan(missing, noModule), s.keys[:1]
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
			s.middle[0].data, s.middle[1].data = with, with
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
			s.middle[0].data, s.middle[1].data = wrong, wrong
		}, ceremony.ErrKey},
		{"other keys than were judged", func(_ *testing.T, s *story) {
			less := gone
			less.Keys = gone.Keys[:2]
			s.middle[1].data = less
		}, ceremony.ErrKey},
		{"no keys at all", func(_ *testing.T, s *story) {
			none := gone
			none.Keys = nil
			s.middle[0].data, s.middle[1].data = none, none
		}, ceremony.ErrKey},
		{"nothing was judged", func(_ *testing.T, s *story) { s.middle = s.middle[1:] }, ceremony.ErrKey},
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
			s.middle[0].data, s.middle[1].data = d, d
		}, ceremony.ErrStranger}})
	})
	data := honest(t).write(t)
	a.write(t, "over.jws", "another file by now")
	if _, err := a.verifier(t).Verify(data); !errors.Is(err, ceremony.ErrInput) {
		t.Errorf("with another keyset: %v", err)
	}
	if err := os.Remove(a.path("over.jws")); err != nil {
		t.Fatal(err)
	}
	if r := must(a.verifier(t).Verify(data))(t); unchecked(r) != 1 {
		t.Errorf("without the keyset: %+v", r.Claims)
	}
}
