package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/ledgertest"
	"github.com/speciecash/specie/ledger/sqlite"
)

// openLedger opens the ledger at path and fails tb if it cannot.
func openLedger(tb testing.TB, path string) *sqlite.Ledger {
	tb.Helper()
	l, err := sqlite.OpenLedger(context.Background(), path, sqlite.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func freshLedger(tb testing.TB) func() ledger.Ledger {
	path := filepath.Join(tb.TempDir(), "ledger.db")
	return func() ledger.Ledger { return openLedger(tb, path) }
}

func freshRegister(tb testing.TB) func() ledger.Register {
	path := filepath.Join(tb.TempDir(), "register.db")
	return func() ledger.Register {
		r, err := sqlite.OpenRegister(context.Background(), path, sqlite.Options{})
		if err != nil {
			tb.Fatal(err)
		}
		return r
	}
}

func TestLedger(t *testing.T)      { ledgertest.Ledger(t, freshLedger) }
func TestRegister(t *testing.T)    { ledgertest.Register(t, freshRegister) }
func BenchmarkLedger(b *testing.B) { ledgertest.BenchmarkLedger(b, freshLedger) }
