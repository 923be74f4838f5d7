package officer

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/trust"
)

func passphrase(t *testing.T, text string) *Passphrase {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passphrase")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := must(ReadPassphrase(path))(t)
	return &p
}

func TestKeysAreReadBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "alice")
	made := must(Create(dir, "ALICE", nil))(t)
	read := must(Open(dir, nil))(t)
	if read.ID != "ALICE" || !read.signer.Equal(made.signer) || read.identity.String() != made.identity.String() {
		t.Error("the keys are not the ones that were made")
	}
	info := must(os.Stat(filepath.Join(dir, KeyFile)))(t)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("key file has mode %v", info.Mode())
	}
}

func TestAKeyFileIsNeverReplaced(t *testing.T) {
	dir := t.TempDir()
	must(Create(dir, "ALICE", nil))(t)
	if _, err := Create(dir, "ALICE", nil); !errors.Is(err, paper.ErrExists) {
		t.Errorf("got %v", err)
	}
}

func TestTheKeyFileIsEncryptedWithThePassphrase(t *testing.T) {
	dir := t.TempDir()
	must(Create(dir, "ALICE", passphrase(t, "correct horse\n")))(t)
	b := must(os.ReadFile(filepath.Join(dir, KeyFile)))(t)
	if bytes.Contains(b, []byte("AGE-SECRET-KEY")) {
		t.Error("the identity stands in clear")
	}
	must(Open(dir, passphrase(t, "correct horse")))(t)
	if _, err := Open(dir, nil); !errors.Is(err, ErrPassphrase) {
		t.Errorf("without a passphrase: %v", err)
	}
	if _, err := Open(dir, passphrase(t, "battery staple")); !errors.Is(err, ErrPassphrase) {
		t.Errorf("with a wrong one: %v", err)
	}
}

func TestBadKeyFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, KeyFile)
	must(Create(dir, "ALICE", nil))(t)
	good := must(os.ReadFile(path))(t)
	tests := []struct {
		name    string
		content []byte
		mode    os.FileMode
		want    error
	}{
		{"readable by others", good, 0o644, paper.ErrExposed},
		{"too large", bytes.Repeat([]byte(" "), maxKeyFile+1), 0o600, paper.ErrTooLarge},
		{"another version", bytes.Replace(good, []byte(`"v":1`), []byte(`"v":2`), 1), 0o600, ErrMalformed},
		{"an unknown member", bytes.Replace(good, []byte(`"v":1`), []byte(`"v":1,"x":1`), 1), 0o600, ErrMalformed},
		{"a broken identity", bytes.Replace(good, []byte("AGE-SECRET-KEY-1"), []byte("AGE-SECRET-KEY-2"), 1), 0o600, ErrMalformed},
		{"a broken signing key", bytes.Replace(good, []byte(`"signing_key":"M`), []byte(`"signing_key":"N`), 1), 0o600, ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			remove(t, path)
			if err := os.WriteFile(path, tt.content, tt.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir, nil); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAnIDMustBeWellFormed(t *testing.T) {
	for _, id := range []string{"", "abc", "Alice", "ALICE BOB", "../ALICE"} {
		if _, err := Create(t.TempDir(), id, nil); !errors.Is(err, trust.ErrMalformed) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestTheRequestNamesTheOfficerAndIsSigned(t *testing.T) {
	dir := t.TempDir()
	o := must(Create(dir, "ALICE", nil))(t)
	block, _ := pem.Decode(must(os.ReadFile(filepath.Join(dir, RequestFile)))(t))
	csr := must(x509.ParseCertificateRequest(block.Bytes))(t)
	if err := csr.CheckSignature(); err != nil {
		t.Error(err)
	}
	if len(csr.URIs) != 1 || csr.URIs[0].String() != "urn:specie:supervisor:ALICE" || !o.signer.PublicKey.Equal(csr.PublicKey) {
		t.Errorf("request for %v", csr.URIs)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	o := must(Create(t.TempDir(), "ALICE", nil))(t)
	p := passphrase(t, "correct horse")
	for _, text := range []string{
		fmt.Sprintf("%v %+v %#v %s %x", o, o, o, o, o),
		fmt.Sprintf("%v %+v %#v %s", p, p, p, p), fmt.Sprintf("%v %+v %#v %d", *p, *p, *p, *p),
	} {
		if bytes.Contains([]byte(text), []byte("AGE-SECRET")) || bytes.Contains([]byte(text), []byte("horse")) ||
			bytes.Contains([]byte(text), []byte(o.signer.D.String())) {
			t.Errorf("printed %s", text)
		}
	}
}

func TestAccept(t *testing.T) {
	c := newCountry(t)
	alice := trust.Name{Role: trust.RoleSupervisor, ID: "ALICE"}
	other := must(Create(t.TempDir(), "ALICE", nil))(t)
	tests := []struct {
		name string
		cert func(t *testing.T, o *Officer) []byte
		want error
	}{
		{"his certificate", func(t *testing.T, o *Officer) []byte { return c.certify(t, alice, o.signer.Public()) }, nil},
		{"another's name", func(t *testing.T, o *Officer) []byte {
			return c.certify(t, trust.Name{Role: trust.RoleSupervisor, ID: "MALLORY"}, o.signer.Public())
		}, ErrForeign},
		{"another role", func(t *testing.T, o *Officer) []byte {
			return c.certify(t, trust.Name{Role: trust.RoleGroup, ID: "ALICE"}, o.signer.Public())
		}, ErrForeign},
		{"another key", func(t *testing.T, _ *Officer) []byte { return c.certify(t, alice, other.signer.Public()) }, ErrForeign},
		{"another root", func(t *testing.T, o *Officer) []byte { return newCountry(t).certify(t, alice, o.signer.Public()) }, trust.ErrChain},
		{"no certificate", func(*testing.T, *Officer) []byte { return []byte("hello") }, ErrMalformed},
		{"two certificates", func(t *testing.T, o *Officer) []byte {
			b := c.certify(t, alice, o.signer.Public())
			return append(b, b...)
		}, ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := must(Create(t.TempDir(), "ALICE", nil))(t)
			card, err := o.Accept(c.root, tt.cert(t, o), at)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err == nil && must(ParseCard(c.root, card, at))(t).ID != "ALICE" {
				t.Error("the card is another's")
			}
		})
	}
}

func TestAnExpiredCertificateSignsNothing(t *testing.T) {
	c := newCountry(t)
	o, card := c.officer(t, "ALICE")
	late := at.AddDate(2, 0, 0)
	if _, err := o.Deal(c.root, "TESTGROUP", 2, [][]byte{card}, late); !errors.Is(err, trust.ErrExpired) {
		t.Errorf("got %v", err)
	}
	if _, err := ParseCard(c.root, card, late); !errors.Is(err, trust.ErrExpired) {
		t.Errorf("card: %v", err)
	}
}

func TestAnOfficerWithoutCertificateCannotDeal(t *testing.T) {
	c := newCountry(t)
	o := must(Create(t.TempDir(), "ALICE", nil))(t)
	if _, err := o.Deal(c.root, "TESTGROUP", 2, nil, at); !errors.Is(err, ErrNotCertified) {
		t.Errorf("got %v", err)
	}
}
