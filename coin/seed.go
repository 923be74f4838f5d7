package coin

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"

	"github.com/speciecash/specie/frame"
)

// Seed is the 32 bytes from which all secrets of a wallet's coins derive.
// It prints as [redacted] and does not marshal; a wallet that must store it
// takes the bytes by slicing, where the reader of the code can see it.
type Seed [32]byte

const redacted = "[redacted]"

var errSecret = errors.New("coin: a secret does not marshal")

// String returns [redacted].
func (Seed) String() string { return redacted }

// GoString returns [redacted].
func (Seed) GoString() string { return redacted }

// Format prints [redacted] whatever the verb.
func (Seed) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue returns [redacted].
func (Seed) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText refuses.
func (Seed) MarshalText() ([]byte, error) { return nil, errSecret }

// MarshalBinary refuses.
func (Seed) MarshalBinary() ([]byte, error) { return nil, errSecret }

// Equal compares two seeds in constant time.
func (s Seed) Equal(t Seed) bool { return subtle.ConstantTimeCompare(s[:], t[:]) == 1 }

// The roles of derived secrets: HKDF-SHA256 (RFC 5869) with the seed as key,
// the key id as salt and as info
//
//	frame("specie/derive/1", role, index as 8 bytes big-endian, context)
//
// where context is the bank's id for owner, nonce and holding, and the coin's
// whole message for the others. With the message in it, two different coins never
// share a blinding factor, whatever a bank lists and whichever TPM a wallet
// is restored on; the quotient of two blinded messages under one factor would
// link both to their spending. The role blind gives a coin's BlindSecret.
const (
	deriveLabel    = "specie/derive/1"
	roleOwner      = "owner"
	roleNonce      = "nonce"
	roleRandomizer = "randomizer"
	roleBlind      = "blind"
	roleHolding    = "holding"
)

// derive returns n bytes, at most 8160.
func (s Seed) derive(kid KeyID, role string, index uint64, context []byte, n int) ([]byte, error) {
	info := frame.Join([]byte(deriveLabel), []byte(role), frame.Uint64(index), context)
	out, err := hkdf.Key(sha256.New, s[:], kid[:], string(info), n)
	if err != nil {
		return nil, fmt.Errorf("coin: derive %s: %w", role, err)
	}
	return out, nil
}

// OwnerKey returns the key that owns bearer coin number index under a bank's
// key.
func OwnerKey(seed Seed, bank string, kid KeyID, index uint64) (ed25519.PrivateKey, error) {
	b, err := seed.derive(kid, roleOwner, index, []byte(bank), ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(b), nil
}

// BoundNonce returns N of bound coin number index under a bank's key.
func BoundNonce(seed Seed, bank string, kid KeyID, index uint64) ([NonceSize]byte, error) {
	b, err := seed.derive(kid, roleNonce, index, []byte(bank), NonceSize)
	if err != nil {
		return [NonceSize]byte{}, err
	}
	return [NonceSize]byte(b), nil
}
