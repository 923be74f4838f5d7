// Package sqlitefile owns how Specie opens a small SQLite file: durable
// settings, file mode, encryption, schema versions, and the ways in which that
// goes wrong.
//
// # Encryption
//
// A file that is opened with a key ([OpenSealed]) is encrypted page by page, and
// so are the files that SQLite keeps beside it (Adiantum, a wide-block cipher:
// each bit of a page of 4 KiB depends on each other one). Within the encryption
// each page has a checksum of 64 bits. A page that was altered by somebody who
// has not the key decrypts to noise, which has the right checksum with a chance
// of 2^-64: it is ErrDamaged. A page, or a whole file, that is put back to what
// it was is not noticed. docs/decisions/0013-the-purse-at-rest.md argues this.
//
// # Errors
//
// [ErrBusy], [ErrNewer], [ErrDamaged], [ErrFull] and [ErrReadOnly], matched with errors.Is.
// Open returns them; what the DB returns later is classified by [Meaning].
//
// # Concurrency
//
// A file has one connection per process: callers of the returned DB take
// turns. Processes that share a file wait for each other's transactions.
//
// The package knows no table and imports nothing of Specie.
package sqlitefile

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	_ "github.com/ncruces/go-sqlite3/vfs/adiantum" // registers the encryption
)

var (
	// ErrBusy: another process holds the file; it is a *BusyError.
	ErrBusy = errors.New("another process is using this file")
	// ErrNewer: the file was written by a newer version of the program.
	ErrNewer = errors.New("written by a newer version of this program")
	// ErrDamaged: the file is no database, or a damaged one.
	ErrDamaged = errors.New("the file is damaged or not a database")
	// ErrFull: the disk is full, or a limit on files is reached. The transaction
	// was not carried out, and what is in the file is as it was.
	ErrFull = errors.New("the disk is full")
	// ErrReadOnly: the file or its directory can't be written.
	ErrReadOnly = errors.New("this file can't be written")
)

// KeySize is the length of a key in bytes.
const KeySize = 32

// Mode says whether several processes may have the file open.
type Mode int

// The modes.
const (
	// Exclusive takes the file for this process alone until it is closed.
	Exclusive Mode = iota
	// Shared lets processes take turns, transaction by transaction.
	Shared
)

// BusyError is ErrBusy with who holds the file, where that can be found out.
type BusyError struct {
	// PID and Program are the other process; 0 and "" if it is not known.
	PID     int
	Program string
	cause   error
}

// Error implements error.
func (e *BusyError) Error() string {
	if e.PID == 0 {
		return ErrBusy.Error()
	}
	return fmt.Sprintf("%v: %s, process %d", ErrBusy, e.Program, e.PID)
}

// Is matches ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// Unwrap returns SQLite's error.
func (e *BusyError) Unwrap() error { return e.cause }

func (m Mode) pragmas() []string {
	first := []string{"busy_timeout = 250", "locking_mode = EXCLUSIVE"}
	if m == Shared {
		first = []string{"busy_timeout = 5000"}
	}
	return append(first, "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")
}

// Open opens or creates the file with mode 0600 and brings its schema up to
// the last of migrations (migration i takes user_version i to i+1, in one
// transaction). Every commit is synced to disk before it returns.
func Open(ctx context.Context, path string, mode Mode, migrations []string) (*sql.DB, error) {
	return open(ctx, path, mode, nil, migrations)
}

// OpenSealed is Open in mode Exclusive of a file that is encrypted under a key of
// KeySize bytes. With another key than the file's it is ErrDamaged: whoever keeps
// the key has to know that it is the right one.
func OpenSealed(ctx context.Context, path string, key []byte, migrations []string) (*sql.DB, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("open %s: a key of %d bytes", path, len(key))
	}
	return open(ctx, path, Exclusive, key, migrations)
}

func open(ctx context.Context, path string, mode Mode, key []byte, migrations []string) (*sql.DB, error) {
	files := []string{path}
	if mode == Shared {
		files = append(files, path+"-shm")
	}
	for _, file := range files {
		if err := touch(file); err != nil {
			return nil, fmt.Errorf("open %s: %w", path, full(err))
		}
	}
	to, err := (&driver.SQLite{}).OpenConnector(address(path, len(key) > 0))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db := sql.OpenDB(connector{to, func(c *sqlite3.Conn) error { return prepare(c, mode, key) }})
	db.SetMaxOpenConns(1)
	if err := migrate(ctx, db, migrations); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, heldBy(path, Meaning(err))), db.Close())
	}
	return db, nil
}

// prepare sets a connection up. The key comes first; a new encrypted file gets
// its checksums before it has a page.
func prepare(c *sqlite3.Conn, mode Mode, key []byte) error {
	if len(key) > 0 {
		if err := c.Exec("PRAGMA hexkey = '" + hex.EncodeToString(key) + "'"); err != nil {
			return err
		}
	}
	pragmas := mode.pragmas()
	for i, p := range pragmas {
		if i == len(pragmas)-3 && len(key) > 0 {
			if err := checksums(c); err != nil {
				return err
			}
		}
		if err := c.Exec("PRAGMA " + p); err != nil {
			return err
		}
	}
	return nil
}

// checksums gives a new file checksums, and demands them of any other.
func checksums(c *sqlite3.Conn) error {
	s, _, err := c.Prepare("PRAGMA page_count")
	if err != nil {
		return err
	}
	defer s.Close()
	pages := 0
	if s.Step() {
		pages = s.ColumnInt(0)
	}
	if err := s.Close(); err != nil {
		return err
	}
	if pages == 0 {
		return c.EnableChecksums("")
	}
	reserved, err := c.FileControl("", sqlite3.FCNTL_RESERVE_BYTES)
	if n, ok := reserved.(int); err == nil && (!ok || n != 8) {
		err = fmt.Errorf("%w: its pages have no checksums", ErrDamaged)
	}
	return err
}

// touch creates the file, or takes its mode back to 0600 where somebody
// restored it from a copy with a looser one: the mode is ours and not the
// umask's, and SQLite gives the files beside it the same.
//
// A file that is there is not opened: closing the descriptor would drop the
// POSIX locks of whoever has it open in this process.
func touch(path string) error {
	fi, err := os.Stat(path)
	if err == nil {
		if fi.Mode().Perm()&0o077 == 0 {
			return nil
		}
		return os.Chmod(path, 0o600)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // another process was faster
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// address is the path as SQLite's URI. It is escaped: in a path as it stands,
// "?", "#" and "%" would make SQLite open another file than touch did.
//
// The files beside it take its mode (SQLite's own code does that, this build of
// it only if it is told).
func address(path string, sealed bool) string {
	q := url.Values{"_txlock": {"immediate"}, "modeof": {path}}
	if sealed {
		q.Set("vfs", "adiantum")
	}
	// SQLite's URIs know no "+" for a space.
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}

func migrate(ctx context.Context, db *sql.DB, migrations []string) error {
	// A write transaction even when there is nothing to migrate: it takes the
	// exclusive lock now, not at the first payment. Nothing is written then, so
	// that a file can be read on a full disk.
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return fmt.Errorf("%w: schema %d, this program knows %d", ErrNewer, version, len(migrations))
	}
	if version == len(migrations) {
		return tx.Commit()
	}
	for _, m := range migrations[version:] {
		if _, err := tx.ExecContext(ctx, m); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(migrations))); err != nil {
		return err
	}
	return tx.Commit()
}

// Meaning puts this package's error in front of SQLite's code, wherever in err it
// is. Other errors, and nil, pass unchanged.
func Meaning(err error) error {
	var code sqlite3.ExtendedErrorCode
	if !errors.As(err, &code) || errors.Is(err, ErrBusy) || errors.Is(err, ErrDamaged) || errors.Is(err, ErrFull) {
		return full(err)
	}
	switch code {
	case sqlite3.IOERR_DATA, sqlite3.IOERR_CORRUPTFS, sqlite3.IOERR_SHORT_READ:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	switch code.Code() {
	case sqlite3.BUSY, sqlite3.LOCKED:
		return &BusyError{cause: err}
	case sqlite3.NOTADB, sqlite3.CORRUPT:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case sqlite3.READONLY:
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case sqlite3.FULL:
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return full(err)
}

// full finds what the operating system says of a disk without room.
func full(err error) error {
	if !errors.Is(err, ErrFull) && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EFBIG) || errors.Is(err, syscall.EDQUOT)) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
