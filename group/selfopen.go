package group

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/speciecash/specie/group/fp256bn"
)

// OpeningKey is the k of one presentation, E1 = [k]G: whoever holds it opens
// that presentation as the supervisors would, and no other. It is its signer's
// to keep, and to show when he wants to be known as its signer. It prints as
// nothing and doesn't marshal but by Bytes.
type OpeningKey struct{ k fp256bn.Scalar }

// OpeningKeySize is the length of an encoded [OpeningKey] in bytes.
const OpeningKeySize = 32

// Bytes returns k, [OpeningKeySize] bytes big-endian, for the signer's own
// store or for whom he opens the presentation to.
func (k OpeningKey) Bytes() []byte { b := k.k.Bytes(); return b[:] }

// Format keeps k out of every verb of fmt.
func (OpeningKey) Format(f fmt.State, _ rune) { redact(f) }

// LogValue keeps k out of logs.
func (OpeningKey) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText always fails: the key does not slip into JSON with the struct
// around it.
func (OpeningKey) MarshalText() ([]byte, error) {
	return nil, errors.New("an opening key does not marshal: use Bytes")
}

// ParseOpeningKey reads the [OpeningKeySize] bytes of [OpeningKey.Bytes].
func ParseOpeningKey(b []byte) (OpeningKey, error) {
	k, err := fp256bn.ParseScalar(b)
	if err != nil || k.IsZero() {
		return OpeningKey{}, fmt.Errorf("opening key: %w", ErrMalformed)
	}
	return OpeningKey{k: k}, nil
}

// PresentOpen is [Member.Present], and returns the presentation's opening key
// beside it. The presentation is the same in every respect: nothing in it
// shows that its signer kept k.
func (m *Member) PresentOpen(ctx context.Context, key Key, message []byte, claims []Claim) (*Presentation, OpeningKey, error) {
	p, k, err := m.present(ctx, key, message, claims)
	return p, OpeningKey{k: k}, err
}

// SelfOpen verifies the presentation and returns the tag F of its signer, 33
// bytes, by the key that he kept: F = E2 − [k]O. E1 = [k]G is checked, or k
// would be a free choice of F ([ErrOpeningKey]); other errors are those of
// [Verifier.Verify]. It needs no supervisor and tells nothing about any other
// presentation.
func SelfOpen(v *Verifier, it Item, k OpeningKey) ([33]byte, error) {
	if err := v.Verify(it.Presentation, it.Message, it.Claims); err != nil {
		return [33]byte{}, fmt.Errorf("self-open: %w", err)
	}
	p, err := ParsePresentation(it.Presentation)
	if err != nil {
		return [33]byte{}, err
	}
	if !fixedBases().g.Mul(k.k).Equal(p.E1) {
		return [33]byte{}, fmt.Errorf("self-open: %w", ErrOpeningKey)
	}
	return p.E2.Sub(v.params.O.Mul(k.k)).Bytes(), nil
}
