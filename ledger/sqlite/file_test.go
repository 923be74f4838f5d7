package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/sqlite"
)

// raw runs statements on a file that no store has open.
func raw(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestForeignFilesAreRefusedUntouched(t *testing.T) {
	ctx := context.Background()
	openL := func(path string) (interface{ Close() error }, error) {
		return sqlite.OpenLedger(ctx, path, sqlite.Options{})
	}
	openR := func(path string) (interface{ Close() error }, error) {
		return sqlite.OpenRegister(ctx, path, sqlite.Options{})
	}
	cases := []struct {
		name string
		make func(t *testing.T, path string)
		open func(string) (interface{ Close() error }, error)
	}{
		{"a ledger of a newer version", func(t *testing.T, path string) {
			must(t, openLedger(t, path).Close())
			raw(t, path, "PRAGMA user_version=3")
		}, openL},
		{"a register of a newer version", func(t *testing.T, path string) {
			r, err := openR(path)
			must(t, err)
			must(t, r.Close())
			raw(t, path, "PRAGMA user_version=4")
		}, openR},
		{"a ledger, as a register", func(t *testing.T, path string) { must(t, openLedger(t, path).Close()) }, openR},
		{"a register, as a ledger", func(t *testing.T, path string) {
			r, err := openR(path)
			must(t, err)
			must(t, r.Close())
		}, openL},
		{"a ledger without a version", func(t *testing.T, path string) {
			must(t, openLedger(t, path).Close())
			raw(t, path, "PRAGMA user_version=0")
		}, openL},
		{"another program's database", func(t *testing.T, path string) { raw(t, path, "CREATE TABLE t (x)") }, openL},
		{"a text file", func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte(strings.Repeat("not a database\n", 1000)), 0o644))
		}, openL},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.db")
			c.make(t, path)
			before, err := os.ReadFile(path)
			must(t, err)
			store, err := c.open(path)
			if !errors.Is(err, ledger.ErrSchema) {
				t.Fatalf("got %v, %v", store, err)
			}
			after, err := os.ReadFile(path)
			must(t, err)
			if !bytes.Equal(before, after) {
				t.Fatal("the file was written to")
			}
		})
	}
}

func TestOpenFailures(t *testing.T) {
	ctx := context.Background()
	if _, err := sqlite.OpenLedger(ctx, filepath.Join(t.TempDir(), "no", "such", "dir"), sqlite.Options{}); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("a missing directory gave %v", err)
	}
	if _, err := sqlite.OpenLedger(ctx, filepath.Join(t.TempDir(), "x"), sqlite.Options{Lane: "Bad Lane"}); !errors.Is(err, ledger.ErrMalformed) {
		t.Errorf("a bad lane gave %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := sqlite.OpenLedger(ended, filepath.Join(t.TempDir(), "x"), sqlite.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context gave %v", err)
	}
}

// TestPaths: SQLite reads the name as a URI; no path may turn into
// parameters, and all files are their owner's only.
func TestPaths(t *testing.T) {
	for _, name := range []string{"ledger.db", "a b", "q?mode=memory", "h#x", "p%41", "ä&_pragma=synchronous(OFF)"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := openLedger(t, filepath.Join(dir, name))
			must(t, l.OpenEpoch(context.Background(), "k1"))
			var found []string
			must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				info, err := d.Info()
				if err == nil && info.Mode().Perm() != 0o600 {
					t.Errorf("%s has mode %v", d.Name(), info.Mode())
				}
				found = append(found, d.Name())
				return err
			}))
			if strings.Join(found, " ") != name+" "+name+"-shm "+name+"-wal" {
				t.Errorf("files are %q", found)
			}
			must(t, l.Close())
		})
	}
}

// TestTwoProcesses stands for two processes by two stores on one file, in two
// lanes and in one: they share nothing but the file.
func TestTwoProcesses(t *testing.T) {
	ctx := context.Background()
	for _, lanes := range [][2]string{{"a", "b"}, {"main", "main"}} {
		t.Run(lanes[0]+" and "+lanes[1], func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger.db")
			var stores [2]*sqlite.Ledger
			for i := range stores {
				l, err := sqlite.OpenLedger(ctx, path, sqlite.Options{Lane: lanes[i]})
				must(t, err)
				defer l.Close()
				stores[i] = l
			}
			must(t, stores[0].OpenEpoch(ctx, "k1"))
			const n = 100
			results := make(chan ledger.Status, 2*n)
			for i := range 2 * n {
				go func() {
					// Each coin is spent twice, by ops of different stores.
					out, err := stores[i%2].Apply(ctx, numbered(i, i/2))
					if err != nil {
						t.Error(err)
					}
					results <- out.Status
				}()
			}
			count := map[ledger.Status]int{}
			for range 2 * n {
				count[<-results]++
			}
			if count[ledger.Applied] != n || count[ledger.Conflict] != n {
				t.Fatalf("outcomes are %v", count)
			}
			// One may have won every race: let each have the last word once.
			for i, l := range stores {
				_, err := l.Apply(ctx, numbered(1000+i, 1000+i))
				must(t, err)
			}
			audit, err := stores[1].Verify(ctx, ledger.Verification{})
			must(t, err)
			if audit.Ops != n+2 || len(audit.Heads) != map[bool]int{true: 1, false: 2}[lanes[0] == lanes[1]] {
				t.Fatalf("%d ops, heads %v", audit.Ops, audit.Heads)
			}
		})
	}
}
