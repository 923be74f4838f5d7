package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestDocs runs every command of docs/ceremonies.md in its order, from an
// empty room to the last audit, on SoftHSM tokens made from scratch.
func TestDocs(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "ceremonies.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := shellBlocks(string(doc))
	if len(blocks) < 10 {
		t.Fatalf("%d blocks of commands in docs/ceremonies.md", len(blocks))
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, "../specied").CombinedOutput(); err != nil {
		t.Fatalf("specied: %v\n%s", err, out)
	}
	script := filepath.Join(t.TempDir(), "docs.txtar")
	text := "exec sh -eux docs.sh\n! stdout '^ +fails '\n-- docs.sh --\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + strings.Join(blocks, "\n")
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Files: []string{script}, RequireExplicitExec: true, Setup: func(env *testscript.Env) error {
		env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
		return examplePlans(env)
	}})
}

// shellBlocks are the texts of the ```sh blocks of a Markdown page.
func shellBlocks(page string) []string {
	var out []string
	for {
		_, rest, found := strings.Cut(page, "\n```sh\n")
		if !found {
			return out
		}
		block, after, _ := strings.Cut(rest, "\n```")
		out, page = append(out, block+"\n"), after
	}
}
