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
)

// sealedSuffix is what the name of an encrypted copy ends with, while it is made.
const sealedSuffix = ".sealed"

// Seal makes an encrypted copy of a file that is not, and has commit put it where
// it belongs. Meanwhile nobody else has the file, which is folded into one and, but
// for its migrations, as it was. The copy has a name of its own, is whole, and on the
// disk for good; it is removed unless commit has renamed it.
func Seal(ctx context.Context, path string, key []byte, migrations []string, commit func(sealed string) error) (err error) {
	db, err := Open(ctx, path, Exclusive, migrations)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, "PRAGMA journal_mode = DELETE"); err != nil {
		return Meaning(err)
	}
	to := path + sealedSuffix
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // what a crash left
	}
	if err := touch(to); err != nil {
		return full(err)
	}
	defer func() {
		if rerr := os.Remove(to); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}()
	// Room for the checksums is asked for by name here, and they are made at once.
	into := "file:" + (&url.URL{Path: to}).EscapedPath() + "?vfs=adiantum&reserve=8&hexkey=" + hex.EncodeToString(key)
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", into); err != nil {
		return &keylessError{fmt.Sprintf("seal %s", path), hex.EncodeToString(key), Meaning(err)}
	}
	copied, err := OpenSealed(ctx, to, key, migrations)
	if err != nil {
		return err
	}
	if err := errors.Join(quick(ctx, copied), copied.Close(), syncFile(to)); err != nil {
		return fmt.Errorf("seal %s: %w", path, err)
	}
	return commit(to)
}

// keylessError keeps the key out of what SQLite says, which quotes the address that
// it could not open.
type keylessError struct {
	what, key string
	cause     error
}

// Error implements error.
func (e *keylessError) Error() string {
	return e.what + ": " + strings.ReplaceAll(e.cause.Error(), e.key, "[redacted]")
}

// Is matches what the cause does, without giving it out.
func (e *keylessError) Is(target error) bool { return errors.Is(e.cause, target) }

// quick has SQLite look at each page.
func quick(ctx context.Context, db *sql.DB) error {
	var said string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check").Scan(&said); err != nil {
		return Meaning(err)
	}
	if said != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, said)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
