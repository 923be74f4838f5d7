package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run this program and testkit as commands of their own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"specie-ceremony": main, "testkit": testkit})
}

// TestScripts runs testdata/script: the manual of the command. Every script
// has a directory with the example plans in ceremonies/ and, once it has run
// "testkit tokens", SoftHSM tokens of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               examplePlans,
	})
}

// examplePlans gives a script the directory ceremonies/ with the examples.
func examplePlans(env *testscript.Env) error {
	env.Setenv("SOFTHSM2_CONF", filepath.Join(env.WorkDir, "hsm", "softhsm2.conf"))
	plans, err := filepath.Glob(filepath.Join("..", "..", "ceremonies", "*.yaml"))
	if err != nil {
		return err
	}
	dir := filepath.Join(env.WorkDir, "ceremonies")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, plan := range plans {
		b, err := os.ReadFile(plan)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(plan)), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}
