package approval_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/trust"
)

// says answers with a passphrase, a fresh copy each time.
func says(pass string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(pass), nil }
}

func TestAKeyIsMadeAndRead(t *testing.T) {
	for _, pass := range []string{"", "correct horse"} {
		private, public, err := approval.GenerateKey("ADAMS", []byte(pass))
		if err != nil {
			t.Fatal(err)
		}
		path := write(t, t.TempDir(), "adams.key", private, 0o600)
		s := must(approval.ReadKey(path, says(pass)))(t)
		if want := line(s) + " ADAMS"; public != want {
			t.Errorf("public key %q, want %q", public, want)
		}
		if _, err := approval.ReadKey(path, nil); (err == nil) != (pass == "") {
			t.Errorf("passphrase %q, and without one: %v", pass, err)
		}
		// The stock tool reads it too.
		keygen(t, nil, "-y", "-P", pass, "-f", path)
	}
	if _, _, err := approval.GenerateKey("adams", nil); !errors.Is(err, trust.ErrMalformed) {
		t.Errorf("a name that no roster holds: %v", err)
	}
}

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))(t)})
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(dir, "locked")
	keygen(t, nil, "-t", "ed25519", "-N", "correct horse", "-f", locked)
	plain, _, err := approval.GenerateKey("ADAMS", nil)
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("nobody at the keyboard")
	tests := []struct {
		name string
		path string
		ask  func() ([]byte, error)
		want error
	}{
		{"OpenSSH's own, encrypted", locked, says("correct horse"), nil},
		{"the wrong passphrase", locked, says("incorrect"), approval.ErrKey},
		{"no passphrase", locked, nil, approval.ErrKey},
		{"nobody answers", locked, func() ([]byte, error) { return nil, refused }, refused},
		{"PKCS #8, Ed25519", write(t, dir, "ed.pem", pkcs8(t, edKey), 0o600), nil, nil},
		{"PKCS #8, P-256", write(t, dir, "ec.pem", pkcs8(t, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)), 0o600), nil, nil},
		{"PKCS #8, P-521", write(t, dir, "p521.pem", pkcs8(t, must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))(t)), 0o600), nil, approval.ErrKey},
		{"PKCS #8, RSA", write(t, dir, "rsa.pem", pkcs8(t, must(rsa.GenerateKey(rand.Reader, 2048))(t)), 0o600), nil, approval.ErrKey},
		{"no key at all", write(t, dir, "text", []byte("hello\n"), 0o600), nil, approval.ErrKey},
		{"readable by others", write(t, dir, "exposed", plain, 0o644), nil, paper.ErrExposed},
		{"too large", write(t, dir, "large", make([]byte, 1<<20), 0o600), nil, paper.ErrTooLarge},
		{"not there", filepath.Join(dir, "none"), nil, os.ErrNotExist},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := approval.ReadKey(tt.path, tt.ask)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "horse") {
				t.Errorf("the passphrase is in %v", err)
			}
		})
	}
}

func TestAPassphraseIsForgotten(t *testing.T) {
	block := must(ssh.MarshalPrivateKeyWithPassphrase(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t), "", []byte("correct horse")))(t)
	path := write(t, t.TempDir(), "key", pem.EncodeToMemory(block), 0o600)
	pass := []byte("correct horse")
	must(approval.ReadKey(path, func() ([]byte, error) { return pass, nil }))(t)
	if strings.Trim(string(pass), "\x00") != "" {
		t.Error("the passphrase is still there")
	}
}
