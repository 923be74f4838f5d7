package sqlitefile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/speciecash/specie/sqlitefile"
)

var schema = []string{"CREATE TABLE a (x INTEGER)", "CREATE TABLE b (y INTEGER)"}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.db")
	db, err := sqlitefile.Open(t.Context(), path, sqlitefile.Exclusive, schema[:1])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO a VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", fi.Mode(), err)
	}
	t.Run("a second opener is told that it is busy", func(t *testing.T) {
		if _, err := sqlitefile.Open(t.Context(), path, sqlitefile.Exclusive, schema[:1]); !errors.Is(err, sqlitefile.ErrBusy) {
			t.Fatalf("got %v", err)
		}
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	t.Run("a later version migrates and keeps the rows", func(t *testing.T) {
		db, err := sqlitefile.Open(t.Context(), path, sqlitefile.Exclusive, schema)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var n int
		if err := db.QueryRow("SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)").Scan(&n); err != nil || n != 1 {
			t.Fatalf("%d rows, %v", n, err)
		}
	})
	t.Run("an earlier version refuses", func(t *testing.T) {
		if _, err := sqlitefile.Open(t.Context(), path, sqlitefile.Exclusive, schema[:1]); !errors.Is(err, sqlitefile.ErrNewer) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestOpenRefusesWhatIsNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.db")
	if err := os.WriteFile(path, []byte("this is a shopping list, and a long one at that: bread, milk, honey"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlitefile.Open(t.Context(), path, sqlitefile.Exclusive, schema); !errors.Is(err, sqlitefile.ErrDamaged) {
		t.Fatalf("got %v", err)
	}
}

func TestASharedFileTakesTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.db")
	for range 2 {
		db, err := sqlitefile.Open(t.Context(), path, sqlitefile.Shared, schema)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec("INSERT INTO a VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := db.QueryRow("SELECT count(*) FROM a").Scan(&n); err != nil || n == 0 {
			t.Fatalf("%d rows, %v", n, err)
		}
	}
}

func TestThePathIsTakenAsItStands(t *testing.T) {
	for _, name := range []string{"a?b.db", "a#b.db", "a%41b.db", "a b.db", "ä;&=:b.db", "a+b.db"} {
		dir := t.TempDir()
		db, err := sqlitefile.Open(t.Context(), filepath.Join(dir, name), sqlitefile.Shared, schema)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if _, err := db.Exec("INSERT INTO a VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != 1 || entries[0].Name() != name {
			t.Errorf("%q became %v", name, entries)
		}
		if fi, err := os.Stat(filepath.Join(dir, name)); err != nil || fi.Size() == 0 {
			t.Errorf("%q is empty: SQLite wrote elsewhere", name)
		}
	}
}

func TestARelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	db, err := sqlitefile.Open(t.Context(), "f.db", sqlitefile.Exclusive, schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat("f.db"); err != nil || fi.Size() == 0 {
		t.Fatalf("%v, %v", fi, err)
	}
}

func TestALooseModeIsTakenBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	db, err := sqlitefile.Open(t.Context(), path, sqlitefile.Shared, schema)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("INSERT INTO a VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		fi, err := os.Stat(path + suffix)
		if err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", suffix, fi.Mode(), err)
		}
	}
}

// TestNoBytesAreNULL: "UPDATE … coalesce(?, x)" leaves x alone then.
func TestNoBytesAreNULL(t *testing.T) {
	db, err := sqlitefile.Open(t.Context(), filepath.Join(t.TempDir(), "f.db"), sqlitefile.Shared, schema)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	type named []byte
	for _, tt := range []struct {
		value any
		want  string
	}{{[]byte(nil), "null"}, {named(nil), "null"}, {nil, "null"}, {[]byte{}, "blob"}, {[]byte{1}, "blob"}, {"", "text"}} {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := tx.QueryRow("SELECT typeof(?)", tt.value).Scan(&got); err != nil || got != tt.want {
			t.Errorf("%T %v is %q, %v", tt.value, tt.value, got, err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}
