package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/cli/clitest"
)

func TestConforms(t *testing.T) {
	clitest.Conforms(t, clitest.Subject{
		New:       func() *cli.Program { return program(time.Now) },
		Reference: filepath.Join("..", "..", "docs", "cli.md"), Package: "./cmd/specie",
	})
}
