package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/speciecash/specie/issuer/issuertest"
)

// workshop holds the programs that tests run. Each is linked once a run: that
// takes seconds of the processor.
var workshop struct {
	sync.Mutex
	dir string
}

// lent names the directory to a process that this one waits for, see alone.
const lent = "SPECIED_TEST_PROGRAMS"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	if workshop.dir = os.Getenv(lent); workshop.dir != "" {
		return issuertest.Main(m)
	}
	defer func() {
		if err := os.RemoveAll(workshop.dir); err != nil {
			code = 1
		}
	}()
	return issuertest.Main(m)
}

// build returns the path of a program of cmd/, built with flags. All that were
// built with the same flags are in one directory.
func build(t testing.TB, name string, flags ...string) string {
	t.Helper()
	workshop.Lock()
	defer workshop.Unlock()
	if workshop.dir == "" {
		workshop.dir = must(os.MkdirTemp("", "specied-programs"))(t)
	}
	bin := filepath.Join(workshop.dir, "built"+strings.Join(flags, ""), name)
	if _, err := os.Stat(bin); !errors.Is(err, os.ErrNotExist) {
		check(t, err)
		return bin
	}
	args := slices.Concat([]string{"build", "-o", bin + ".new"}, flags, []string{"../" + name})
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	check(t, os.Rename(bin+".new", bin))
	return bin
}

// buildSpecied builds the program as it is shipped: a race detector's memory
// can't be looked through.
func buildSpecied(t testing.TB) string {
	t.Helper()
	return build(t, "specied")
}

// buildTagged builds a program with its points.
func buildTagged(t testing.TB, name string) string {
	t.Helper()
	return build(t, name, "-tags=faultpoints")
}
