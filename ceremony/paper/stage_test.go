package paper_test

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/speciecash/specie/ceremony/paper"
)

func TestAStagedFileIsPlacedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyset.jws")
	if err := paper.Stage(path, []byte("first draft"), paper.Public); err != nil {
		t.Fatal(err)
	}
	if err := paper.Free(path); err != nil {
		t.Errorf("staged, and already in its place: %v", err)
	}
	if err := paper.Stage(path, []byte("secret"), paper.Secret); err != nil {
		t.Errorf("staged again: %v", err)
	}
	for range 2 { // the second time it is there already
		if err := paper.Place(path, sum("secret")); err != nil {
			t.Fatal(err)
		}
	}
	b, err := paper.ReadSecret(path, 100)
	if err != nil || string(b) != "secret" {
		t.Errorf("placed %q, %v", b, err)
	}
	if err := paper.Free(path + paper.PartSuffix); err != nil {
		t.Errorf("the part is left: %v", err)
	}
}

func TestAPlacedFileReplacesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyset.jws")
	if err := errors.Join(paper.Stage(path, []byte("new"), paper.Public), paper.Write(path, []byte("old"), paper.Public)); err != nil {
		t.Fatal(err)
	}
	if err := paper.Place(path, sum("new")); !errors.Is(err, paper.ErrExists) {
		t.Errorf("got %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Errorf("now %q", b)
	}
}

// A crash between the two names of a file being given and the first being
// taken away.
func TestAFileWithBothNamesIsPlaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyset.jws")
	if err := errors.Join(paper.Stage(path, []byte("new"), paper.Public), os.Link(path+paper.PartSuffix, path)); err != nil {
		t.Fatal(err)
	}
	if err := paper.Place(path, sum("new")); err != nil {
		t.Fatal(err)
	}
	if paper.Free(path+paper.PartSuffix) != nil {
		t.Error("the part is left")
	}
}

func TestNothingIsPlacedThatWasNotStaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyset.jws")
	if err := paper.Place(path, sum("")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := paper.Unstage(path); err != nil {
		t.Errorf("to take away what is not there: %v", err)
	}
	if err := errors.Join(paper.Stage(path, nil, paper.Public), paper.Unstage(path)); err != nil {
		t.Fatal(err)
	}
	if err := paper.Place(path, sum("")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after it was taken away: %v", err)
	}
}

func TestPlaceableLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := paper.Placeable(dir); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	if err := paper.Placeable(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
}

func sum(text string) [32]byte { return sha256.Sum256([]byte(text)) }

func TestAPartThatWasExchangedIsNotPlaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyset.jws")
	if err := paper.Stage(path, []byte("forged"), paper.Public); err != nil {
		t.Fatal(err)
	}
	if err := paper.Place(path, sum("made")); !errors.Is(err, paper.ErrExchanged) {
		t.Errorf("another part: %v", err)
	}
	if err := paper.Free(path); err != nil {
		t.Errorf("it was placed: %v", err)
	}
	if err := paper.Place(path, sum("forged")); err != nil {
		t.Fatal(err)
	}
	if err := paper.Place(path, sum("made")); !errors.Is(err, paper.ErrExchanged) {
		t.Errorf("another file in its place: %v", err)
	}
	aside := path + ".aside"
	if err := errors.Join(os.Rename(path, aside), os.Symlink(aside, path+paper.PartSuffix)); err != nil {
		t.Fatal(err)
	}
	if err := paper.Place(path, sum("forged")); err == nil {
		t.Error("a link was placed")
	}
}
