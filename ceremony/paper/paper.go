// Package paper owns the files that a ceremony takes in and leaves behind:
// read with a bound, written once and never over something that is there.
//
// What a ceremony leaves (a certificate, a keyset, a share) is looked at for
// years, so a file that exists is never replaced, not even by the same bytes:
// an operator moves it away by hand, and knows that he did.
//
// # Errors
//
// [ErrExists], [ErrTooLarge], [ErrIrregular], [ErrExposed] and those of package os, matched
// with errors.Is. Texts name the path and never the content.
//
// # Concurrency
//
// Of two writers of one path exactly one succeeds.
//
// The package imports the standard library, and the YAML library for its
// errors ([YAMLError]).
package paper

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// The refusals of this package.
var (
	// ErrExists: the output is there already.
	ErrExists = errors.New("exists already and is never replaced")
	// ErrTooLarge: the input has more bytes than its kind ever needs.
	ErrTooLarge = errors.New("file is too large")
	// ErrIrregular: the input is a directory, a pipe or a device.
	ErrIrregular = errors.New("not a regular file")
	// ErrExposed: a secret file that others than its owner may read.
	ErrExposed = errors.New("readable by others: chmod 600")
)

// Modes of written files.
const (
	Public fs.FileMode = 0o644
	Secret fs.FileMode = 0o600
)

// Read returns a file of at most max bytes. What is no file of bytes is
// [ErrIrregular], at once: to open a pipe that nobody fills would wait for
// ever.
func Read(path string, max int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, ErrIrregular)
	}
	return read(f, path, max)
}

// ReadSecret is Read for a file that only its owner may read ([ErrExposed]),
// or for the end of a pipe that he fills.
func ReadSecret(path string, max int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// Asked of the open file, so that it can't be exchanged in between.
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: %w", path, ErrExposed)
	}
	return read(f, path, max)
}

func read(f *os.File, path string, max int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(f, int64(max)+1))
	if err != nil {
		return nil, err
	}
	if len(b) > max {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", path, ErrTooLarge, max)
	}
	return b, nil
}

// Free returns ErrExists if one of the paths is taken, and fs.ErrNotExist if
// the directory of one is missing. It is asked before anything irreversible
// is done; Write asks again.
func Free(paths ...string) error {
	for _, p := range paths {
		if _, err := os.Lstat(p); err == nil {
			return fmt.Errorf("%s: %w", p, ErrExists)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, err := os.Stat(filepath.Dir(p)); err != nil {
			return err
		}
	}
	return nil
}

// Write creates path with exactly that mode and syncs it to disk. It returns
// ErrExists if path is taken; a file that could not be written whole is taken
// away again.
func Write(path string, data []byte, mode fs.FileMode) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w", path, ErrExists)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	// The umask may have taken bits away from what others should read.
	err = f.Chmod(mode)
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the new name itself durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
