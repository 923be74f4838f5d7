package ceremony_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/trust"
)

// TestAnExchangedInputIsWorseThanNone: a missing file leaves its claim open,
// another in its place refutes it.
func TestAnExchangedInputIsWorseThanNone(t *testing.T) {
	a := newArchive(t)
	first := a.mint(t).write(t)
	set := a.firstKeyset(t)
	set.Denominations[0].Revoked, set.Denominations[1].Lost = true, true
	write := func(name string, data []byte) {
		if err := os.WriteFile(a.path(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("before.log", first)
	inputs := []string{"root", "root.pem", "master.certificate", "issuer.pem"}
	follow := func(t *testing.T) *story {
		s := a.tell(change(t, smallText, "\nceremony:", "\nfollows: before.log\nceremony:", "keyset-1.jws", "again.jws"), a.master, inputs...).
			key(t, "online", "bearer-1", &a.bearer1.PublicKey).key(t, "online", "bearer-2", &a.bearer2.PublicKey).output("again.jws", nil)
		s.resign(t, "again.jws", a.firstKeyset(t), a.master)
		s.inputs = slices.Insert(s.inputs, 1, transcript.Input{Field: "follows", Path: "before.log"})
		head := must(transcript.Read(first))(t).Head()
		s.opened.Follows = &head
		return s
	}
	restore := func(t *testing.T) *story {
		s := a.tell(change(t, restoreText, "[signing.log, keyset-1.log]", "[before.log]"), a.master, append(inputs, "made_by.1", "before.log")...).
			key(t, "online", "bearer-1", &a.bearer1.PublicKey).key(t, "online", "bearer-2", &a.bearer2.PublicKey)
		s.keys[0].Made, s.keys[1].Made = false, false
		return s
	}
	revoke := func(t *testing.T) *story {
		next := *set
		next.Seq, next.Prev = 2, sumOf(t, a, "keyset-1.jws")
		text := change(t, revokeText, "[REVOKED]", "["+set.Denominations[0].KeyID.String()+"]\nlost: ["+set.Denominations[1].KeyID.String()+"]")
		s := a.tell(text, a.master, "root", "root.pem", "master.certificate", "issuer.pem", "previous", "keyset-1.jws").output("keyset-2.jws", nil)
		s.resign(t, "keyset-2.jws", &next, a.master)
		return s
	}
	for _, tt := range []struct {
		input string
		tell  func(*testing.T) *story
	}{{"before.log", follow}, {"before.log", restore}, {"keyset-1.jws", revoke}} {
		s := tt.tell(t)
		t.Run(strings.Fields(s.plan[strings.Index(s.plan, "ceremony:"):])[1]+" and "+tt.input, func(t *testing.T) {
			data, genuine := s.write(t), a.file(t, tt.input)
			defer write(tt.input, genuine)
			open := unchecked(must(a.verifier(t).Verify(data))(t))
			write(tt.input, []byte("another file by now"))
			if _, err := a.verifier(t).Verify(data); !errors.Is(err, ceremony.ErrInput) || !errors.Is(err, ceremony.ErrClaim) {
				t.Errorf("exchanged: %v", err)
			}
			if err := os.Remove(a.path(tt.input)); err != nil {
				t.Fatal(err)
			}
			if r := must(a.verifier(t).Verify(data))(t); unchecked(r) != open+1 {
				t.Errorf("missing: %+v", r.Claims)
			}
		})
	}
}

// sumOf is the digest of a keyset in the archive.
func sumOf(t *testing.T, a *archive, name string) [32]byte {
	t.Helper()
	return must(a.pinned(t).Verify(a.file(t, name), trust.TypKeyset, trust.RoleBank, a.at))(t).Digest
}

// TestAFileBesideTheOthersIsNoExchangedInput: ceremonies that are kept in a
// directory each have files of the same names.
func TestAFileBesideTheOthersIsNoExchangedInput(t *testing.T) {
	a := newArchive(t)
	if err := os.Mkdir(a.path("one"), 0o700); err != nil {
		t.Fatal(err)
	}
	before := a.mint(t).write(t)
	if err := os.WriteFile(a.path("one/log"), before, 0o600); err != nil {
		t.Fatal(err)
	}
	s := a.mint(t)
	s.plan = change(t, s.plan, "\nceremony:", "\nfollows: one/log\nceremony:")
	s.inputs = slices.Insert(s.inputs, 1, transcript.Input{Field: "follows", Path: "one/log"})
	head := must(transcript.Read(before))(t).Head()
	s.opened.Follows = &head
	data := s.write(t)
	a.write(t, "log", string(data))
	if err := os.RemoveAll(a.path("one")); err != nil {
		t.Fatal(err)
	}
	if r := must(a.verifier(t).Verify(data))(t); unchecked(r) != 1 {
		t.Errorf("%+v", r.Claims)
	}
}

func TestThePlansRootIsThePinnedOne(t *testing.T) {
	a := newArchive(t)
	genuine := string(a.file(t, "root.pem"))
	key := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	other := must(trust.CreateRoot(key, instant("2026-01-01T00:00:00Z"), instant("2046-01-01T00:00:00Z")))(t)
	pin := a.pinned(t)
	verify := func(text string) error {
		a.write(t, "root.pem", text)
		data := a.mint(t).write(t)
		v := a.verifier(t)
		v.Root = pin
		_, err := v.Verify(data)
		return err
	}
	if err := verify(strings.ReplaceAll(genuine, "\n", "\r\n")); err != nil {
		t.Errorf("the same certificate in another file: %v", err)
	}
	if err := verify(string(pemOf("CERTIFICATE", other))); !errors.Is(err, trust.ErrChain) {
		t.Errorf("another root: %v", err)
	}
	a.write(t, "root.pem", genuine)
	s := a.mint(t)
	s.late = func(o *transcript.Opened) { o.Inputs = slices.Delete(slices.Clone(o.Inputs), 1, 2) }
	if _, err := a.verifier(t).Verify(s.write(t)); !errors.Is(err, ceremony.ErrInput) {
		t.Errorf("no root: %v", err)
	}
}
