package attest_test

import (
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/speciecash/specie/attest"
)

func write(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRootsComeFromAFileOrADirectory(t *testing.T) {
	one, two := newAuthority(t, "one", nil), newAuthority(t, "two", nil)
	under := newAuthority(t, "under two", two)
	want := rootsOf(t, two.pem(), one.pem()).Digest()

	dir := t.TempDir()
	write(t, dir, "one.pem", one.pem())
	write(t, dir, "two.CER", two.cert.Raw)
	write(t, dir, "under.crt", under.cert.Raw)
	write(t, dir, "README", []byte("where these come from"))
	fromDir, err := attest.LoadRoots(dir)
	if err != nil {
		t.Fatal(err)
	}
	fromFile, err := attest.LoadRoots(write(t, t.TempDir(), "all", append(append(one.pem(), two.pem()...), one.pem()...)))
	if err != nil {
		t.Fatal(err)
	}
	if fromDir.Digest() != want || fromFile.Digest() != want {
		t.Error("order, form, repetition or an intermediate changes the digest")
	}
	if rootsOf(t, one.pem()).Digest() == want {
		t.Error("a root less does not change the digest")
	}
}

func TestUnusableRootsAreRefused(t *testing.T) {
	root := newAuthority(t, "root", nil)
	under := newAuthority(t, "under", root)
	key := ecKey(t)
	damaged := root.pem()
	damaged[40] = '!'
	for name, data := range map[string][]byte{
		"nothing":                    nil,
		"no certificate":             []byte("hello"),
		"an intermediate alone":      under.pem(),
		"a leaf":                     append(root.pem(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.endorse(t, key, nil)})...),
		"a private key":              append(root.pem(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})...),
		"a damaged certificate":      append(root.pem(), damaged...),
		"rubbish within a PEM block": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("rubbish")}),
		"more than any list is long": make([]byte, 2<<20),
	} {
		if _, err := attest.ParseRoots(data); !errors.Is(err, attest.ErrRoots) {
			t.Errorf("%s: got %v, want ErrRoots", name, err)
		}
	}
	if _, err := attest.LoadRoots(t.TempDir()); !errors.Is(err, attest.ErrRoots) {
		t.Errorf("an empty directory: got %v, want ErrRoots", err)
	}
	if _, err := attest.LoadRoots(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: got %v, want os.ErrNotExist", err)
	}
	if _, err := attest.LoadRoots(write(t, t.TempDir(), "long.pem", make([]byte, 2<<20))); err == nil {
		t.Error("a file of 2 MiB was read")
	}
}
