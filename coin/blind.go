package coin

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"log/slog"

	"github.com/speciecash/specie/frame"
)

const blindingLabel = "specie/blinding/1"

// BlindSecret is what the salt and the blinding factor of one coin come from:
//
//	HKDF-SHA256 (RFC 5869), key the secret, salt the key id,
//	info frame("specie/blinding/1", prepared message)
//
// gives 48 bytes of salt, then 16 bytes more than the modulus has, which are
// reduced to the factor. So a blinded message is a commitment to one coin: with
// the factor chosen freely, whoever has the bank's private key opens any
// blinded message to any coin, r = (blinded/EM)^d; a hash he can't steer like
// that. Without the secret it hides the coin as before.
//
// It prints as [redacted] and does not marshal. Shown in a Claim, it links that
// one coin with its withdrawal, and says nothing about other coins.
type BlindSecret [32]byte

// String returns [redacted].
func (BlindSecret) String() string { return redacted }

// GoString returns [redacted].
func (BlindSecret) GoString() string { return redacted }

// Format prints [redacted] whatever the verb.
func (BlindSecret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue returns [redacted].
func (BlindSecret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText refuses.
func (BlindSecret) MarshalText() ([]byte, error) { return nil, errSecret }

// blind blinds a prepared message under key d.
func (s BlindSecret) blind(d *Denomination, prepared []byte) (blinding, error) {
	info := frame.Join([]byte(blindingLabel), prepared)
	// 128 bits more than the modulus, so that reducing leaves no bias.
	out, err := hkdf.Key(sha256.New, s[:], d.KeyID[:], string(info), sha512.Size384+d.PublicKey.Size()+16)
	if err != nil {
		return blinding{}, fmt.Errorf("coin: derive blinding: %w", err)
	}
	return blind(d.PublicKey, prepared, out[:sha512.Size384], factor(out[sha512.Size384:], d.PublicKey))
}
