package ceremony_test

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/trust"
)

// TestAnEarlierCeremonyIsTheWordOfWhoAnswersForIt plants transcripts that are
// closed with a good signature under the root, where a plan builds on them:
// they must not be believed when it is run, nor when it is verified.
func TestAnEarlierCeremonyIsTheWordOfWhoAnswersForIt(t *testing.T) {
	a := newArchive(t)
	officers := a.file(t, "officers.yaml")
	a.roster(t, 1, "DAVIS") // a key for a stranger
	lies := []lie{
		{"closed by another bank", func(_ *testing.T, s *story) { s.by = a.other }, trust.ErrRole},
		{"closed by a group's manager", func(_ *testing.T, s *story) { s.by = a.manager }, trust.ErrRole},
		{"approved by nobody", func(_ *testing.T, s *story) { s.approve = nil }, approval.ErrQuorum},
		{"approved by a stranger", func(_ *testing.T, s *story) { s.approve = []string{"ADAMS", "DAVIS"} }, approval.ErrUnknownOfficer},
		{"of another plan than was approved", func(t *testing.T, s *story) {
			s.late = func(o *transcript.Opened) {
				o.Plan = transcript.Text(change(t, string(o.Plan), "ceremony:", "# more\nceremony:"))
			}
		}, ceremony.ErrPlan},
		{"of other inputs than the plan names", func(_ *testing.T, s *story) { s.inputs = s.inputs[:2] }, ceremony.ErrPlan},
		{"with officers of its own", func(_ *testing.T, s *story) {
			s.late = func(o *transcript.Opened) { o.Roster = transcript.Text(officers) + "\n" }
		}, approval.ErrRoster},
		{"with a key that nobody planned", func(t *testing.T, s *story) { s.key(t, "online", "spare", &a.later.PublicKey) }, ceremony.ErrKey},
		{"with a planned key that was not made", func(_ *testing.T, s *story) { s.keys = s.keys[:1] }, ceremony.ErrKey},
		{"with a key that was not audited", func(_ *testing.T, s *story) { s.keys[1].Audited = false }, ceremony.ErrKey},
	}
	next := change(t, smallText, "\nceremony:", "\nfollows: before.log\nceremony:", "keyset-1.jws", "next.jws", "keyset-1.log", "next.log")
	inspect := change(t, restoreText, "made_by: [signing.log, keyset-1.log]", "made_by: [before.log]")
	following := func(t *testing.T) *story {
		s := a.mint(t)
		s.plan = change(t, s.plan, "\nceremony:", "\nfollows: before.log\nceremony:")
		s.inputs = slices.Insert(s.inputs, 1, transcript.Input{Field: "follows", Path: "before.log"})
		head := must(transcript.Read(a.file(t, "before.log")))(t).Head()
		s.opened.Follows = &head
		return s
	}
	restored := func(t *testing.T) *story {
		s := a.tell(inspect, a.master, "root", "root.pem", "master.certificate", "issuer.pem", "made_by.1", "before.log").
			key(t, "online", "bearer-1", &a.bearer1.PublicKey).key(t, "online", "bearer-2", &a.bearer2.PublicKey)
		s.keys[0].Made, s.keys[1].Made = false, false
		return s
	}
	for _, l := range append([]lie{{"as it should be", func(*testing.T, *story) {}, nil}}, lies...) {
		t.Run(l.name, func(t *testing.T) {
			before := a.mint(t)
			l.tell(t, before)
			if err := os.WriteFile(a.path("before.log"), before.write(t), 0o600); err != nil {
				t.Fatal(err)
			}
			for what, text := range map[string]string{"follows": next, "made_by": inspect} {
				if err := must(ceremony.Parse([]byte(plan(text, noModule)), a.dir))(t).Check(a.at); !errors.Is(err, l.want) {
					t.Errorf("%s, before it is run: got %v, want %v", what, err, l.want)
				}
			}
			for what, s := range map[string]*story{"follows": following(t), "made_by": restored(t)} {
				if _, err := a.verifier(t).Verify(s.write(t)); !errors.Is(err, l.want) {
					t.Errorf("%s, when it is verified: got %v, want %v", what, err, l.want)
				}
			}
		})
	}
}
