package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/ledgertest"
)

// BenchmarkGrowth takes minutes and some gigabytes of disk.
func BenchmarkGrowth(b *testing.B) {
	var path string
	fresh := func(tb testing.TB) func() ledger.Ledger {
		path = filepath.Join(tb.TempDir(), "ledger.db")
		return func() ledger.Ledger { return openLedger(tb, path) }
	}
	// What the file takes once the WAL is folded into it.
	size := func(tb testing.TB) (bytes int64) {
		db, err := sql.Open("sqlite", path) // the same library: it knows of the locks that are held
		if err == nil {
			err = db.QueryRow("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").Scan(&bytes)
			_ = db.Close()
		}
		if err != nil {
			tb.Fatal(err)
		}
		return bytes
	}
	ledgertest.BenchmarkGrowth(b, fresh, size, 10_000, 1_000_000, 5_000_000)
}
