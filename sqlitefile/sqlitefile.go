// Package sqlitefile owns how Specie opens a small SQLite file: durable
// settings, file mode, schema versions, and the three ways in which opening
// goes wrong.
//
// # Errors
//
// [ErrBusy], [ErrNewer] and [ErrDamaged], matched with errors.Is.
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
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	// ErrBusy: another process holds the file.
	ErrBusy = errors.New("another process is using this file")
	// ErrNewer: the file was written by a newer version of the program.
	ErrNewer = errors.New("written by a newer version of this program")
	// ErrDamaged: the file is no database, or a damaged one.
	ErrDamaged = errors.New("the file is damaged or not a database")
)

// Mode says whether several processes may have the file open.
type Mode int

// The modes.
const (
	// Exclusive takes the file for this process alone until it is closed.
	Exclusive Mode = iota
	// Shared lets processes take turns, transaction by transaction.
	Shared
)

func (m Mode) pragmas() []string {
	common := []string{"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)"}
	if m == Shared {
		return append([]string{"busy_timeout(5000)"}, common...)
	}
	return append([]string{"busy_timeout(250)", "locking_mode(EXCLUSIVE)"}, common...)
}

// Open opens or creates the file with mode 0600 and brings its schema up to
// the last of migrations (migration i takes user_version i to i+1, in one
// transaction). Every commit is synced to disk before it returns.
func Open(ctx context.Context, path string, mode Mode, migrations []string) (*sql.DB, error) {
	if err := touch(path); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db, err := sql.Open("sqlite", address(path, mode))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	if err := migrate(ctx, db, migrations); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, classify(err)), db.Close())
	}
	return db, nil
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
func address(path string, mode Mode) string {
	q := url.Values{"_pragma": mode.pragmas(), "_txlock": {"immediate"}}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func migrate(ctx context.Context, db *sql.DB, migrations []string) error {
	// A write transaction even when there is nothing to migrate: it takes the
	// exclusive lock now, not at the first payment.
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

// classify turns SQLite's codes into this package's errors.
func classify(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}
