package ceremony_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/order"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

// newBank is a town with a bank in it: root, master key, signing key and
// keyset 1. It is founded once; every test gets a copy.
func newBank(t *testing.T) *town {
	t.Helper()
	founded.Do(func() {
		w := newTown(t, "root", "offline", "online")
		for _, text := range []string{rootText, issuerText, signingText, denominationsText} {
			w.mustRun(t, text)
		}
		founded.officers = w.officers
		founded.files = must(readDir(w.dir))(t)
	})
	w := newTown(t)
	w.officers = maps.Clone(founded.officers)
	for name, data := range founded.files {
		if name == "hsm/softhsm2.conf" {
			continue // it names the directory
		}
		path := w.path(name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// founded is the bank that tests copy.
var founded struct {
	sync.Once
	officers map[string]ssh.Signer
	files    map[string][]byte
}

// readDir reads a directory whole.
func readDir(dir string) (map[string][]byte, error) {
	files := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[name], err = os.ReadFile(path)
		return err
	})
	return files, err
}

func (w *town) signer(t testing.TB, chain string) string {
	return fmt.Sprintf("%x", coin.SignerKey(w.chain(t, chain)[0]))
}

func TestKeysAreRevoked(t *testing.T) {
	w := newBank(t)
	first := w.keyset(t, "keyset-1.jws")
	a, b := first.Denominations[0].KeyID, first.Denominations[1].KeyID
	edit := func(pairs ...string) string { return change(t, revokeText, pairs...) }
	all := fmt.Sprintf("revoke: [%s]\nlost: [%s]\nrevoke_signers: [signing.pem]", a, b)

	unknown := strings.Repeat("B", 42) + "A"
	w.refuse(t, []edited{
		{"a key that the keyset does not have", edit("revoke: [REVOKED]", "revoke: ["+unknown+"]"), coin.ErrUnknownKey},
		{"a keyset of another number", edit("revoke: [REVOKED]", all, "sequence: 2", "sequence: 3"), ceremony.ErrInput},
		{"another bank's key", edit("revoke: [REVOKED]", all, "bank: TESTBANK", "bank: OTHERBANK"), trust.ErrRole},
	})
	w.mustRun(t, edit("revoke: [REVOKED]", all))
	second := w.keyset(t, "keyset-2.jws")
	if err := second.CheckSuccessor(first); err != nil {
		t.Error(err)
	}
	da, db := must(second.Find(a))(t), must(second.Find(b))(t)
	if !da.Revoked || da.Lost || db.Revoked || !db.Lost || second.Seq != 2 {
		t.Errorf("revoked %v, lost %v", da, db)
	}
	if err := second.CheckSigner(w.chain(t, "signing.pem")); !errors.Is(err, coin.ErrRevokedSigner) {
		t.Errorf("the signing key: %v", err)
	}

	again := func(what string) string {
		return edit("revoke: [REVOKED]", what, "keyset-1", "keyset-2", "keyset: keyset-2", "keyset: keyset-3", "sequence: 2", "sequence: 3", "revoke.log", "new.log")
	}
	w.refuse(t, []edited{
		{"a key that is revoked already", again("revoke: [" + a.String() + "]"), ceremony.ErrInput},
		{"a key that is lost already", again("lost: [" + b.String() + "]"), ceremony.ErrInput},
		{"a signer that is revoked already", again("revoke_signers: [signing.pem]"), ceremony.ErrInput},
	})
	w.mustRun(t, again("revoke: ["+b.String()+"]"))
	third := w.keyset(t, "keyset-3.jws")
	if err := third.CheckSuccessor(second); err != nil || !must(third.Find(b))(t).Revoked {
		t.Errorf("a lost key is revoked: %v", err)
	}
}

func TestSigningKeysAreRevokedByTheirCertificates(t *testing.T) {
	w := newBank(t)
	w.mustRun(t, change(t, issuerText, "TESTBANK", "OTHERBANK", "offline/master", "offline/other", "issuer.pem", "issuer-b.pem", "issuer.log", "issuer-b.log"))
	w.mustRun(t, change(t, signingText, "TESTBANK", "OTHERBANK", "online/receipts", "online/other", "offline/master", "offline/other",
		"issuer.pem", "issuer-b.pem", "signing.pem", "signing-b.pem", "signing.log", "signing-b.log"))
	signing := w.chain(t, "signing.pem")
	w.write(t, "leaf.pem", string(pemOf("CERTIFICATE", signing[0].Raw)))
	w.write(t, "copy.pem", string(w.file(t, "signing.pem")))
	w.at = instant("2027-06-01T00:00:00Z") // its certificate has run out
	text := func(files string) string {
		return change(t, revokeText, "revoke: [REVOKED]", "revoke_signers: ["+files+"]")
	}
	w.refuse(t, []edited{
		{"a key instead of a certificate", text("officers.yaml"), trust.ErrMalformed},
		{"a file that is not there", text("none.pem"), fs.ErrNotExist},
		{"the certificate of the master key", text("issuer.pem"), trust.ErrRole},
		{"a signing key without what is above it", text("leaf.pem"), trust.ErrRole},
		{"a signing key of another bank", text("signing-b.pem"), trust.ErrRole},
		{"one key in two files", text("signing.pem, copy.pem"), ceremony.ErrInput},
	})
	p := must(w.parse(text("signing.pem")))(t)
	row := find(t, p.Table(w.at), "revocation", "signing.pem")
	for _, want := range []string{"urn:specie:signing:TESTBANK", w.signer(t, "signing.pem"), "from 2026-01-01T00:00:00Z to 2027-01-01T00:00:00Z"} {
		if !strings.Contains(row.Value, want) {
			t.Errorf("the table does not say %s: %q", want, row.Value)
		}
	}
	if table := must(w.parse(text("signing-b.pem")))(t).Table(w.at); !warned(table, "it is the certificate of urn:specie:signing:OTHERBANK") {
		t.Errorf("no warning: %q", table.Warnings)
	}
	w.mustRun(t, text("signing.pem"))
	if set := w.keyset(t, "keyset-2.jws"); len(set.RevokedSigners) != 1 || set.RevokedSigners[0] != coin.SignerKey(signing[0]) {
		t.Errorf("revoked: %x", set.RevokedSigners)
	}
	// Somebody else finds the same from the files.
	v := &ceremony.Verifier{Root: w.root(t), Dir: w.dir, Now: func() time.Time { return w.at }}
	const claim = "the signing keys that were to be revoked are this bank's, and are revoked"
	if c := claimed(t, must(v.Verify(w.file(t, "revoke.log")))(t), claim); c.Standing != ceremony.Holds || !strings.Contains(c.Detail, w.signer(t, "signing.pem")) {
		t.Errorf("%+v", c)
	}
	if err := os.Rename(w.path("signing.pem"), w.path("away.pem")); err != nil {
		t.Fatal(err)
	}
	if c := claimed(t, must(v.Verify(w.file(t, "revoke.log")))(t), claim); c.Standing != ceremony.Unchecked {
		t.Errorf("without the certificate: %+v", c)
	}
}

// claimed returns the claim of that text.
func claimed(t *testing.T, r *ceremony.Report, text string) ceremony.Claim {
	t.Helper()
	i := slices.IndexFunc(r.Claims, func(c ceremony.Claim) bool { return c.Claim == text })
	if i < 0 {
		t.Fatalf("no claim %q in %+v", text, r.Claims)
	}
	return r.Claims[i]
}

func TestARotationKeepsWhatWasRevoked(t *testing.T) {
	w := newBank(t)
	first := w.keyset(t, "keyset-1.jws")
	w.mustRun(t, change(t, revokeText, "revoke: [REVOKED]", fmt.Sprintf("revoke: [%s]\nrevoke_signers: [signing.pem]", first.Denominations[0].KeyID)))
	rotate := change(t, rotateText, "sequence: 2", "sequence: 3", "keyset-1", "keyset-2", "keyset: keyset-2.jws, transcript: keyset-2.log", "keyset: keyset-3.jws, transcript: keyset-3.log")
	w.refuse(t, []edited{
		{"another currency than before", change(t, rotate, "EUR", "CHF"), ceremony.ErrInput},
		{"another exponent than before", change(t, rotate, "exponent: 2", "exponent: 3"), ceremony.ErrInput},
		{"a signing key that outlives the master's", change(t, rotate, "2028-01-01", "2038-01-01"), ceremony.ErrPlan},
	})
	w.mustRun(t, rotate)
	third := w.keyset(t, "keyset-3.jws")
	if err := third.CheckSuccessor(w.keyset(t, "keyset-2.jws")); err != nil || len(third.RevokedSigners) != 1 || !third.Denominations[0].Revoked {
		t.Errorf("%v, %+v", err, third)
	}
}

// Keys whose coins are owed no more leave the keyset.
func TestKeysLeaveTheKeysetWhenNothingIsOwed(t *testing.T) {
	w := newBank(t)
	w.at = time.Date(2032, 3, 1, 0, 0, 0, 0, time.UTC) // after legal_until of keyset 1
	w.mustRun(t, strings.NewReplacer("bits: 2048", "bits: 3072", "issue_from: 2026", "issue_from: 2033", "issue_until: 2026", "issue_until: 2033",
		"spend_until: 2027", "spend_until: 2034", "legal_until: 2032", "legal_until: 2040", "from: 2026-03", "from: 2032-03", "until: 2028", "until: 2033").Replace(rotateText))
	if set := w.keyset(t, "keyset-2.jws"); len(set.Denominations) != 1 {
		t.Errorf("%d keys", len(set.Denominations))
	}
}

func TestAnOrderIsIssued(t *testing.T) {
	w := newTown(t, "root", "manager")
	w.mustRun(t, rootText)
	w.mustRun(t, groupText)
	w.refuse(t, []edited{
		{"for another group than the manager's", change(t, orderText, "TESTGROUP", "OTHERGROUP"), trust.ErrRole},
		{"with an end that is over", change(t, orderText, "until: 2026-09", "until: 2026-02"), ceremony.ErrPlan},
		{"under the bank's certificate", change(t, orderText, "certificate: group.pem", "certificate: root.pem"), trust.ErrRole},
	})
	r := w.mustRun(t, orderText)
	got := must(order.Parse(w.root(t), w.file(t, "order.jws"), now))(t)
	who := must(got.Approved())(t)
	if got.Member != "AAECAwQFBgcICQoLDA0ODw" || got.Case != "2026-0173" || len(who) != 2 || who[0].Officer != "ADAMS" ||
		transcript.PlanDigest(got.Plan, got.Inputs).String() != r.Plan {
		t.Errorf("%+v, approved by %v", got.Terms, who)
	}
	if by := must(w.log(t, "order.log").VerifyClose(w.root(t)))(t); by.Role != trust.RoleGroup {
		t.Errorf("closed by %s", by)
	}
}

// The approvals stand in the order, also of a ceremony that was taken up.
func TestAnOrderThatIsInterruptedHasItsApprovals(t *testing.T) {
	w := newTown(t, "root", "manager")
	w.mustRun(t, rootText)
	w.mustRun(t, groupText)
	w.runner.Interrupt(func(step string) error {
		if step == "staged order" {
			return errCrash
		}
		return nil
	})
	if _, err := w.run(t.Context(), orderText); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	w.runner.Interrupt(nil)
	must(w.runWith(t.Context(), must(w.parse(orderText))(t), nil))(t)
	got := must(order.Parse(w.root(t), w.file(t, "order.jws"), now))(t)
	if who, err := got.Approved(); err != nil || len(who) != 2 {
		t.Errorf("approved by %v, %v", who, err)
	}
	if _, err := (&approval.Roster{Threshold: 1}).Verify(got.Approvals, "revoke", transcript.PlanDigest(got.Plan, got.Inputs)); !errors.Is(err, approval.ErrUnknownOfficer) {
		t.Errorf("another roster: %v", err)
	}
}

// backup copies the token directory, put puts it back: what a maker's tool
// does.
func (w *town) backup(t *testing.T) (put func()) {
	t.Helper()
	saved := t.TempDir()
	if err := os.CopyFS(filepath.Join(saved, "tokens"), os.DirFS(w.p.Tokens)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := errors.Join(os.RemoveAll(w.p.Tokens), os.CopyFS(w.p.Tokens, os.DirFS(filepath.Join(saved, "tokens"))), os.Chmod(w.p.Tokens, 0o700)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARestoredTokenIsInspected(t *testing.T) {
	w := newBank(t)
	put := w.backup(t)
	w.eraseToken(t, "online")
	w.refuse(t, []edited{{"the token is empty", restoreText, hsm.ErrKeyNotFound}})
	put()
	w.refuse(t, []edited{
		{"a key that nobody made", change(t, restoreText, "[signing.log, keyset-1.log]", "[keyset-1.log]"), ceremony.ErrStranger},
		{"a key said to be missing that is there", restoreText + "missing: [bearer-1]\n", ceremony.ErrInput},
		{"a key said to be missing that never was", restoreText + "missing: [bearer-4]\n", ceremony.ErrPlan},
		{"transcripts of another token", change(t, restoreText, "[signing.log, keyset-1.log]", "[issuer.log]"), ceremony.ErrInput},
		{"one transcript twice", change(t, restoreText, "[signing.log, keyset-1.log]", "[keyset-1.log, keyset-1.log]"), ceremony.ErrInput},
		{"a file that is no transcript", change(t, restoreText, "[signing.log, keyset-1.log]", "[root.pem]"), transcript.ErrBroken},
	})
	log := string(w.file(t, "keyset-1.log"))
	w.write(t, "open.log", log[:strings.LastIndex(strings.TrimSpace(log), "\n")+1])
	w.refuse(t, []edited{{"a transcript that nobody closed", change(t, restoreText, "keyset-1.log", "open.log"), transcript.ErrOpen}})
	r := w.mustRun(t, restoreText)
	if len(r.Keys) != 0 {
		t.Errorf("keys were made: %v", r.Keys)
	}
	// An inspection made no keys, whatever it found.
	w.mustRun(t, change(t, restoreText, "keyset-1.log]", "keyset-1.log, restore.log]", "restore.log}", "again.log}"))
	found := must(transcript.All[transcript.Key](w.log(t, "restore.log"), transcript.EventKey))(t)
	if len(found) != 3 || found[0].Label != "bearer-1" || found[0].Made || !found[0].Audited || !found[0].SelfTest {
		t.Errorf("found: %+v", found)
	}
	// What was there before is another key under its label.
	w.eraseToken(t, "online")
	w.withToken(t, "online", func(tok *hsm.Token) {
		must(tok.GenerateRSA(t.Context(), "bearer-1", 2048))(t)
	})
	w.refuse(t, []edited{{"another key under the label", change(t, restoreText, "restore.log", "new.log") + "missing: [bearer-2, receipts]\n", ceremony.ErrKey}})
	put()
	w.loosen(t, "online", "bearer-4")
	text := change(t, restoreText, "restore.log", "new.log")
	w.refuse(t, []edited{{"a loosened key beside them", text, ceremony.ErrStranger}})
	const all = `in token "online": "bearer-4", "receipts"; the transcripts of the ceremonies that made them are listed in the plan under made_by:`
	if _, err := w.run(t.Context(), change(t, text, "[signing.log, keyset-1.log]", "[keyset-1.log]")); err == nil || !strings.Contains(err.Error(), all) {
		t.Errorf("it says %v", err)
	}
}

// Keys that are gone are named; and a restoration that stops is taken up.
func TestARestoredTokenLacksKeys(t *testing.T) {
	w := newBank(t)
	put := w.backup(t)
	w.mustRun(t, change(t, rotateText, "KEY(online/receipts-b)", "KEY(online/late)"))
	put() // from before the rotation
	text := change(t, restoreText, "keyset-1.log]", "keyset-1.log, keyset-2.log]")
	w.refuse(t, []edited{
		{"two keys are gone", text, hsm.ErrKeyNotFound},
		{"one is named, the other not", text + "missing: [late]\n", hsm.ErrKeyNotFound},
	})
	text += "missing: [late, bearer-b-1]\n"
	w.runner.Interrupt(func(step string) error {
		if step == "key" {
			return errCrash
		}
		return nil
	})
	if _, err := w.run(t.Context(), text); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	w.runner.Interrupt(nil)
	if r := w.mustRun(t, text); !r.Resumed {
		t.Error("not resumed")
	}
	if found := must(transcript.All[transcript.Key](w.log(t, "restore.log"), transcript.EventKey))(t); len(found) != 3 {
		t.Errorf("found %d keys", len(found))
	}
}

// An abandoned ceremony left a key: its transcript explains it.
func TestAnAbandonedKeyIsExplained(t *testing.T) {
	w := newBank(t)
	w.runner.Interrupt(func(step string) error {
		if step == "key" {
			return errCrash
		}
		return nil
	})
	if _, err := w.run(t.Context(), rotateText); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	w.runner.Interrupt(nil)
	must(w.abandon(t, must(w.parse(rotateText))(t)))(t)
	w.refuse(t, []edited{{"unexplained", restoreText, ceremony.ErrStranger}})
	w.mustRun(t, change(t, restoreText, "keyset-1.log]", "keyset-1.log, keyset-2.log]"))
	v := &ceremony.Verifier{Root: w.root(t), Dir: w.dir}
	if r := must(v.Verify(w.file(t, "restore.log")))(t); !slices.ContainsFunc(r.Claims, func(c ceremony.Claim) bool {
		return strings.HasSuffix(c.Detail, "; on nobody's word, after an abandoned ceremony: bearer-b-1")
	}) {
		t.Errorf("it is not said that nobody signed for the key: %+v", r.Claims)
	}
}

// The digest of a transcript's files is that of the files.
func TestOutputsAreThoseOfTheTranscript(t *testing.T) {
	w := newBank(t)
	for _, o := range must(transcript.All[transcript.Output](w.log(t, "keyset-1.log"), transcript.EventOutput))(t) {
		if o.SHA256 != sha256.Sum256(w.file(t, o.Path)) {
			t.Errorf("%s has another hash", o.Path)
		}
	}
}
