package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/speciecash/specie/docstest"
)

// TestDocs runs the pages for holders and merchants, each in a town as the
// scripts have it. Where they say make, it tells what it would do: that is what
// TestDemo and the tests themselves do.
func TestDocs(t *testing.T) {
	shim := t.TempDir()
	tree, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	dry := "#!/bin/sh\nexec /usr/bin/make -n -C " + tree + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(shim, "make"), []byte(dry), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", shim+string(filepath.ListSeparator)+os.Getenv("PATH"))
	var files []string
	for _, page := range []string{"README.md", "CONTRIBUTING.md", "docs/enrolment.md"} {
		files = append(files, docstest.Read(t, page).Save(t))
	}
	runScripts(t, testscript.Params{Files: files})
}
