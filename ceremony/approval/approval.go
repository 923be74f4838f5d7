package approval

import (
	"bytes"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/speciecash/specie/trust"
)

// Namespace is the SSHSIG namespace of an approval: a signature made for
// anything else is none.
const Namespace = "specie-ceremony"

// MaxApproval bounds an approval, in bytes.
const MaxApproval = 4 << 10

const (
	firstLine     = "specie ceremony approval 1"
	messageLines  = 5
	maxKind       = 32
	instantLayout = "2006-01-02T15:04:05Z"
)

// Approval is an approval that was read. Its signature is well formed and by
// the key that it carries; whether that is the officer's key, a roster says.
type Approval struct {
	Kind    string // of ceremony
	Digest  [32]byte
	Officer string
	At      time.Time // UTC, whole seconds

	message   []byte
	signature *sshsig.Signature
}

// Message returns the five lines that an officer signs, each ended by a line
// feed. kind is 1 to 32 of [a-z], officer a name as on a roster, at is cut to
// whole seconds.
func Message(kind string, digest [32]byte, officer string, at time.Time) []byte {
	return fmt.Appendf(nil, "%s\nceremony: %s\ndigest: %s\nofficer: %s\nat: %s\n",
		firstLine, kind, hex.EncodeToString(digest[:]), officer, at.UTC().Truncate(time.Second).Format(instantLayout))
}

// Sign makes an approval of a message that [Message] returned. Errors:
// ErrApproval for another message, ErrKey for a signer of another type than a
// roster may hold.
func Sign(message []byte, signer ssh.Signer) ([]byte, error) {
	if err := checkType(signer.PublicKey()); err != nil {
		return nil, err
	}
	sig, err := sshsig.Sign(bytes.NewReader(message), signer, sshsig.HashSHA512, Namespace)
	if err != nil {
		return nil, fmt.Errorf("approval: sign: %w", err)
	}
	return Join(message, sshsig.Armor(sig))
}

// Join makes an approval of a message and the file that "ssh-keygen -Y sign"
// made for it. It returns ErrApproval unless both fit together.
func Join(message, signature []byte) ([]byte, error) {
	out := append(bytes.Clone(message), signature...)
	if _, err := Parse(out); err != nil {
		return nil, err
	}
	return out, nil
}

// Parse reads an approval and verifies its signature by the key that it
// carries. Any other form than the one of the package comment, down to the
// spaces, is ErrApproval.
func Parse(data []byte) (*Approval, error) {
	if len(data) > MaxApproval {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrApproval, len(data), MaxApproval)
	}
	lines := bytes.SplitAfterN(data, []byte("\n"), messageLines+1)
	if len(lines) != messageLines+1 {
		return nil, fmt.Errorf("%w: too few lines", ErrApproval)
	}
	armored := lines[messageLines]
	a := &Approval{message: bytes.Clone(data[:len(data)-len(armored)])}
	if err := a.readMessage(); err != nil {
		return nil, err
	}
	if err := a.readSignature(armored); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Approval) readMessage() error {
	lines := strings.Split(string(a.message), "\n")
	field := func(i int, name string) string {
		value, _ := strings.CutPrefix(lines[i], name+": ")
		return value
	}
	a.Kind, a.Officer = field(1, "ceremony"), field(3, "officer")
	digest, err := hex.DecodeString(field(2, "digest"))
	if err != nil || len(digest) != len(a.Digest) {
		return fmt.Errorf("%w: digest", ErrApproval)
	}
	copy(a.Digest[:], digest)
	if a.At, err = time.Parse(instantLayout, field(4, "at")); err != nil {
		return fmt.Errorf("%w: time", ErrApproval)
	}
	if err := trust.CheckID(a.Officer); err != nil {
		return fmt.Errorf("%w: officer: %w", ErrApproval, err)
	}
	if len(a.Kind) == 0 || len(a.Kind) > maxKind || strings.Trim(a.Kind, "abcdefghijklmnopqrstuvwxyz") != "" {
		return fmt.Errorf("%w: ceremony", ErrApproval)
	}
	// One form only: what two officers signed alike reads alike.
	if !bytes.Equal(a.message, Message(a.Kind, a.Digest, a.Officer, a.At)) {
		return fmt.Errorf("%w: not the five lines of an approval", ErrApproval)
	}
	return nil
}

func (a *Approval) readSignature(armored []byte) error {
	block, rest := pem.Decode(armored)
	if block == nil || block.Type != sshsig.PEMType || len(rest) != 0 || len(block.Headers) != 0 ||
		!bytes.HasPrefix(armored, []byte("-----BEGIN")) {
		return fmt.Errorf("%w: no SSH signature below the message", ErrApproval)
	}
	sig, err := sshsig.ParseSignature(block.Bytes)
	if err != nil || !bytes.Equal(sig.Marshal(), block.Bytes) {
		return fmt.Errorf("%w: malformed SSH signature", ErrApproval)
	}
	if err := checkType(sig.PublicKey); err != nil {
		return fmt.Errorf("%w: %w", ErrApproval, err)
	}
	if !hardware(sig.PublicKey) && len(sig.Signature.Rest) != 0 {
		return fmt.Errorf("%w: bytes behind the signature", ErrApproval)
	}
	if err := sshsig.Verify(bytes.NewReader(a.message), sig, sig.PublicKey, sig.HashAlgorithm, Namespace); err != nil {
		if errors.Is(err, sshsig.ErrNamespaceMismatch) {
			return fmt.Errorf("%w: signed for another purpose than %s", ErrApproval, Namespace)
		}
		return fmt.Errorf("%w: the signature is not over this message", ErrApproval)
	}
	a.signature = sig
	return nil
}

// Fingerprint names the key that signed, as OpenSSH does: "SHA256:…".
func (a *Approval) Fingerprint() string { return ssh.FingerprintSHA256(a.signature.PublicKey) }
