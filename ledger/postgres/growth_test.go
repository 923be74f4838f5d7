package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/ledgertest"
)

// BenchmarkGrowth takes minutes and some gigabytes of disk.
func BenchmarkGrowth(b *testing.B) {
	var url string
	fresh := func(tb testing.TB) func() ledger.Ledger {
		url = cluster.Database(tb)
		return func() ledger.Ledger { return open(tb, url, Options{}) }
	}
	// Tables with their indexes; the server's own WAL is not the bank's to keep.
	size := func(tb testing.TB) (bytes int64) {
		conn, err := pgx.Connect(tb.Context(), url)
		if err == nil {
			err = conn.QueryRow(tb.Context(), `SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
				JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relkind = 'r'`).Scan(&bytes)
			_ = conn.Close(tb.Context())
		}
		if err != nil {
			tb.Fatal(err)
		}
		return bytes
	}
	ledgertest.BenchmarkGrowth(b, fresh, size, 10_000, 1_000_000, 5_000_000)
}
