package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/groupdoc"
)

// manufacturers is a directory with the root of one.
func manufacturers(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "A manufacturer's root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"maker.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	if files["manifest.yaml"], err = attest.DraftManifest(files); err != nil {
		t.Fatal(err)
	}
	files["manifest.yaml"] = bytes.ReplaceAll(files["manifest.yaml"], []byte(`"?"`), []byte("INTC"))
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestApprovedPlatformsComeFromTheirFile(t *testing.T) {
	dir := base(t.TempDir())
	cfg := &groupConfig{Platform: "platform.json"}
	cfg.EKRoots.Dir = manufacturers(t)
	files, err := dir.policyFiles(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := files.load(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a file that is not there: got %v", err)
	}
	write := func(p *groupdoc.Platform) {
		t.Helper()
		text, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir.path("platform.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := &groupdoc.Platform{Key: []byte("key"), Policies: []groupdoc.PlatformPolicy{{Name: "till", PCRs: []int{7}, Signature: make([]byte, 64)}}}
	before := files.state()
	write(want)
	if files.state() == before {
		t.Error("a file that came is not noticed")
	}
	p, err := files.load()
	if err != nil || cmp.Diff(want, p.Platform) != "" {
		t.Fatalf("%v %s", err, cmp.Diff(want, p.Platform))
	}
	before = files.state()
	want.Policies = append(want.Policies, groupdoc.PlatformPolicy{Name: "office", PCRs: []int{7}, Digest: [32]byte{1}, Signature: make([]byte, 64)})
	write(want)
	if files.state() == before {
		t.Error("a file that changed is not noticed")
	}
	if err := os.WriteFile(dir.path("platform.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := files.load(); !errors.Is(err, groupdoc.ErrMalformed) {
		t.Errorf("a file that is none: got %v", err)
	}
	cfg.Platform = ""
	if files, err = dir.policyFiles(cfg); err != nil {
		t.Fatal(err)
	}
	if p, err = files.load(); err != nil || p.Platform != nil {
		t.Errorf("without a file: %+v, %v", p.Platform, err)
	}
}
