package approval_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/speciecash/specie/ceremony/approval"
)

var (
	at     = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	digest = [32]byte(sha256.New().Sum(nil))
)

const kind = "denominations"

// must ends the test on an error and passes the value on.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func signer(t testing.TB, key crypto.Signer) ssh.Signer {
	t.Helper()
	return must(ssh.NewSignerFromSigner(key))(t)
}

func ed(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return signer(t, must(key, err)(t))
}

func ec(t testing.TB, curve elliptic.Curve) ssh.Signer {
	t.Helper()
	return signer(t, must(ecdsa.GenerateKey(curve, rand.Reader))(t))
}

func rsaKey(t testing.TB) ssh.Signer {
	t.Helper()
	return signer(t, must(rsa.GenerateKey(rand.Reader, 2048))(t))
}

// authenticator signs as a FIDO token does (OpenSSH's PROTOCOL.u2f).
type authenticator struct {
	pub   ssh.PublicKey
	key   crypto.Signer
	flags byte // 1: somebody touched it
}

const application = "ssh:"

func skEd25519(t testing.TB, flags byte) ssh.Signer {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	blob := ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, pub, application})
	return &authenticator{must(ssh.ParsePublicKey(blob))(t), must(key, err)(t), flags}
}

func skECDSA(t testing.TB, flags byte) ssh.Signer {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	blob := ssh.Marshal(struct {
		Type, Curve string
		Point       []byte
		Application string
	}{ssh.KeyAlgoSKECDSA256, "nistp256", must(key.PublicKey.Bytes())(t), application})
	return &authenticator{must(ssh.ParsePublicKey(blob))(t), key, flags}
}

func (a *authenticator) PublicKey() ssh.PublicKey { return a.pub }

func (a *authenticator) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	app, message := sha256.Sum256([]byte(application)), sha256.Sum256(data)
	trailer := []byte{a.flags, 0, 0, 0, 7} // flags and counter
	signed := bytes.Join([][]byte{app[:], trailer, message[:]}, nil)
	out := &ssh.Signature{Format: a.pub.Type(), Rest: trailer}
	if a.pub.Type() == ssh.KeyAlgoSKED25519 {
		blob, err := a.key.Sign(rand.Reader, signed, crypto.Hash(0))
		out.Blob = blob
		return out, err
	}
	sum := sha256.Sum256(signed)
	r, s, err := ecdsa.Sign(rand.Reader, a.key.(*ecdsa.PrivateKey), sum[:])
	out.Blob = ssh.Marshal(struct{ R, S *big.Int }{r, s})
	return out, err
}

func line(s ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey())))
}

// rosterText is a roster of officers named by place.
func rosterText(threshold int, officers map[string]ssh.Signer) string {
	var b strings.Builder
	b.WriteString("threshold: " + strconv.Itoa(threshold) + "\nofficers:\n")
	for name, s := range officers {
		b.WriteString("  - {name: " + name + ", key: " + line(s) + "}\n")
	}
	return b.String()
}

func roster(t testing.TB, threshold int, officers map[string]ssh.Signer) *approval.Roster {
	t.Helper()
	return must(approval.ParseRoster([]byte(rosterText(threshold, officers))))(t)
}

func approve(t testing.TB, name string, s ssh.Signer) []byte {
	t.Helper()
	return must(approval.Sign(approval.Message(kind, digest, name, at), s))(t)
}

// keygen runs the real ssh-keygen.
func keygen(t testing.TB, stdin []byte, args ...string) {
	t.Helper()
	cmd := exec.Command("ssh-keygen", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen %v: %v: %s", args, err, out)
	}
}

func write(t testing.TB, dir, name string, data []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	return path
}
