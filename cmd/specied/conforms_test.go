package main

import (
	"path/filepath"
	"testing"

	"github.com/speciecash/specie/cli/clitest"
)

func TestConforms(t *testing.T) {
	clitest.Conforms(t, clitest.Subject{
		New:       program,
		Reference: filepath.Join("..", "..", "docs", "cli.md"), Package: "./cmd/specied",
		Silent: map[string]string{
			"issuer": "it serves until it is stopped; its words are its log",
			"group":  "likewise",
			"signer": "likewise",
		},
	})
}
