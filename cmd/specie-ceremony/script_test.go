package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

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
		Setup:               shortPlans,
	})
}

// shortPlans gives a script the examples with three keys in place of thirteen in
// a series: to make a key takes the token a while, and rehearsing it as long
// again. TestDocs runs them as they stand.
func shortPlans(env *testscript.Env) error {
	if err := examplePlans(env); err != nil {
		return err
	}
	for _, name := range []string{"04-keyset-1.yaml", "08-rotate.yaml"} {
		path := filepath.Join(env.WorkDir, "ceremonies", name)
		plan, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		short := bytes.Replace(plan, []byte("[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]"), []byte("[1, 2, 4096]"), 1)
		if bytes.Equal(short, plan) {
			return fmt.Errorf("%s has another series than it had", name)
		}
		if err := os.WriteFile(path, short, 0o600); err != nil {
			return err
		}
	}
	return nil
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
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), asOfToday(b), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// written is the day on which the example plans were written.
var written = time.Date(2026, time.November, 21, 0, 0, 0, 0, time.UTC)

var instant = regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// asOfToday moves a plan's instants by as many days as have passed since it was
// written: keys that issue "now" go on doing so.
func asOfToday(plan []byte) []byte {
	days := int(time.Since(written) / (24 * time.Hour))
	return instant.ReplaceAllFunc(plan, func(text []byte) []byte {
		at, err := time.Parse(time.RFC3339, string(text))
		if err != nil {
			return text
		}
		return at.AddDate(0, 0, days).AppendFormat(nil, time.RFC3339)
	})
}
