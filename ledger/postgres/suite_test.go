package postgres

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/ledgertest"
	"github.com/speciecash/specie/ledger/postgres/pgtest"
	"github.com/speciecash/specie/ledger/sqlite"
)

// cluster is the one that all tests share; each has a database of its own.
var cluster *pgtest.Cluster

func TestMain(m *testing.M) {
	// A fifth of what is usual, unless asked otherwise: each run makes a schema.
	if err := flag.Set("rapid.checks", "20"); err != nil {
		panic(err)
	}
	os.Exit(pgtest.Main(m, &cluster))
}

// open opens the ledger at url and fails tb if it cannot.
func open(tb testing.TB, url string, opts Options) *Ledger {
	tb.Helper()
	l, err := OpenLedger(context.Background(), url, opts)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func freshLedger(tb testing.TB) func() ledger.Ledger {
	url := cluster.Database(tb)
	return func() ledger.Ledger { return open(tb, url, Options{}) }
}

func TestLedger(t *testing.T) { ledgertest.Ledger(t, freshLedger) }

// TestTransfer: a bank grows from a file into a cluster, or comes home.
func TestTransfer(t *testing.T) {
	file := func(tb testing.TB) func() ledger.Ledger {
		path := filepath.Join(tb.TempDir(), "ledger.db")
		return func() ledger.Ledger {
			l, err := sqlite.OpenLedger(context.Background(), path, sqlite.Options{})
			must(tb, err)
			return l
		}
	}
	t.Run("from SQLite to PostgreSQL", func(t *testing.T) { ledgertest.Transfer(t, file, freshLedger) })
	t.Run("from PostgreSQL to SQLite", func(t *testing.T) { ledgertest.Transfer(t, freshLedger, file) })
}

func BenchmarkLedger(b *testing.B) { ledgertest.BenchmarkLedger(b, freshLedger) }
