package paper_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony/paper"
)

func TestAnExistingFileIsNeverReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.pem")
	if err := paper.Free(path); err != nil {
		t.Fatal(err)
	}
	if err := paper.Write(path, []byte("first"), paper.Secret); err != nil {
		t.Fatal(err)
	}
	if err := paper.Free(path); !errors.Is(err, paper.ErrExists) {
		t.Errorf("Free: %v", err)
	}
	if err := paper.Write(path, []byte("second"), paper.Secret); !errors.Is(err, paper.ErrExists) {
		t.Errorf("Write: %v", err)
	}
	if b, err := paper.ReadSecret(path, 10); err != nil || string(b) != "first" {
		t.Errorf("read %q, %v", b, err)
	}
}

func TestADanglingLinkCountsAsTaken(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "out")
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), link); err != nil {
		t.Fatal(err)
	}
	if err := paper.Free(link); !errors.Is(err, paper.ErrExists) {
		t.Errorf("Free: %v", err)
	}
	if err := paper.Write(link, nil, paper.Public); !errors.Is(err, paper.ErrExists) {
		t.Errorf("Write: %v", err)
	}
}

func TestFreeNeedsTheDirectory(t *testing.T) {
	if err := paper.Free(filepath.Join(t.TempDir(), "missing", "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestReadIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := paper.Write(path, []byte("12345"), paper.Public); err != nil {
		t.Fatal(err)
	}
	if _, err := paper.Read(path, 4); !errors.Is(err, paper.ErrTooLarge) {
		t.Errorf("4 bytes allowed: %v", err)
	}
	if b, err := paper.Read(path, 5); err != nil || len(b) != 5 {
		t.Errorf("5 bytes allowed: %d bytes, %v", len(b), err)
	}
}

// TestOnlyFilesAreRead: a pipe in an input's place would hold a ceremony up.
func TestOnlyFilesAreRead(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, dir, os.DevNull} {
		done := make(chan error, 1)
		go func() {
			_, err := paper.Read(path, 10)
			done <- err
		}()
		select {
		case err := <-done:
			if !errors.Is(err, paper.ErrIrregular) {
				t.Errorf("%s: %v", path, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: still reading", path)
		}
	}
}

func TestASecretThatOthersCanReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pin")
	if err := paper.Write(path, []byte("1234"), paper.Public); err != nil {
		t.Fatal(err)
	}
	if _, err := paper.ReadSecret(path, 10); !errors.Is(err, paper.ErrExposed) {
		t.Errorf("got %v", err)
	}
}
