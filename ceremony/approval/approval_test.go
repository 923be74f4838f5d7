package approval_test

import (
	"bytes"
	"crypto/elliptic"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/speciecash/specie/ceremony/approval"
)

func TestAnApprovalIsReadAsItWasMade(t *testing.T) {
	for name, s := range map[string]ssh.Signer{
		"Ed25519": ed(t), "ECDSA P-256": ec(t, elliptic.P256()), "ECDSA P-384": ec(t, elliptic.P384()),
		"a FIDO token, Ed25519": skEd25519(t, 1), "a FIDO token, ECDSA": skECDSA(t, 1),
	} {
		t.Run(name, func(t *testing.T) {
			a := must(approval.Parse(approve(t, "ADAMS", s)))(t)
			if a.Kind != kind || a.Digest != digest || a.Officer != "ADAMS" || !a.At.Equal(at) ||
				a.Fingerprint() != ssh.FingerprintSHA256(s.PublicKey()) {
				t.Errorf("%+v", a)
			}
			r := roster(t, 1, map[string]ssh.Signer{"ADAMS": s})
			if got := must(r.Verify([][]byte{approve(t, "ADAMS", s)}, kind, digest))(t); len(got) != 1 || got[0].Officer != "ADAMS" {
				t.Errorf("approved by %v", got)
			}
		})
	}
}

// armor signs a message as an approval should not be signed.
func armor(t testing.TB, message []byte, s ssh.Signer, namespace string) []byte {
	t.Helper()
	return sshsig.Armor(must(sshsig.Sign(bytes.NewReader(message), s, sshsig.HashSHA256, namespace))(t))
}

func TestFilesThatAreNoApproval(t *testing.T) {
	s := ed(t)
	message := approval.Message(kind, digest, "ADAMS", at)
	good := approve(t, "ADAMS", s)
	signature := good[len(message):]
	edit := func(old, new string) []byte {
		if !bytes.Contains(good, []byte(old)) {
			t.Fatalf("no %q in it", old)
		}
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}
	// resign signs the message as it is, so that only its form is wrong.
	resign := func(old, new string) []byte {
		m := []byte(strings.Replace(string(message), old, new, 1))
		return append(m, armor(t, m, s, approval.Namespace)...)
	}
	swapped := must(sshsig.Unarmor(signature))(t)
	swapped.PublicKey = ed(t).PublicKey()
	trailing := must(sshsig.Unarmor(signature))(t)
	trailing.Signature.Rest = []byte{1}
	tests := []struct {
		name string
		data []byte
		want error
	}{
		{"as it was made", good, nil},
		{"signed with the other hash", append(bytes.Clone(message), armor(t, message, s, approval.Namespace)...), nil},
		{"nothing", nil, approval.ErrApproval},
		{"the message alone", message, approval.ErrApproval},
		{"the signature alone", signature, approval.ErrApproval},
		{"too large", edit("SIGNATURE-----\n", "SIGNATURE-----\n"+strings.Repeat("\n", approval.MaxApproval)), approval.ErrApproval},
		{"longer than needed, but not too large", edit("SIGNATURE-----\n", "SIGNATURE-----\n\n\n"), nil},
		{"another officer's name put in", edit("ADAMS", "BAKER"), approval.ErrApproval},
		{"another time put in", edit("2026-11-21", "2026-11-22"), approval.ErrApproval},
		{"another digest put in", edit("digest: e", "digest: 0"), approval.ErrApproval},
		{"another ceremony put in", edit("denominations", "destroy"), approval.ErrApproval},
		{"another version", resign("approval 1", "approval 2"), approval.ErrApproval},
		{"a digest in capitals", resign("digest: e3b0", "digest: E3B0"), approval.ErrApproval},
		{"a short digest", resign("digest: e3", "digest: "), approval.ErrApproval},
		{"a name that no roster holds", resign("ADAMS", "adams"), approval.ErrApproval},
		{"a ceremony with other characters", resign("denominations", "denom-1"), approval.ErrApproval},
		{"a ceremony without a name", resign("denominations", ""), approval.ErrApproval},
		{"a ceremony with too long a name", resign("denominations", strings.Repeat("a", 33)), approval.ErrApproval},
		{"a time in another zone", resign("12:00:00Z", "12:00:00+01:00"), approval.ErrApproval},
		{"a fraction of a second", resign("12:00:00Z", "12:00:00.5Z"), approval.ErrApproval},
		{"a line more", resign("at: ", "note: hello\nat: "), approval.ErrApproval},
		{"two lines exchanged", resign("officer: ADAMS\nat: 2026-11-21T12:00:00Z\n", "at: 2026-11-21T12:00:00Z\nofficer: ADAMS\n"), approval.ErrApproval},
		{"line ends of another system", bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), approval.ErrApproval},
		{"text between message and signature", edit("-----BEGIN", "hello\n-----BEGIN"), approval.ErrApproval},
		{"text after the signature", append(bytes.Clone(good), "hello\n"...), approval.ErrApproval},
		{"two signatures", append(bytes.Clone(good), signature...), approval.ErrApproval},
		{"a header in the armour", edit("SIGNATURE-----\n", "SIGNATURE-----\nNote: hello\n\n"), approval.ErrApproval},
		{"a block of another type", bytes.ReplaceAll(good, []byte("SSH SIGNATURE"), []byte("PGP SIGNATURE")), approval.ErrApproval},
		{"a torn signature", append(bytes.Clone(message), "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"...), approval.ErrApproval},
		{"signed for another purpose", append(bytes.Clone(message), armor(t, message, s, "file")...), approval.ErrApproval},
		{"signed over another message", append(bytes.Clone(message), armor(t, append(message, 'x'), s, approval.Namespace)...), approval.ErrApproval},
		{"the signature under another key", append(bytes.Clone(message), sshsig.Armor(swapped)...), approval.ErrApproval},
		{"something behind an Ed25519 signature", append(bytes.Clone(message), sshsig.Armor(trailing)...), approval.ErrApproval},
		{"an RSA key", append(bytes.Clone(message), armor(t, message, rsaKey(t), approval.Namespace)...), approval.ErrKey},
		{"a curve that no roster holds", append(bytes.Clone(message), armor(t, message, ec(t, elliptic.P521()), approval.Namespace)...), approval.ErrKey},
		{"a FIDO token that nobody touched", append(bytes.Clone(message), armor(t, message, skEd25519(t, 0), approval.Namespace)...), approval.ErrApproval},
		{"the other kind, untouched", append(bytes.Clone(message), armor(t, message, skECDSA(t, 0), approval.Namespace)...), approval.ErrApproval},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := approval.Parse(tt.data); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestOnlyKeysThatARosterHoldsSign(t *testing.T) {
	message := approval.Message(kind, digest, "ADAMS", at)
	if _, err := approval.Sign(message, rsaKey(t)); !errors.Is(err, approval.ErrKey) {
		t.Errorf("RSA: %v", err)
	}
	if _, err := approval.Sign([]byte("hello\n"), ed(t)); !errors.Is(err, approval.ErrApproval) {
		t.Errorf("another message: %v", err)
	}
}

// TestTheStockToolApproves: an officer needs nothing of ours to sign, and an
// auditor nothing to verify.
func TestTheStockToolApproves(t *testing.T) {
	message := approval.Message(kind, digest, "ADAMS", at)
	for _, typ := range [][]string{{"-t", "ed25519"}, {"-t", "ecdsa", "-b", "256"}, {"-t", "ecdsa", "-b", "384"}} {
		t.Run(strings.Join(typ, " "), func(t *testing.T) {
			dir := t.TempDir()
			key := filepath.Join(dir, "key")
			keygen(t, nil, append(typ, "-N", "", "-C", "adams@desk", "-f", key)...)
			public := strings.TrimSpace(string(must(os.ReadFile(key + ".pub"))(t)))
			r := must(approval.ParseRoster([]byte("threshold: 1\nofficers: [{name: ADAMS, key: " + public + "}]\n")))(t)

			// Theirs is read by us.
			path := write(t, dir, "message", message, 0o644)
			keygen(t, nil, "-Y", "sign", "-n", "specie-ceremony", "-f", key, path)
			joined := must(approval.Join(message, must(os.ReadFile(path+".sig"))(t)))(t)
			must(r.Verify([][]byte{joined}, kind, digest))(t)

			// Ours is read by them.
			ours := must(approval.Sign(message, must(approval.ReadKey(key, nil))(t)))(t)
			must(r.Verify([][]byte{ours}, kind, digest))(t)
			allowed := write(t, dir, "allowed", []byte("ADAMS "+public+"\n"), 0o644)
			sig := write(t, dir, "ours.sig", ours[len(message):], 0o644)
			keygen(t, message, "-Y", "verify", "-f", allowed, "-I", "ADAMS", "-n", "specie-ceremony", "-s", sig)
		})
	}
}

func FuzzParse(f *testing.F) {
	s := ed(f)
	message := approval.Message(kind, digest, "ADAMS", at)
	f.Add(approve(f, "ADAMS", s))
	f.Add(message)
	f.Add(append(bytes.Clone(message), armor(f, message, skECDSA(f, 1), approval.Namespace)...))
	f.Add(append(bytes.Clone(message), armor(f, message, rsaKey(f), "file")...))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := approval.Parse(data)
		if err != nil {
			if !errors.Is(err, approval.ErrApproval) {
				t.Errorf("refused with %v", err)
			}
			return
		}
		if !bytes.HasPrefix(data, approval.Message(a.Kind, a.Digest, a.Officer, a.At)) {
			t.Error("reads as something else than it says")
		}
	})
}
