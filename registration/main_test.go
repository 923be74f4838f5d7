package registration_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/speciecash/specie/ledger/sqlite"
	"github.com/speciecash/specie/registration/registrationtest"
)

// bench is the TPMs of all tests.
var bench *registrationtest.Lab

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "registration")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bench = registrationtest.NewLab(dir)
	code := m.Run()
	if err := bench.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func closedRegister(t *testing.T) *sqlite.Register {
	t.Helper()
	r := registrationtest.EmptyRegister(t)
	must(t, r.Close())
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}
