package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// typed is what a person types in docs/enrolment.md.
const typed = `
-- enrol.typed --
blue sky
blue sky
-- pin.typed --
blue sky
-- pin --
blue sky
-- change.typed --
blue sky
green sky
green sky
-- again.typed.pin --
red sky
red sky
`

// TestDocs runs every block of commands of docs/enrolment.md, in a town as the
// scripts have it. What happens between them stands in comments of the page,
// which its readers don't see: <!-- test: COMMAND -->.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "enrolment.md"))
	if err != nil {
		t.Fatal(err)
	}
	var script, files strings.Builder
	block, blocks := false, 0
	for line := range strings.Lines(string(page)) {
		command, isTest := strings.CutPrefix(line, "<!-- test: ")
		switch {
		case isTest && strings.HasPrefix(command, "readmit "):
			// The code and the new PIN are typed one after the other.
			fmt.Fprintf(&script, "%s\nexec sh -c 'cat code again.typed.pin >again.typed'\n", strings.TrimSuffix(command, " -->\n"))
		case isTest:
			fmt.Fprintf(&script, "%s\n", strings.TrimSuffix(command, " -->\n"))
		case line == "```sh\n":
			block = true
			blocks++
			fmt.Fprintf(&script, "exec sh -eux block%d.sh\n", blocks)
			fmt.Fprintf(&files, "-- block%d.sh --\n", blocks)
		case line == "```\n":
			block = false
		case block:
			files.WriteString(line)
		}
	}
	if blocks < 7 {
		t.Fatalf("%d blocks of commands", blocks)
	}
	file := filepath.Join(t.TempDir(), "enrolment.txtar")
	script.WriteString("exec specie coins\nstdout 'TPM gone: recover'\nexec specie group\nstdout 'before that +1 earlier'\n")
	if err := os.WriteFile(file, []byte(script.String()+typed+files.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	runScripts(t, testscript.Params{Files: []string{file}})
}
