package ceremony_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/officer"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/trust"
)

const supervisorsText = `
ceremony: supervisors
group: TESTGROUP
supervisors: [CAROL, ALICE, BORIS]
threshold: 2
root: root.pem
exchange: exchange
output: {document: supervision, transcript: supervisors.log}
`

// panel is supervisors, each with a machine of his own: a directory that the
// others don't see.
type panel struct {
	*archive
	ids      []string
	machines map[string]string
	officers map[string]*officer.Officer
}

func newPanel(t *testing.T) *panel {
	t.Helper()
	p := &panel{archive: newArchive(t), ids: []string{"ALICE", "BORIS", "CAROL"}, machines: map[string]string{}, officers: map[string]*officer.Officer{}}
	for _, id := range p.ids {
		p.join(t, id)
	}
	return p
}

// join gives a supervisor his machine, keys and certificate.
func (p *panel) join(t *testing.T, id string) {
	t.Helper()
	dir := t.TempDir()
	p.machines[id] = dir
	if err := os.Mkdir(filepath.Join(dir, "exchange"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"root.pem", "officers.yaml"} {
		p.put(t, id, name, p.file(t, name))
	}
	p.officers[id] = must(officer.Create(filepath.Join(dir, "keys"), id, nil))(t)
	block, _ := pem.Decode(p.on(t, id, "keys/request.csr"))
	request := must(x509.ParseCertificateRequest(block.Bytes))(t)
	cert := p.issue(t, p.root, trust.Name{Role: trust.RoleSupervisor, ID: id}, request.PublicKey, "2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z", false)
	must(p.officers[id].Accept(p.pinned(t), pemOf("CERTIFICATE", cert.Raw), p.at))(t)
}

func (p *panel) on(t testing.TB, id, name string) []byte {
	t.Helper()
	return must(os.ReadFile(filepath.Join(p.machines[id], name)))(t)
}

func (p *panel) put(t testing.TB, id, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.machines[id], name), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// carry brings what one supervisor put out to another.
func (p *panel) carry(t testing.TB, from, to string) {
	t.Helper()
	dir := filepath.Join(p.machines[from], "exchange")
	for _, e := range must(os.ReadDir(dir))(t) {
		path := filepath.Join(p.machines[to], "exchange", e.Name())
		if _, err := os.Stat(path); err != nil {
			p.put(t, to, filepath.Join("exchange", e.Name()), must(os.ReadFile(filepath.Join(dir, e.Name())))(t))
		}
	}
}

func (p *panel) planFor(text, id string) (*ceremony.Plan, error) {
	return ceremony.Parse([]byte(plan(text, "")), p.machines[id])
}

// step lets a supervisor do what he can. approved are the officers.
func (p *panel) step(r *ceremony.Runner, id, text string, approved ...string) (*ceremony.Turn, error) {
	parsed, err := p.planFor(text, id)
	if err != nil {
		return nil, err
	}
	digest, err := parsed.Digest()
	if err != nil {
		return nil, err
	}
	r.Now, r.Approvals = func() time.Time { return p.at }, nil
	for _, name := range approved {
		a, err := approval.Sign(approval.Message("supervisors", digest, name, p.at), p.archive.officers[name])
		if err != nil {
			return nil, err
		}
		r.Approvals = append(r.Approvals, a)
	}
	return r.Step(context.Background(), parsed, p.officers[id])
}

func (p *panel) mustStep(t *testing.T, id string) *ceremony.Turn {
	t.Helper()
	return must(p.step(&ceremony.Runner{}, id, supervisorsText, "ADAMS", "CLARK"))(t)
}

// round lets everybody do what he can, and carries the files on.
func (p *panel) round(t *testing.T) (turns []*ceremony.Turn) {
	t.Helper()
	for i, id := range p.ids {
		turns = append(turns, p.mustStep(t, id))
		p.carry(t, id, p.ids[(i+1)%len(p.ids)])
	}
	return turns
}

// finish goes on until all are done.
func (p *panel) finish(t *testing.T) (turns []*ceremony.Turn) {
	t.Helper()
	for range 4 {
		turns = p.round(t)
		if !slices.ContainsFunc(turns, func(turn *ceremony.Turn) bool { return !turn.Done }) {
			return turns
		}
	}
	t.Fatalf("not done: %+v", turns)
	return nil
}

// auditor is somebody with the exchange directory and what is published.
func (p *panel) auditor(t *testing.T) *ceremony.Verifier {
	t.Helper()
	// Once around for the files of the last step.
	for range 2 {
		for i, id := range p.ids {
			p.carry(t, id, p.ids[(i+1)%len(p.ids)])
		}
	}
	v := p.verifier(t)
	v.Dir = t.TempDir()
	if err := os.CopyFS(v.Dir, os.DirFS(filepath.Join(p.machines[p.ids[0]], "exchange"))); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSupervisorsGenerateKeysOnMachinesOfTheirOwn(t *testing.T) {
	p := newPanel(t)
	first := p.round(t)
	if first[0].For != "card" || strings.Join(first[0].Missing, " ") != "BORIS CAROL" || first[0].Done || first[0].Transcript != "" {
		t.Errorf("ALICE's first turn: %+v", first[0])
	}
	if first[2].For != "dealing" || strings.Join(first[2].Missing, " ") != "ALICE BORIS" || first[2].Transcript == "" {
		t.Errorf("CAROL's first turn: %+v", first[2])
	}
	turns := p.finish(t)
	var docs [][]byte
	for i, id := range p.ids {
		if turns[i].Keys != turns[0].Keys || filepath.Base(turns[i].Document) != "supervision-"+id+".jws" {
			t.Errorf("%s: %+v", id, turns[i])
		}
		docs = append(docs, p.on(t, id, "supervision-"+id+".jws"))
	}
	s := must(groupdoc.ParseSupervision(p.pinned(t), docs, p.at))(t)
	if s.Group != "TESTGROUP" || s.Key.K != 2 || s.Key.N != 3 {
		t.Errorf("%s, %d of %d", s.Group, s.Key.K, s.Key.N)
	}
	for _, id := range p.ids {
		if err := s.Key.CheckShare(must(p.officers[id].Share("TESTGROUP"))(t)); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	v := p.auditor(t)
	for _, id := range p.ids {
		r := must(v.Verify(p.on(t, id, "supervisors-"+id+".log")))(t)
		if n := len(r.Claims); n != 13 || r.Began != r.Closed || unchecked(r) != 0 || r.By != "urn:specie:supervisor:"+id {
			t.Errorf("%s: %d claims: %+v", id, n, r)
		}
	}
}

func TestAStepThatIsDoneIsDone(t *testing.T) {
	p := newPanel(t)
	p.finish(t)
	log := p.on(t, "BORIS", "supervisors-BORIS.log")
	for _, name := range []string{"card-BORIS.jws", "dealing-BORIS.jws", "supervision-BORIS.jws", "supervisors-BORIS.log"} {
		if err := os.Remove(filepath.Join(p.machines["BORIS"], "exchange", name)); err != nil {
			t.Fatal(err)
		}
	}
	turn := p.mustStep(t, "BORIS")
	if !turn.Done || len(turn.Written) != 3 || !bytes.Equal(p.on(t, "BORIS", "supervisors-BORIS.log"), log) {
		t.Errorf("again: %+v", turn)
	}
	p.at = p.at.AddDate(0, 0, 1)
	if again := p.mustStep(t, "BORIS"); !again.Done || len(again.Written) != 0 || again.Keys != turn.Keys {
		t.Errorf("and again: %+v", again)
	}
}

func TestASupervisorIsInterruptedAnywhere(t *testing.T) {
	p := newPanel(t)
	p.round(t)
	p.mustStep(t, "ALICE")
	p.carry(t, "ALICE", "BORIS")
	p.carry(t, "CAROL", "BORIS")
	// BORIS deals, combines and signs in one go, unless the plug is pulled: his
	// machine is put back to this state each time.
	before := t.TempDir()
	if err := os.CopyFS(before, os.DirFS(p.machines["BORIS"])); err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		dir := filepath.Join(t.TempDir(), "boris")
		if err := os.CopyFS(dir, os.DirFS(before)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, "keys", officer.KeyFile), 0o600); err != nil {
			t.Fatal(err)
		}
		p.machines["BORIS"], p.officers["BORIS"] = dir, must(officer.Open(filepath.Join(dir, "keys"), nil))(t)
		at, left := "", n
		r := &ceremony.Runner{}
		r.Interrupt(func(step string) error {
			if left--; left == 0 {
				at = step
				return errCrash
			}
			return nil
		})
		_, err := p.step(r, "BORIS", supervisorsText, "ADAMS", "BAKER")
		if at == "" {
			if err != nil || n < 10 {
				t.Errorf("%d steps: %v", n, err)
			}
			return
		}
		t.Run(fmt.Sprintf("%d after %s", n, at), func(t *testing.T) {
			if !errors.Is(err, errCrash) {
				t.Fatalf("got %v", err)
			}
			turn := p.mustStep(t, "BORIS")
			if !turn.Done {
				t.Fatalf("not done: %+v", turn)
			}
			v := p.verifier(t)
			v.Dir = dir
			if _, err := v.Verify(p.on(t, "BORIS", "supervisors-BORIS.log")); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "dealing-BORIS.jws"+paper.PartSuffix)); err == nil {
				t.Error("a part is left")
			}
		})
	}
}

func TestStepsThatAreRefused(t *testing.T) {
	other := strings.Replace(supervisorsText, "threshold: 2", "threshold: 3", 1)
	good := []string{"ADAMS", "CLARK"}
	tests := []struct {
		name     string
		text     string
		approved []string
		spoil    func(t *testing.T, p *panel)
		want     error
	}{
		{"too few officers", supervisorsText, good[:1], nil, approval.ErrQuorum},
		{"another plan than the one that was begun", supervisorsText + "# changed\n", good, nil, ceremony.ErrInterrupted},
		{"another threshold", other, good, nil, ceremony.ErrInterrupted},
		{"a card of another", supervisorsText, good, func(t *testing.T, p *panel) {
			p.put(t, "ALICE", "exchange/card-BORIS.jws", p.on(t, "ALICE", "exchange/card-CAROL.jws"))
		}, officer.ErrForeign},
		{"a card that is none", supervisorsText, good, func(t *testing.T, p *panel) {
			p.put(t, "ALICE", "exchange/card-BORIS.jws", []byte("hello"))
		}, trust.ErrMalformed},
		{"another's card in the place of the own", supervisorsText, good, func(t *testing.T, p *panel) {
			p.put(t, "ALICE", "exchange/card-ALICE.jws", p.on(t, "ALICE", "exchange/card-CAROL.jws"))
		}, ceremony.ErrInput},
		{"a share that is there already", supervisorsText, good, func(t *testing.T, p *panel) {
			q := newPanel(t)
			q.finish(t)
			p.machines["ALICE"], p.officers["ALICE"] = q.machines["ALICE"], q.officers["ALICE"]
			for _, name := range []string{"supervisors-ALICE.log", "dealing-ALICE.jws", "supervision-ALICE.jws", "exchange"} {
				if err := os.RemoveAll(filepath.Join(p.machines["ALICE"], name)); err != nil {
					t.Fatal(err)
				}
			}
			// The other panel's world, so that nothing else is wrong.
			if err := os.Mkdir(filepath.Join(p.machines["ALICE"], "exchange"), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"BORIS", "CAROL"} {
				p.put(t, "ALICE", "exchange/card-"+id+".jws", q.on(t, id, "exchange/card-"+id+".jws"))
			}
			p.put(t, "ALICE", "officers.yaml", p.file(t, "officers.yaml"))
		}, paper.ErrExists},
		{"an expired root", supervisorsText, good, func(t *testing.T, p *panel) { p.at = p.at.AddDate(30, 0, 0) }, trust.ErrExpired},
		{"an expired certificate", supervisorsText, good, func(t *testing.T, p *panel) { p.at = p.at.AddDate(10, 0, 0) }, trust.ErrExpired},
		{"a clock before the plan's root", supervisorsText, good, func(t *testing.T, p *panel) { p.at = p.at.AddDate(-1, 0, 0) }, ceremony.ErrClock},
		{"an output that is there already", supervisorsText, good, func(t *testing.T, p *panel) {
			p.put(t, "ALICE", "supervision-ALICE.jws", []byte("x"))
		}, paper.ErrExists},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPanel(t)
			p.round(t)
			p.carry(t, "CAROL", "ALICE")
			if errors.Is(tt.want, ceremony.ErrInterrupted) {
				p.mustStep(t, "ALICE") // she deals
			}
			if tt.spoil != nil {
				tt.spoil(t, p)
			}
			if _, err := p.step(&ceremony.Runner{}, "ALICE", tt.text, tt.approved...); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestDealingsThatAreRefused(t *testing.T) {
	p := newPanel(t)
	p.round(t)
	p.mustStep(t, "ALICE")
	cards := [][]byte{}
	for _, id := range p.ids {
		p.carry(t, id, "ALICE")
		cards = append(cards, must(p.officers[id].Card())(t))
	}
	boris := func(group string, threshold int, cards [][]byte) []byte {
		return must(p.officers["BORIS"].Deal(p.pinned(t), group, threshold, cards, p.at))(t)
	}
	tests := []struct {
		name string
		file string
		data []byte
		want error
	}{
		{"with another threshold", "dealing-BORIS.jws", boris("TESTGROUP", 3, cards), officer.ErrDealing},
		{"for another group", "dealing-BORIS.jws", boris("OTHERGROUP", 2, cards), officer.ErrDealing},
		{"to fewer supervisors", "dealing-BORIS.jws", boris("TESTGROUP", 2, cards[:2]), officer.ErrDealing},
		{"of somebody else", "dealing-BORIS.jws", p.on(t, "ALICE", "exchange/dealing-CAROL.jws"), officer.ErrForeign},
		{"another one than the own", "dealing-ALICE.jws", must(p.officers["ALICE"].Deal(p.pinned(t), "TESTGROUP", 2, cards, p.at))(t), ceremony.ErrInput},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			good := p.on(t, "ALICE", "exchange/dealing-ALICE.jws")
			p.put(t, "ALICE", "exchange/"+tt.file, tt.data)
			if _, err := p.step(&ceremony.Runner{}, "ALICE", supervisorsText, "ADAMS", "CLARK"); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			p.put(t, "ALICE", "exchange/dealing-ALICE.jws", good)
		})
	}
}

func TestACardIsNotExchangedAfterItWasDealtTo(t *testing.T) {
	p := newPanel(t)
	p.round(t)
	p.carry(t, "CAROL", "ALICE")
	r := &ceremony.Runner{}
	r.Interrupt(func(step string) error {
		if step == "staged dealing" {
			return errCrash
		}
		return nil
	})
	if _, err := p.step(r, "ALICE", supervisorsText, "ADAMS", "CLARK"); !errors.Is(err, errCrash) {
		t.Fatalf("got %v", err)
	}
	// BORIS comes with new keys in between.
	p.join(t, "BORIS")
	p.put(t, "ALICE", "exchange/card-BORIS.jws", must(p.officers["BORIS"].Card())(t))
	if _, err := p.step(&ceremony.Runner{}, "ALICE", supervisorsText); !errors.Is(err, ceremony.ErrInput) {
		t.Errorf("got %v", err)
	}
}

func TestASupervisorGivesUp(t *testing.T) {
	p := newPanel(t)
	p.round(t)
	p.mustStep(t, "ALICE")
	whole := must(p.planFor(supervisorsText, "ALICE"))(t)
	own := must(whole.As("ALICE"))(t)
	r := &ceremony.Runner{Now: func() time.Time { return p.at }}
	must(r.Abandon(t.Context(), own, "the stick was lost"))(t)
	for _, name := range []string{"dealing-ALICE.jws", "exchange/dealing-ALICE.jws", "supervision-ALICE.jws"} {
		if _, err := os.Stat(filepath.Join(p.machines["ALICE"], name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
	if _, err := p.step(&ceremony.Runner{}, "ALICE", supervisorsText, "ADAMS", "CLARK"); !errors.Is(err, transcript.ErrAbandoned) {
		t.Errorf("a step after it: %v", err)
	}
	if _, err := whole.As("DAVID"); !errors.Is(err, ceremony.ErrPlan) {
		t.Errorf("somebody else's part: %v", err)
	}
	if _, err := r.Run(t.Context(), whole); !errors.Is(err, ceremony.ErrPlan) {
		t.Errorf("all at once: %v", err)
	}
	root := must(ceremony.Parse([]byte(plan(rootText, "/m.so")), p.dir))(t)
	if _, err := root.As("ALICE"); !errors.Is(err, ceremony.ErrPlan) {
		t.Errorf("another ceremony: %v", err)
	}
}

func TestSupervisorsPlansThatAreRefused(t *testing.T) {
	for _, edit := range [][2]string{
		{"threshold: 2", "threshold: 1"}, {"threshold: 2", "threshold: 4"}, {"threshold: 2", "threshold: -2"},
		{"ALICE, BORIS", "ALICE, ALICE"}, {"BORIS", "boris"}, {"[CAROL, ALICE, BORIS]", "[]"}, {"TESTGROUP", "group"},
		{"exchange: exchange\n", ""}, {"document: supervision", "document: dealing.jws"}, {"document: supervision, ", ""},
		{", transcript: supervisors.log", ""}, {"root: root.pem\n", ""}, {"threshold: 2", "threshold: 2\ndealer: ALICE"},
	} {
		if _, err := ceremony.Parse([]byte(plan(change(t, supervisorsText, edit[0], edit[1]), "")), "/"); !errors.Is(err, ceremony.ErrPlan) {
			t.Errorf("%q for %q: %v", edit[1], edit[0], err)
		}
	}
	p := must(ceremony.Parse([]byte(plan(change(t, supervisorsText, "threshold: 2", "threshold: 3"), "")), t.TempDir()))(t)
	if table := p.Table(now); !slices.ContainsFunc(table.Warnings, func(w string) bool { return strings.Contains(w, "must come together") }) {
		t.Errorf("no warning: %v", table.Warnings)
	}
}

// party is a supervisor's own key, as it lies in his file.
func (p *panel) party(t *testing.T, id string) party {
	t.Helper()
	var j struct {
		Key paper.Base64 `json:"signing_key"`
	}
	if err := json.Unmarshal(p.on(t, id, "keys/"+officer.KeyFile), &j); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(p.on(t, id, "keys/"+officer.CertificateFile))
	return party{
		trust.Name{Role: trust.RoleSupervisor, ID: id},
		must(x509.ParsePKCS8PrivateKey(j.Key))(t).(*ecdsa.PrivateKey), p.archive.parse(t, block.Bytes),
	}
}

func TestLiesOfASupervisor(t *testing.T) {
	p := newPanel(t)
	p.finish(t)
	p.dir = p.auditor(t).Dir
	p.write(t, "officers.yaml", p.roster(t, 2, "ADAMS", "BAKER", "CLARK"))
	p.write(t, "root.pem", string(pemOf("CERTIFICATE", p.root.cert.Raw)))
	alice := p.party(t, "ALICE")
	received := func(from, kind string) told {
		path := "exchange/" + kind + "-" + from + ".jws"
		return told{transcript.EventReceived, transcript.Received{From: from, Path: path, SHA256: sum(p.file(t, filepath.Base(path)))}}
	}
	dealing, doc := p.file(t, "dealing-ALICE.jws"), p.file(t, "supervision-ALICE.jws")
	honest := func(t *testing.T) *story {
		p.write(t, "dealing-ALICE.jws", string(dealing)) // a lie may have been there
		s := p.tell(supervisorsText, alice, "root", "root.pem").output("dealing-ALICE.jws", dealing)
		s.rehearse = nil
		for _, kind := range []string{"card", "dealing"} {
			for _, id := range p.ids {
				s.middle = append(s.middle, received(id, kind))
			}
		}
		return s.output("supervision-ALICE.jws", doc)
	}
	elsewhere := newPanel(t)
	// The same supervisors once more, for other keys.
	again := [][]byte{}
	cards := [][]byte{p.file(t, "card-ALICE.jws"), p.file(t, "card-BORIS.jws"), p.file(t, "card-CAROL.jws")}
	for _, id := range p.ids {
		again = append(again, must(p.officers[id].Deal(p.pinned(t), "TESTGROUP", 2, cards, p.at))(t))
	}
	other := must(must(officer.Outcome(p.pinned(t), "TESTGROUP", again, p.at))(t).Marshal())(t)
	sign := func(payload []byte, by party) []byte {
		return must(trust.Sign(trust.TypSupervision, payload, by.key, by.chain()))(t)
	}
	p.expect(t, honest, []lie{
		{"closed by somebody whom the plan does not name", func(t *testing.T, s *story) { s.by = p.master }, trust.ErrRole},
		{"closed by another supervisor", func(t *testing.T, s *story) { s.by = p.party(t, "BORIS") }, ceremony.ErrInput},
		{"a card that was never taken in", func(_ *testing.T, s *story) { s.middle = s.middle[1:] }, ceremony.ErrInput},
		{"a dealing that was never taken in", func(_ *testing.T, s *story) { s.middle = s.middle[:5] }, ceremony.ErrInput},
		{"a file more than there should be", func(_ *testing.T, s *story) {
			s.middle = append(s.middle, told{transcript.EventReceived, transcript.Received{From: "DAVID", Path: "x"}})
		}, ceremony.ErrInput},
		{"another threshold than planned", func(t *testing.T, s *story) { s.plan = change(t, s.plan, "threshold: 2", "threshold: 3") }, officer.ErrDealing},
		{"another group than planned", func(t *testing.T, s *story) { s.plan = change(t, s.plan, "TESTGROUP", "OTHERGROUP") }, groupdoc.ErrSupervision},
		{"another dealing", func(_ *testing.T, s *story) { s.replace("dealing-ALICE.jws", again[0]) }, ceremony.ErrInput},
		{"keys that the dealings don't come to", func(_ *testing.T, s *story) { s.replace("supervision-ALICE.jws", sign(other, alice)) }, groupdoc.ErrSupervision},
		{"somebody else's document", func(t *testing.T, s *story) { s.replace("supervision-ALICE.jws", p.file(t, "supervision-BORIS.jws")) }, trust.ErrChain},
		{"no document", func(_ *testing.T, s *story) { s.replace("supervision-ALICE.jws", []byte("x")) }, trust.ErrMalformed},
		{"an output more than planned", func(_ *testing.T, s *story) { s.output("spare.jws", []byte("x")) }, ceremony.ErrInput},
		{"too few officers", func(_ *testing.T, s *story) { s.approve = s.approve[:1] }, approval.ErrQuorum},
	})
	// What the others left.
	data := honest(t).write(t)
	boris := p.file(t, "supervision-BORIS.jws")
	p.write(t, "supervision-BORIS.jws", string(sign(other, p.party(t, "BORIS"))))
	if _, err := p.verifier(t).Verify(data); !errors.Is(err, groupdoc.ErrSupervision) {
		t.Errorf("BORIS signed other keys: %v", err)
	}
	if err := os.Remove(p.path("supervision-BORIS.jws")); err != nil {
		t.Fatal(err)
	}
	if r := must(p.verifier(t).Verify(data))(t); unchecked(r) != 1 {
		t.Errorf("BORIS's document is missing: %+v", r.Claims)
	}
	p.write(t, "supervision-BORIS.jws", string(boris))
	p.write(t, "dealing-BORIS.jws", string(again[1]))
	if _, err := p.verifier(t).Verify(data); !errors.Is(err, ceremony.ErrInput) {
		t.Errorf("BORIS's dealing was exchanged: %v", err)
	}
	v := p.verifier(t)
	v.Root = elsewhere.pinned(t)
	if _, err := v.Verify(data); !errors.Is(err, trust.ErrChain) {
		t.Errorf("another root: %v", err)
	}
}
