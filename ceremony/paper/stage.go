package paper

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// PartSuffix ends the name of a file that is whole but not in its place yet.
const PartSuffix = ".part"

// ErrExchanged: a staged file is not what was staged.
var ErrExchanged = errors.New("is not the file that was staged")

// Stage writes path+PartSuffix whole and syncs it to disk; [Place] gives it
// its name. A part that was left there before is replaced: nobody has seen it
// under its name.
func Stage(path string, data []byte, mode fs.FileMode) error {
	if err := Unstage(path); err != nil {
		return err
	}
	return Write(path+PartSuffix, data, mode)
}

// Unstage takes a staged file away, if there is one.
func Unstage(path string) error {
	if err := os.Remove(path + PartSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Place gives a staged file its name, at once and for good, if its SHA-256 is
// sum: ErrExchanged if it is not. It returns ErrExists if path is taken by
// another file. To place a file that is in its place already does nothing.
func Place(path string, sum [sha256.Size]byte) error {
	part := path + PartSuffix
	staged, err := hashed(part, sum)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = hashed(path, sum)
		return err
	}
	if err != nil {
		return err
	}
	if err := os.Link(part, path); err != nil {
		if !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("place %s: %w", path, err)
		}
		// A crash may have come between the link and the removal below.
		if there, err := os.Lstat(path); err != nil || !os.SameFile(there, staged) {
			return fmt.Errorf("%s: %w", path, ErrExists)
		}
	} else if there, err := os.Lstat(path); err != nil || !os.SameFile(there, staged) {
		// Another file took the part's name since it was read.
		return errors.Join(fmt.Errorf("%s: %w", part, ErrExchanged), os.Remove(path))
	}
	if err := os.Remove(part); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// hashed returns which file it is that has that SHA-256.
func hashed(path string, sum [sha256.Size]byte) (fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	if info.Mode().IsRegular() {
		if _, err := io.Copy(h, f); err != nil {
			return nil, err
		}
	}
	if [sha256.Size]byte(h.Sum(nil)) != sum || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, ErrExchanged)
	}
	return info, nil
}

// Placeable says whether files can be placed in a directory: not every file
// system gives a file a second name, which Place needs for a moment. It is
// asked before anything irreversible is done.
func Placeable(dir string) (err error) {
	f, err := os.CreateTemp(dir, ".specie-*")
	if err != nil {
		return err
	}
	name := f.Name()
	defer func() { err = errors.Join(err, f.Close(), os.Remove(name)) }()
	if err := os.Link(name, name+PartSuffix); err != nil {
		return fmt.Errorf("%s: a file system without hard links; let the outputs go elsewhere: %w", dir, err)
	}
	return os.Remove(name + PartSuffix)
}
