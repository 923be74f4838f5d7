package paper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// PartSuffix ends the name of a file that is whole but not in its place yet.
const PartSuffix = ".part"

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

// Place gives a staged file its name, at once and for good. It returns
// ErrExists if path is taken by another file. To place a file that is in its
// place already does nothing.
func Place(path string) error {
	part := path + PartSuffix
	staged, err := os.Stat(part)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(path)
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
		if there, err := os.Stat(path); err != nil || !os.SameFile(there, staged) {
			return fmt.Errorf("%s: %w", path, ErrExists)
		}
	}
	if err := os.Remove(part); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
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
