package ceremony_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/officer"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

// TestABankIsFounded runs one ceremony after the other, as an operator would.
func TestABankIsFounded(t *testing.T) {
	w := newTown(t, "root", "offline", "online", "manager")
	r := w.mustRun(t, rootText)
	if len(r.Keys) != 1 || r.Keys[0].Kind != "EC P-384" || r.Tokens[0].Label != "root" || len(r.Outputs) != 1 || r.Resumed {
		t.Errorf("root ceremony: %+v", r)
	}
	w.mustRun(t, issuerText)
	w.mustRun(t, signingText)
	w.checkChain(t, "issuer.pem", trust.Name{Role: trust.RoleBank, ID: "TESTBANK"}, 1)
	w.checkChain(t, "signing.pem", trust.Name{Role: trust.RoleSigning, ID: "TESTBANK"}, 2)
	w.checkFirstKeyset(t)
	w.checkRotation(t)
	w.checkGroup(t)
}

func (w *town) checkChain(t *testing.T, file string, want trust.Name, length int) {
	t.Helper()
	chain := w.chain(t, file)
	name := must(w.root(t).CheckChain(chain, w.at))(t)
	if name != want || len(chain) != length {
		t.Errorf("%s: %s in a chain of %d", file, name, len(chain))
	}
}

func (w *town) checkFirstKeyset(t *testing.T) {
	t.Helper()
	r := w.mustRun(t, fullText)
	set := w.keyset(t, "keyset-1.jws")
	if len(set.Denominations) != 3 || set.Seq != 1 || !set.IssuedAt.Equal(now) {
		t.Fatalf("keyset %d with %d keys, issued %s", set.Seq, len(set.Denominations), set.IssuedAt)
	}
	for i, d := range set.Denominations {
		if r.Keys[i].ID != d.KeyID.String() {
			t.Errorf("key %d is reported as %s", i, r.Keys[i].ID)
		}
	}
}

func (w *town) keyset(t testing.TB, file string) *coin.Keyset {
	t.Helper()
	return must(coin.ParseKeyset(w.root(t), w.file(t, file), w.at))(t)
}

// checkRotation makes a second keyset, and a signing key with it.
func (w *town) checkRotation(t *testing.T) {
	t.Helper()
	r := w.mustRun(t, rotateText)
	if len(r.Keys) != 2 || len(r.Outputs) != 2 {
		t.Errorf("rotation: %+v", r)
	}
	w.checkChain(t, "signing-b.pem", trust.Name{Role: trust.RoleSigning, ID: "TESTBANK"}, 2)
	first, second := w.keyset(t, "keyset-1.jws"), w.keyset(t, "keyset-2.jws")
	if err := second.CheckSuccessor(first); err != nil || len(second.Denominations) != 4 {
		t.Errorf("keyset 2 has %d keys, %v", len(second.Denominations), err)
	}
	// The keys that sign are the ones in the keyset.
	there := map[string]bool{}
	w.withToken(t, "online", func(token *hsm.Token) {
		for _, key := range must(token.RSAKeys(t.Context()))(t) {
			there[must(coin.NewKeyID(key.Public()))(t).String()] = true
		}
	})
	for _, d := range second.Denominations {
		if !there[d.KeyID.String()] {
			t.Errorf("key %s is not in the token", d.KeyID)
		}
	}
}

func (w *town) checkGroup(t *testing.T) {
	t.Helper()
	w.mustRun(t, groupText)
	w.checkChain(t, "group.pem", trust.Name{Role: trust.RoleGroup, ID: "TESTGROUP"}, 1)
	if info := must(os.Stat(w.path("group.sealed")))(t); info.Mode().Perm() != 0o600 {
		t.Errorf("sealed secrets have mode %v", info.Mode())
	}
	var s *ceremony.GroupSecrets
	w.withToken(t, "manager", func(token *hsm.Token) {
		key := must(token.FindAES(t.Context(), "seal"))(t)
		s = must(ceremony.UnsealGroup(t.Context(), w.file(t, "group.sealed"), key, "TESTGROUP"))(t)
	})
	if s.Issuer.Public().IsInfinity() || s.Form == nil {
		t.Error("no secrets in the sealed file")
	}
	if text := fmt.Sprintf("%v %+v %#v %x", s, s, s, s); strings.Contains(text, hex.EncodeToString(s.Issuer.Bytes())) || !strings.Contains(text, "redacted") {
		t.Errorf("the secrets print: %s", text)
	}
}

// TestTheTranscriptTellsEverything holds the transcript against the plan, the
// token and the outputs.
func TestTheTranscriptTellsEverything(t *testing.T) {
	w := newTown(t, "root", "manager")
	w.mustRun(t, rootText)
	r := w.mustRun(t, groupText+"follows: root.log\n")
	log := w.log(t, "group.log")
	if by := must(log.VerifyClose(w.root(t)))(t); by.Role != trust.RoleRoot {
		t.Errorf("closed by %s", by)
	}
	opened := must(log.Opened())(t)
	before := w.log(t, "root.log")
	if string(opened.Plan) != w.plan(groupText+"follows: root.log\n") || opened.Roster != transcript.Text(w.file(t, "officers.yaml")) ||
		len(opened.Approvals) != 2 || opened.Follows == nil || *opened.Follows != before.Head() || opened.Build.Go == "" {
		t.Errorf("opened: %+v", opened)
	}
	if got := transcript.PlanDigest([]byte(opened.Plan), opened.Inputs); got != opened.Digest || r.Plan != got.String() {
		t.Errorf("digest %s, from its parts %s, result %s", opened.Digest, got, r.Plan)
	}
	var events []string
	for _, e := range log.Entries {
		events = append(events, string(e.Event))
	}
	want := "opened rehearsed token token generating key generating key output output closed"
	if got := strings.Join(events, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	rehearsed := must(transcript.All[transcript.Rehearsed](log, transcript.EventRehearsed))(t)
	if !rehearsed[0].OK || rehearsed[0].Keys != 2 {
		t.Errorf("rehearsed: %+v", rehearsed)
	}
	keys := must(transcript.All[transcript.Key](log, transcript.EventKey))(t)
	chain := w.chain(t, "group.pem")
	if keys[0].Label != "documents" || !keys[0].Audited || !keys[0].SelfTest || !keys[0].Made ||
		string(keys[0].SPKI) != string(chain[0].RawSubjectPublicKeyInfo) || keys[0].ID != fmt.Sprintf("%x", coin.SignerKey(chain[0])) {
		t.Errorf("key: %+v", keys[0])
	}
	if keys[1].Kind != "AES 256" || keys[1].ID != "" || len(keys[1].SPKI) != 0 {
		t.Errorf("sealing key: %+v", keys[1])
	}
	for _, tok := range must(transcript.All[transcript.Token](log, transcript.EventToken))(t) {
		if tok.Serial == "" || tok.Manufacturer == "" || tok.Model == "" || tok.Firmware == "" {
			t.Errorf("token: %+v", tok)
		}
	}
	for i, out := range must(transcript.All[transcript.Output](log, transcript.EventOutput))(t) {
		if r.Outputs[1-i].SHA256 != out.SHA256.String() || out.Secret != (out.Path == "group.sealed") {
			t.Errorf("output: %+v", out)
		}
	}
	for _, name := range []string{"group.pem", "group.sealed"} {
		if w.exists(name + ".part") {
			t.Errorf("%s.part is left", name)
		}
	}
}

func TestASupervisorIsCertified(t *testing.T) {
	w := newTown(t, "root")
	w.mustRun(t, rootText)
	alice := must(officer.Create(w.path("alice"), "ALICE", nil))(t)
	r := w.mustRun(t, certifyText)
	if len(r.Keys) != 0 {
		t.Errorf("keys were made: %v", r.Keys)
	}
	card := must(alice.Accept(w.root(t), w.file(t, "alice.pem"), now))(t)
	if c := must(officer.ParseCard(w.root(t), card, now))(t); c.ID != "ALICE" {
		t.Errorf("card of %s", c.ID)
	}
}

// A PIN that the plan names no source for is asked for, by the token's name,
// and only when the real token is opened.
func TestAPINIsAskedFor(t *testing.T) {
	w := newTown(t, "root")
	text := w.plan(rootText)
	text = strings.Replace(text, "&pin-source=file:root.pin", "", 1)
	if _, err := w.run(t.Context(), text); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("nobody to ask: %v", err)
	}
	var asked []string
	w.runner.AskPIN = func(prompt string) (hsm.PIN, error) {
		asked = append(asked, prompt)
		return hsm.ReadPIN(w.path("root.pin"))
	}
	w.mustRun(t, text)
	if len(asked) != 1 || !strings.Contains(asked[0], `"root"`) {
		t.Errorf("asked: %q", asked)
	}
}

// The bar counts the rehearsal and the ceremony.
func TestProgress(t *testing.T) {
	w := newTown(t, "root", "manager")
	w.mustRun(t, rootText)
	var seen []string
	w.runner.Progress = func(done, total int) { seen = append(seen, fmt.Sprintf("%d/%d", done, total)) }
	w.mustRun(t, groupText)
	if got := strings.Join(seen, " "); got != "1/4 2/4 3/4 4/4" {
		t.Errorf("got %s", got)
	}
}

// With a clock that goes on, all that a ceremony leaves bears the time at
// which its transcript begins, and verifies.
func TestTheClockGoesOnDuringACeremony(t *testing.T) {
	w := newBank(t)
	w.tick = time.Second
	r := w.mustRun(t, change(t, rotateText, "2026-03-01", "2026-01-01"))
	log := w.log(t, "keyset-2.log")
	if set := w.keyset(t, "keyset-2.jws"); !set.IssuedAt.Equal(log.Entries[0].At) || !r.At.Equal(set.IssuedAt) {
		t.Errorf("issued %s, begun %s, reported %s", set.IssuedAt, log.Entries[0].At, r.At)
	}
	if last := log.Entries[len(log.Entries)-1].At; !last.After(r.At) {
		t.Errorf("begun %s, over %s", r.At, last)
	}
	v := &ceremony.Verifier{Root: w.root(t), Roster: must(approval.ParseRoster(w.file(t, "officers.yaml")))(t), Dir: w.dir}
	must(v.Verify(w.file(t, "keyset-2.log")))(t)
}
