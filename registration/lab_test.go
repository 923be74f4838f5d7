package registration_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/speciecash/specie/tpm/swtpm"
)

// lab holds the emulated TPMs of all tests: manufacturing one takes a second,
// and a TPM is new to each test's manager.
type lab struct {
	dir       string
	ca        func() (*swtpm.CA, error)
	emulators []func() (*swtpm.Emulator, error)
}

// The TPMs of the lab. Stranger's maker is another one.
const (
	tpmA = iota
	tpmB
	stranger
)

var bench lab

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "registration")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bench.dir = dir
	authority := func(name string) func() (*swtpm.CA, error) {
		return sync.OnceValues(func() (*swtpm.CA, error) {
			path := filepath.Join(dir, name)
			return swtpm.NewCA(context.Background(), path)
		})
	}
	bench.ca = authority("ca")
	var started []*swtpm.Emulator
	for i, ca := range []func() (*swtpm.CA, error){tpmA: bench.ca, tpmB: bench.ca, stranger: authority("other")} {
		bench.emulators = append(bench.emulators, sync.OnceValues(func() (*swtpm.Emulator, error) {
			maker, err := ca()
			if err != nil {
				return nil, err
			}
			path := filepath.Join(dir, fmt.Sprint("tpm", i))
			e, err := swtpm.Start(context.Background(), path, maker)
			if err == nil {
				started = append(started, e)
			}
			return e, err
		}))
	}
	code := m.Run()
	var errs []error
	for _, e := range started {
		errs = append(errs, e.Close())
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
