package fp256bn

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/speciecash/specie/group/fp256bn/fr"
)

// ScalarSize is the length of an encoded scalar in bytes.
const ScalarSize = 32

// Scalar is an integer modulo the group order n. Its zero value is 0.
//
// A scalar may be a secret, so it prints as [redacted], refuses to be
// marshalled and does not compare with ==; its arithmetic is constant time.
// [Scalar.Bytes] is the only way out.
type Scalar struct {
	_ [0]func() // not comparable: == would stop at the first difference
	e fr.Element
}

// RandomScalar returns a scalar drawn uniformly from 1 to n-1 with bytes of r,
// 32 of them but for a chance of 2⁻⁴⁶ of needing more. The error is r's.
func RandomScalar(r io.Reader) (Scalar, error) {
	var b [ScalarSize]byte
	defer clear(b[:])
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return Scalar{}, fmt.Errorf("reading a random scalar: %w", err)
		}
		s, err := ParseScalar(b[:])
		if err == nil && !s.IsZero() {
			return s, nil
		}
	}
}

// ParseScalar returns the scalar that b encodes: exactly 32 bytes, big-endian,
// below n. Zero is accepted. Anything else is [ErrScalar].
func ParseScalar(b []byte) (Scalar, error) {
	if len(b) != ScalarSize {
		return Scalar{}, fmt.Errorf("%w: %d bytes instead of %d", ErrScalar, len(b), ScalarSize)
	}
	w := words(b)
	if !fr.BelowModulus(&w) {
		return Scalar{}, fmt.Errorf("%w: not below the group order", ErrScalar)
	}
	var s Scalar
	s.e.SetWordsCT(&w)
	return s, nil
}

// ReduceScalar returns the big-endian integer b, of any length, modulo n. A
// hash output of 32 bytes is biased by 2⁻⁴⁶ at most, one of 48 or more by
// nothing that matters. The time depends on the length of b only.
func ReduceScalar(b []byte) Scalar {
	var s Scalar
	for len(b) > 0 {
		k := (len(b)-1)%ScalarSize + 1 // the first chunk takes the odd bytes
		w := words(b[:k])
		var chunk fr.Element
		chunk.SetWordsCT(&w)
		s.e.ShiftWordsCT(&s.e)
		s.e.AddCT(&s.e, &chunk)
		b = b[k:]
	}
	return s
}

// ScalarFromUint64 returns v as a scalar.
func ScalarFromUint64(v uint64) Scalar {
	var s Scalar
	s.e.SetWordsCT(&[4]uint64{v})
	return s
}

// Add returns s+t.
func (s Scalar) Add(t Scalar) Scalar { s.e.AddCT(&s.e, &t.e); return s }

// Sub returns s-t.
func (s Scalar) Sub(t Scalar) Scalar { s.e.SubCT(&s.e, &t.e); return s }

// Mul returns s·t.
func (s Scalar) Mul(t Scalar) Scalar { s.e.MulCT(&s.e, &t.e); return s }

// Neg returns -s.
func (s Scalar) Neg() Scalar { s.e.NegCT(&s.e); return s }

// Inverse returns 1/s, and 0 for 0.
func (s Scalar) Inverse() Scalar { s.e.InverseCT(&s.e); return s }

// IsZero reports whether s is 0.
func (s Scalar) IsZero() bool { return s.Equal(Scalar{}) }

// Equal reports whether s and t are the same scalar.
func (s Scalar) Equal(t Scalar) bool {
	a, b := s.Bytes(), t.Bytes()
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// Bytes returns s as 32 bytes big-endian, the form that [ParseScalar] reads.
func (s Scalar) Bytes() [ScalarSize]byte { return wordsBytes(s.e.WordsCT()) }

// String returns "[redacted]".
func (Scalar) String() string { return redacted }

// GoString returns "[redacted]".
func (Scalar) GoString() string { return redacted }

// Format writes "[redacted]" whatever the verb, so that %x and %d, which ask
// no Stringer, do not print the limbs.
func (Scalar) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns "[redacted]".
func (Scalar) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always fails: a secret does not slip into JSON with the struct
// around it.
func (Scalar) MarshalText() ([]byte, error) {
	return nil, errors.New("a scalar does not marshal: use Bytes")
}

const redacted = "[redacted]"

// words returns the big-endian integer b, at most 32 bytes long, as words,
// least significant first.
func words(b []byte) [4]uint64 {
	var full [32]byte
	copy(full[32-len(b):], b)
	var w [4]uint64
	for i := range w {
		w[i] = binary.BigEndian.Uint64(full[24-8*i:])
	}
	return w
}

// wordsBytes is the inverse of words.
func wordsBytes(w [4]uint64) [32]byte {
	var b [32]byte
	for i := range w {
		binary.BigEndian.PutUint64(b[24-8*i:], w[i])
	}
	return b
}
