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

// examplePlans gives a script the directory ceremonies/ with the examples, and
// room/ with what founds a bank and a group in one go.
func examplePlans(env *testscript.Env) error {
	env.Setenv("SOFTHSM2_CONF", filepath.Join(env.WorkDir, "hsm", "softhsm2.conf"))
	for dir, pattern := range map[string]string{
		"ceremonies": filepath.Join("..", "..", "ceremonies", "*.yaml"),
		"room":       filepath.Join("testdata", "room", "*"),
	} {
		if err := copyFiles(pattern, filepath.Join(env.WorkDir, dir)); err != nil {
			return err
		}
	}
	return nil
}

func copyFiles(pattern, dir string) error {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}
