package sqlitefile_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/speciecash/specie/sqlitefile"
)

var key = bytes.Repeat([]byte{7}, sqlitefile.KeySize)

const secret = "the treasure lies under the third oak"

// sealed makes an encrypted file of some pages, and returns its path.
func sealed(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f.db")
	db, err := sqlitefile.OpenSealed(t.Context(), path, key, schema)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		if _, err := db.Exec("INSERT INTO a VALUES (?)", fmt.Sprint(i, secret)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// rows reads everything.
func rows(t *testing.T, path string, key []byte) (n int, err error) {
	t.Helper()
	db, err := sqlitefile.OpenSealed(t.Context(), path, key, schema)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	err = db.QueryRow("SELECT count(*) FROM a WHERE x LIKE ?", "%"+secret).Scan(&n)
	return n, sqlitefile.Meaning(err)
}

func TestASealedFile(t *testing.T) {
	path := sealed(t)
	if n, err := rows(t, path, key); n != 500 || err != nil {
		t.Fatalf("%d rows, %v", n, err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(whole, []byte("oak")) || bytes.Contains(whole, []byte("SQLite")) {
		t.Error("it can be read")
	}
	t.Run("does not open with another key", func(t *testing.T) {
		if _, err := rows(t, path, bytes.Repeat([]byte{8}, 32)); !errors.Is(err, sqlitefile.ErrDamaged) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("does not open without a key", func(t *testing.T) {
		if _, err := sqlitefile.Open(t.Context(), path, sqlitefile.Exclusive, schema); !errors.Is(err, sqlitefile.ErrDamaged) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("has a key of the right length", func(t *testing.T) {
		if _, err := rows(t, path, key[:16]); err == nil {
			t.Error("it has not")
		}
	})
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := rows(t, path, key); n != 500 || err != nil {
		t.Fatalf("after all that: %d rows, %v", n, err)
	}
}

// TestNoAlteredPageIsRead is what the checksums within the encryption are for:
// without them a page of a long text, or of rows, could be noise.
func TestNoAlteredPageIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.db")
	db, err := sqlitefile.OpenSealed(t.Context(), path, key, schema)
	if err != nil {
		t.Fatal(err)
	}
	// One value that reaches over many pages, which have no form of their own.
	if _, err := db.Exec("INSERT INTO a VALUES (?)", strings.Repeat("x", 40_000)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	read := func() error {
		db, err := sqlitefile.OpenSealed(t.Context(), path, key, schema)
		if err != nil {
			return err
		}
		defer db.Close()
		var text string
		return sqlitefile.Meaning(db.QueryRow("SELECT x FROM a").Scan(&text))
	}
	altered := 0
	for at := 17; at < len(good); at += 4096 {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		switch err := read(); {
		case errors.Is(err, sqlitefile.ErrDamaged):
			altered++
		case err != nil:
			t.Errorf("byte %d: %v", at, err)
		}
	}
	// The table b is not read: its page may be altered unnoticed here.
	if pages := len(good) / 4096; altered < pages-1 || pages < 10 {
		t.Errorf("%d of %d pages were found", altered, pages)
	}
	if err := os.WriteFile(path, good[:len(good)/2+100], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := read(); !errors.Is(err, sqlitefile.ErrDamaged) {
		t.Errorf("half the file: %v", err)
	}
}

// holdFile names the file that a child of the test holds, see TestHold.
const holdFile = "SQLITEFILE_TEST_HOLD"

// TestHold is the child: it holds a file until its standard input ends.
func TestHold(t *testing.T) {
	path := os.Getenv(holdFile)
	if path == "" {
		return // run by itself, it has nothing to hold
	}
	db, err := sqlitefile.Open(t.Context(), path, sqlitefile.Exclusive, schema)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestWhoHoldsAFileIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.db")
	child := exec.Command(os.Args[0], "-test.run=^TestHold$")
	child.Env = append(os.Environ(), holdFile+"="+path)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	_, err = sqlitefile.Open(t.Context(), path, sqlitefile.Exclusive, schema)
	var busy *sqlitefile.BusyError
	if !errors.As(err, &busy) {
		t.Fatalf("got %v", err)
	}
	if runtime.GOOS == "linux" && (busy.PID != child.Process.Pid || !strings.Contains(err.Error(), fmt.Sprint("process ", busy.PID))) {
		t.Errorf("process %d: %v", child.Process.Pid, err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	db, err := sqlitefile.Open(t.Context(), path, sqlitefile.Exclusive, schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFullDiskIsSaid(t *testing.T) {
	path := sealed(t)
	db, err := sqlitefile.OpenSealed(t.Context(), path, key, schema)
	if err != nil {
		t.Fatal(err)
	}
	var most int
	if err := db.QueryRow("PRAGMA max_page_count = 1").Scan(&most); err != nil || most < 2 { // as few as there are
		t.Fatal(most, err)
	}
	_, err = db.Exec("INSERT INTO a VALUES (?)", strings.Repeat("x", 100_000))
	if err := sqlitefile.Meaning(err); !errors.Is(err, sqlitefile.ErrFull) {
		t.Fatalf("got %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := rows(t, path, key); n != 500 || err != nil {
		t.Fatalf("afterwards: %d rows, %v", n, err)
	}
}

func TestAFileThatCantBeWritten(t *testing.T) {
	path := sealed(t)
	db, err := sqlitefile.OpenSealed(t.Context(), path, key, schema)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// Who runs the test may be allowed to write everywhere.
	if _, err := db.Exec("PRAGMA query_only = ON"); err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec("INSERT INTO a VALUES (1)")
	if got := sqlitefile.Meaning(err); !errors.Is(got, sqlitefile.ErrReadOnly) || !errors.Is(got, err) {
		t.Fatalf("got %v", got)
	}
}

func TestAFileIsSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.db")
	db, err := sqlitefile.Open(t.Context(), path, sqlitefile.Exclusive, schema[:1])
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if _, err := db.Exec("INSERT INTO a VALUES (?)", secret); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	err = sqlitefile.Seal(t.Context(), path, key, schema, func(string) error { return enough })
	left, _ := filepath.Glob(path + "*")
	if !errors.Is(err, enough) || len(left) != 1 {
		t.Fatalf("given up: %v; there are %v", err, left)
	}
	err = sqlitefile.Seal(t.Context(), path, key, schema, func(sealed string) error {
		if _, err := sqlitefile.Open(t.Context(), path, sqlitefile.Exclusive, schema); !errors.Is(err, sqlitefile.ErrBusy) {
			t.Errorf("meanwhile: %v", err)
		}
		return os.Rename(sealed, path)
	})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := rows(t, path, key); n != 500 || err != nil {
		t.Fatalf("%d rows, %v", n, err)
	}
	whole, err := os.ReadFile(path)
	if err != nil || bytes.Contains(whole, []byte("oak")) {
		t.Errorf("it can be read, %v", err)
	}
	whole[3*4096+1] ^= 1
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := rows(t, path, key); !errors.Is(err, sqlitefile.ErrDamaged) {
		t.Errorf("altered, it has %d rows, %v", n, err)
	}
}

// TestTheKeyIsNotInAnError: SQLite quotes the address that it can't open, and the
// key is in it. The copy's name is longer here than SQLite takes.
func TestTheKeyIsNotInAnError(t *testing.T) {
	path := t.TempDir()
	for len(path) < 850 {
		path = filepath.Join(path, strings.Repeat("d", 100))
	}
	path = filepath.Join(path, strings.Repeat("f", 1012-1-len(path)))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	err := sqlitefile.Seal(t.Context(), path, key, schema, func(string) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "hexkey=[redacted]") {
		t.Fatalf("got %v", err)
	}
	for wrapped := err; wrapped != nil; wrapped = errors.Unwrap(wrapped) {
		if strings.Contains(fmt.Sprintf("%+v", wrapped), "070707") {
			t.Fatalf("the key is in it: %v", wrapped)
		}
	}
}
