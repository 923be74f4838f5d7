package tpm

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// WriteKeyFile writes a key to a new file that its user alone can read, and
// returns when it is on the disk for good: in a crash the file is there whole or
// not at all. A file that is there already is not touched; the error is
// fs.ErrExist.
func WriteKeyFile(path string, k *KeyFile) (err error) {
	text, err := k.Marshal()
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".specie-key-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	if err := place(f.Name(), path); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	return nil
}

// place gives a file its name, unless the name is taken. Where a file can't have
// two names for a moment, the new one is taken by an empty file first, which is
// then replaced.
func place(part, path string) error {
	err := os.Link(part, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	claim, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(claim.Close(), os.Rename(part, path)); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// syncDir makes a new name last. Windows has no such thing for directories.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ReadKeyFile reads a key from a file. The errors are those of opening it, and
// ErrKeyFile.
func ReadKeyFile(path string) (*KeyFile, error) {
	info, err := os.Stat(path) // before it is opened: a pipe would make that wait
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read key file: %w: %s is no file", ErrKeyFile, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	k, err := ParseKeyFile(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}
