package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/speciecash/specie/docstest"
)

// TestDocs runs every command of the pages in its order, on SoftHSM tokens made
// from scratch: docs/ceremonies.md from an empty room to the last audit,
// docs/supervision.md from a double spend to the last look at the register.
func TestDocs(t *testing.T) {
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, "../specied").CombinedOutput(); err != nil {
		t.Fatalf("specied: %v\n%s", err, out)
	}
	for _, page := range []struct{ path, prelude string }{
		{"docs/ceremonies.md", ""},
		{"docs/supervision.md", supervisionPrelude},
	} {
		t.Run(filepath.Base(page.path), func(t *testing.T) {
			text := "exec sh -eux docs.sh\n! stdout '^ +fails '\n-- docs.sh --\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" +
				page.prelude + docstest.Read(t, page.path).Shell()
			script := filepath.Join(t.TempDir(), "docs.txtar")
			if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			testscript.Run(t, testscript.Params{Files: []string{script}, RequireExplicitExec: true, Setup: func(env *testscript.Env) error {
				env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
				return examplePlans(env)
			}})
		})
	}
}

// supervisionPrelude founds a bank and a group and makes the double spend. The
// daemons do not run here (the demo runs them): each command of specied's is
// given to the real program, which must take it and find nobody listening, and
// is then done by testkit with the real packages and the manager's token.
const supervisionPrelude = `
cd ceremonies
sh ../room/found.sh
testkit double-spend
mkdir bank && mv case.json bank/
GROUP=http://127.0.0.1:1
specied() {
	if command specied "$@" 2>refusal; then echo "specied $1 was done by nobody" >&2; return 1; fi
	grep -q 'no answer from' refusal || { cat refusal >&2; return 1; }
	testkit specied "$@"
}
`
