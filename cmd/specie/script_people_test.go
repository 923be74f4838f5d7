package main

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/qr"
)

// member is the member of that name who has not been succeeded.
func (s *scene) member(ts *testscript.TestScript, name string) enrol.ID {
	list, err := s.Town.Group.Members(s.t.Context(), enrol.ID{}, 0, true)
	ts.Check(err)
	for _, m := range list {
		if m.Name == name && m.SucceededBy == (enrol.ID{}) {
			return m.ID
		}
	}
	ts.Fatalf("no member %q", name)
	return enrol.ID{}
}

func readmit(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	s := sceneOf(ts)
	r, err := s.Town.Group.Readmit(s.t.Context(), s.member(ts, args[0]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(r.Code.Reveal()+"\n"), 0o600))
}

// forward sets the clock of bank, manager and of the program in the script.
func forward(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1)
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	s := sceneOf(ts)
	s.Town.Group.Clock.Forward(d)
	ts.Setenv("TOWN_AHEAD", time.Until(s.Town.Now()).Round(time.Second).String())
}

func expel(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1)
	s := sceneOf(ts)
	ts.Check(s.Town.Group.Expel(s.t.Context(), s.member(ts, args[0])))
}

func enterWarrant(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1)
	n, err := strconv.ParseUint(args[0], 10, 8)
	ts.Check(err)
	s := sceneOf(ts)
	s.Warrant(s.t, byte(n))
}

func rewrite(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1)
	s := sceneOf(ts)
	s.Restore()
	if args[0] == "register" {
		s.Forge(s.t, s.Entries(warrant.Entry{}, 7, 8, 9), nil)
	}
}

// picture draws the QR code of a link, in as many parts as there are files.
func picture(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	text := strings.TrimSpace(ts.ReadFile(args[0]))
	if l, err := coin.ParseLink(text); err == nil {
		text, err = l.QR()
		ts.Check(err)
	}
	files := args[1:]
	parts := qr.Split(text, len(text)/len(files)+40)
	if len(parts) != len(files) {
		ts.Fatalf("%d parts", len(parts))
	}
	for i, part := range parts {
		data, err := qr.PNG(part, 3)
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(files[i]), data, 0o600))
	}
}
