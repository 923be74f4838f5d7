package postgres

import (
	"context"
	"os"
	"testing"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/ledgertest"
	"github.com/speciecash/specie/ledger/postgres/pgtest"
)

// cluster is the one that all tests share; each has a database of its own.
var cluster *pgtest.Cluster

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, &cluster)) }

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

func TestLedger(t *testing.T)      { ledgertest.Ledger(t, freshLedger) }
func BenchmarkLedger(b *testing.B) { ledgertest.BenchmarkLedger(b, freshLedger) }
