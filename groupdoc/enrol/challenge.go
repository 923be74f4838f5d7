package enrol

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group"
)

// ID names a registration and, once it is active, the member: 16 bytes.
type ID [16]byte

// String is the id as base64url, as it stands in paths.
func (id ID) String() string { return encode(id[:]) }

// ParseID reads what String writes.
func ParseID(s string) (ID, error) {
	b, err := decode("id", s, len(ID{}))
	if err != nil {
		return ID{}, err
	}
	return ID(b), nil
}

// SecretSize is the length of a challenge's secret in bytes: no more than the
// digest of the EK's name algorithm, or TPM2_MakeCredential refuses it.
const SecretSize = 32

// Secret is what TPM2_ActivateCredential releases. It doesn't print and
// doesn't marshal.
type Secret struct{ b [SecretSize]byte }

// NewSecret takes the bytes that a TPM released.
func NewSecret(b []byte) (Secret, error) {
	if len(b) != SecretSize {
		return Secret{}, fmt.Errorf("%w: challenge of %d bytes", ErrMalformed, len(b))
	}
	return Secret{b: [SecretSize]byte(b)}, nil
}

// Bytes is for TPM2_MakeCredential and nothing else.
func (s Secret) Bytes() []byte { return s.b[:] }

// Format keeps the secret out of every verb of fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// MarshalText refuses.
func (Secret) MarshalText() ([]byte, error) {
	return nil, errors.New("enrol: a challenge's secret does not marshal")
}

func (s Secret) derive(parts ...[]byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, s.b[:], nil, string(frame.Join(parts...)), 32)
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	return key, nil
}

// MAC answers the challenge of a registration: HMAC-SHA256 under a key that
// hangs on the secret, over frame("specie/activation/1", id). 32 bytes.
func (s Secret) MAC(id ID) ([]byte, error) {
	key, err := s.derive([]byte("specie/activation/1"))
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, key)
	h.Write(frame.Join([]byte("specie/activation/1"), id[:]))
	return h.Sum(nil), nil
}

// CheckMAC compares in constant time; ErrMAC.
func (s Secret) CheckMAC(id ID, mac []byte) error {
	want, err := s.MAC(id)
	if err != nil {
		return err
	}
	if !hmac.Equal(want, mac) {
		return ErrMAC
	}
	return nil
}

// aead is AES-256-GCM under a key for one member and one epoch. A credential
// is a function of the member's points and the epoch, so this key encrypts
// one message only and the nonce can be zero.
func (s Secret) aead(id ID, epoch uint64) (cipher.AEAD, error) {
	key, err := s.derive([]byte("specie/credential/1"), id[:], frame.Uint64(epoch))
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	return cipher.NewGCM(block)
}

// SealCredential encrypts a member's credential under the secret. The same
// credential gives the same bytes.
func (s Secret) SealCredential(id ID, c group.Credential) ([]byte, error) {
	gcm, err := s.aead(id, c.Epoch)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(nil, make([]byte, gcm.NonceSize()), c.Bytes(), nil), nil
}

// OpenCredential decrypts the credential of a member for an epoch
// (ErrCredential). That it certifies the member is group.NewMember's check.
func (s Secret) OpenCredential(id ID, epoch uint64, sealed []byte) (group.Credential, error) {
	gcm, err := s.aead(id, epoch)
	if err != nil {
		return group.Credential{}, err
	}
	plain, err := gcm.Open(nil, make([]byte, gcm.NonceSize()), sealed, nil)
	if err != nil {
		return group.Credential{}, ErrCredential
	}
	c, err := group.ParseCredential(plain)
	if err != nil || c.Epoch != epoch {
		return group.Credential{}, fmt.Errorf("%w: it is no credential for epoch %d", ErrCredential, epoch)
	}
	return c, nil
}
