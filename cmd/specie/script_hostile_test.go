package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/speciecash/specie/cli"
)

// nasty is what a terminal would obey: a colour, the cursor, a title, a link to
// elsewhere, the clipboard, C1, directions, what is not seen, marks without end,
// and a line that looks like this program's own.
func nasty() string {
	return "x\x1b[31m\x1b[2A\x1b]0;paid\x07\x1b]8;;https://evil.example\x1b\\y\x1b]52;c;cm0=\x07\u009b2J\r\b\u202egnp.01\u2066z\u200b\u00ad\U000e0041" +
		"Z" + strings.Repeat("\u0335", 60) + "\nspecie: paid 1000.00 EUR\u2028"
}

// speaks makes a server refuse a path with a nasty answer; as MEANS "again" it
// behaves again.
func speaks(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	gate := sceneOf(ts).gate(ts, args[0])
	if len(args) > 2 {
		gate.Instead(args[1], nil)
		return
	}
	gate.Instead(args[1], func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusConflict)
		_ = json.NewEncoder(w).Encode(map[string]any{"status": 409, "code": "x" + nasty(), "title": nasty(), "detail": nasty()})
	})
}

// tame runs a program, however it ends: what it says, a terminal merely shows.
func tame(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1)
	var status *exec.ExitError
	if err := ts.Exec(args[0], args[1:]...); err != nil && !errors.As(err, &status) {
		ts.Check(err)
	}
	said := 0
	for _, name := range []string{"stdout", "stderr"} {
		text := ts.ReadFile(name)
		said += len(text)
		if !cli.IsSafe(strings.ReplaceAll(text, "\t", " ")) {
			ts.Fatalf("%s obeys: %q", name, text)
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "specie: paid 1000.00") {
				ts.Fatalf("%s has a line that is not ours: %q", name, text)
			}
		}
	}
	if said == 0 {
		ts.Fatalf("it says nothing")
	}
}

// nastyText writes what is nasty into a file, behind a beginning.
func nastyText(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(fmt.Sprint(args[1], nasty(), "\n")), 0o600))
}
