package issuer_test

import (
	"errors"
	"os"
	"testing"

	"github.com/speciecash/specie/issuer/issuertest"
)

func TestMain(m *testing.M) { os.Exit(issuertest.Main(m)) }

// expect fails unless err is want, nil included.
func expect(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}
