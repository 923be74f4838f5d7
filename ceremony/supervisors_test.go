package ceremony_test

import (
	"bytes"
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
		if n := len(r.Claims); n != 16 || r.Began != r.Closed || unchecked(r) != 0 || r.By != "urn:specie:supervisor:"+id {
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
	if _, err := p.step(&ceremony.Runner{}, "BORIS", supervisorsText+"# another\n", "ADAMS", "CLARK"); !errors.Is(err, paper.ErrExists) {
		t.Errorf("another plan over this one: %v", err)
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
			_ = os.Remove(filepath.Join(p.machines["ALICE"], "exchange/dealing-BORIS.jws"))
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
	if err := must(p.planFor(supervisorsText, "BORIS"))(t).Check(p.at.AddDate(30, 0, 0)); !errors.Is(err, trust.ErrExpired) {
		t.Errorf("under an expired root: %v", err)
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
