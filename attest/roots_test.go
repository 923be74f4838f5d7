package attest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/speciecash/specie/attest"
)

func hexOf(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func write(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRootsComeFromADirectoryWithAManifest(t *testing.T) {
	one, two := newAuthority(t, "one", nil), newAuthority(t, "two", nil)
	under := newAuthority(t, "under two", two)
	want := rootsOf(t, two.pem(), one.pem(), under.pem()).Digest()

	dir := t.TempDir()
	files := map[string][]byte{"one.pem": one.pem(), "two.CER": two.cert.Raw, "under.crt": under.cert.Raw}
	for name, data := range files {
		write(t, dir, name, data)
	}
	write(t, dir, ".notes", []byte("where these come from"))
	write(t, dir, attest.Manifest, append([]byte("# reviewed\n"), manifestOf(t, "p256", files)...))
	r, err := attest.LoadRoots(dir, &want)
	if err != nil {
		t.Fatal(err)
	}
	if r.Digest() != want {
		t.Error("order, form, names of files or a comment changes the digest")
	}
	if rootsOf(t, one.pem(), two.pem()).Digest() == want {
		t.Error("a certificate less does not change the digest")
	}
	if _, err := attest.LoadRoots(dir, &[32]byte{1}); !errors.Is(err, attest.ErrRoots) {
		t.Errorf("with another digest pinned: got %v, want ErrRoots", err)
	}
}

func TestUnusableRootsAreRefused(t *testing.T) {
	root := newAuthority(t, "root", nil)
	under := newAuthority(t, "under", root)
	damaged := root.pem()
	damaged[40] = '!'
	good := map[string][]byte{"all.pem": append(root.pem(), under.pem()...)}
	manifest := manifestOf(t, "p256", good)
	for name, data := range map[string][]byte{
		"nothing":                          nil,
		"no certificate":                   []byte("hello"),
		"a certificate missing":            under.pem(),
		"a certificate that is not listed": bytes.Join([][]byte{good["all.pem"], newAuthority(t, "other", nil).pem()}, nil),
		"a certificate twice":              bytes.Join([][]byte{good["all.pem"], root.pem()}, nil),
		"a private key":                    append(root.pem(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})...),
		"a damaged certificate":            append(root.pem(), damaged...),
		"rubbish within a PEM block":       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("rubbish")}),
		"more than any list is long":       make([]byte, 2<<20),
	} {
		if _, err := attest.ParseRoots(manifest, map[string][]byte{"all.pem": data}); !errors.Is(err, attest.ErrRoots) {
			t.Errorf("%s: got %v, want ErrRoots", name, err)
		}
	}
	if _, err := attest.ParseRoots(manifest, good); err != nil {
		t.Error(err)
	}
	if _, err := attest.LoadRoots(t.TempDir(), nil); !errors.Is(err, attest.ErrRoots) {
		t.Errorf("an empty directory: got %v, want ErrRoots", err)
	}
	if _, err := attest.LoadRoots(filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing directory: got %v, want os.ErrNotExist", err)
	}
}
