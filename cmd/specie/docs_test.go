package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/speciecash/specie/docstest"
)

// TestDocs runs the pages for holders and merchants, each in a town as the
// scripts have it.
func TestDocs(t *testing.T) {
	var files []string
	for _, page := range []string{"docs/holder.md", "docs/troubles.md", "docs/enrolment.md", "docs/merchant.md", "docs/webshop.md"} {
		files = append(files, docstest.Read(t, page).Save(t))
	}
	runScripts(t, testscript.Params{Files: files})
}
