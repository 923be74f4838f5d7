package swtpm_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/tpm/swtpm"
)

func newCA(t *testing.T) *swtpm.CA {
	t.Helper()
	ca, err := swtpm.NewCA(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func start(t *testing.T, dir string, ca *swtpm.CA) *swtpm.Emulator {
	t.Helper()
	e, err := swtpm.Start(t.Context(), dir, ca)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func certificates(t *testing.T, e *swtpm.Emulator) [][]byte {
	t.Helper()
	d, err := tpm.Open(t.Context(), e.TCTI())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	eks, err := d.EKs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var certs [][]byte
	for _, ek := range eks {
		certs = append(certs, ek.CertificateDER)
	}
	return certs
}

func TestCAIsFoundedOnce(t *testing.T) {
	dir := t.TempDir()
	var pems [][]byte
	for range 2 {
		ca, err := swtpm.NewCA(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		roots, err := ca.RootsPEM()
		if err != nil {
			t.Fatal(err)
		}
		pems = append(pems, roots)
	}
	if !bytes.Equal(pems[0], pems[1]) {
		t.Fatal("the second time another authority was founded in the same directory")
	}
	if n := bytes.Count(pems[0], []byte("BEGIN CERTIFICATE")); n != 2 {
		t.Fatalf("%d certificates, want the root's and the issuer's", n)
	}
	if block, _ := pem.Decode(pems[0]); block == nil {
		t.Fatal("not PEM")
	}
}

func TestCASurvivesAMoveOfItsDirectory(t *testing.T) {
	old := filepath.Join(t.TempDir(), "old")
	if _, err := swtpm.NewCA(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(t.TempDir(), "new")
	if err := os.Rename(old, moved); err != nil {
		t.Fatal(err)
	}
	ca, err := swtpm.NewCA(t.Context(), moved)
	if err != nil {
		t.Fatal(err)
	}
	start(t, t.TempDir(), ca)
}

func TestStateSurvivesARestart(t *testing.T) {
	ca, dir := newCA(t), t.TempDir()
	e := start(t, dir, ca)
	before := certificates(t, e)
	if len(before) != 2 {
		t.Fatalf("%d certificates, want RSA-2048 and P-384", len(before))
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatalf("closed twice: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "sock*")); len(left) > 0 {
		t.Fatalf("left behind: %v", left)
	}
	after := certificates(t, start(t, dir, ca))
	for i := range before {
		if !bytes.Equal(before[i], after[i]) {
			t.Fatal("another certificate after the restart")
		}
	}
}

func TestAStaleSocketIsInNobodysWay(t *testing.T) {
	ca, dir := newCA(t), t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, "sock")})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, dir, ca)
}

func TestALongDirectoryGetsItsSocketElsewhere(t *testing.T) {
	ca, dir := newCA(t), filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	e := start(t, dir, ca)
	path := strings.TrimPrefix(e.TCTI(), "swtpm:path=")
	if len(path) > 107 || strings.HasPrefix(path, dir) {
		t.Fatalf("socket at %s", path)
	}
	certificates(t, e)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the socket's directory is left behind: %v", err)
	}
	t.Run("unless that is too long as well", func(t *testing.T) {
		long := filepath.Join(t.TempDir(), strings.Repeat("t", 100))
		if err := os.Mkdir(long, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("TMPDIR", long)
		if _, err := swtpm.Start(t.Context(), dir, ca); !errors.Is(err, swtpm.ErrPath) {
			t.Fatalf("got %v, want ErrPath", err)
		}
	})
}

func TestMissingProgramsNameThePackages(t *testing.T) {
	t.Run("the emulator", func(t *testing.T) {
		ca, dir := newCA(t), t.TempDir()
		if err := start(t, dir, ca).Close(); err != nil {
			t.Fatal(err)
		}
		wantMissing(t, func(ctx context.Context) error {
			e, err := swtpm.Start(ctx, dir, ca)
			if err == nil {
				_ = e.Close()
			}
			return err
		})
	})
	t.Run("the authority's tools", func(t *testing.T) {
		wantMissing(t, func(ctx context.Context) error {
			_, err := swtpm.NewCA(ctx, t.TempDir())
			return err
		})
	})
}

func wantMissing(t *testing.T, f func(context.Context) error) {
	t.Helper()
	t.Setenv("PATH", t.TempDir())
	err := f(t.Context())
	if !errors.Is(err, swtpm.ErrMissing) || !strings.Contains(err.Error(), "apt-get install swtpm swtpm-tools") {
		t.Fatalf("got %v, want ErrMissing naming the packages", err)
	}
}

func TestUnusableDirectoriesAreRefused(t *testing.T) {
	for _, dir := range []string{"a,b", "a b", "a$b", "a\nb"} {
		if _, err := swtpm.NewCA(t.Context(), filepath.Join(t.TempDir(), dir)); !errors.Is(err, swtpm.ErrPath) {
			t.Errorf("%q: got %v, want ErrPath", dir, err)
		}
	}
}

func TestAnEndedContextStopsTheStart(t *testing.T) {
	ca, dir := newCA(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := swtpm.Start(ctx, dir, ca); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Fatalf("left behind: %v", left)
	}
	start(t, dir, ca)
}
