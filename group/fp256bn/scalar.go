package fp256bn

import (
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
	_ [0]func() // not comparable: == would compare the pointers

	// Never written to once set; nil is 0. It is a pointer because fmt calls
	// no method of a value in an unexported field: it would print the words
	// of the scalar in a struct{ key Scalar }, but of a pointer the address.
	e *fr.Element
}

func newScalar(e fr.Element) Scalar { return Scalar{e: &e} }

func (s Scalar) element() fr.Element {
	if s.e == nil {
		return fr.Element{}
	}
	return *s.e
}

// RandomScalar returns a scalar drawn uniformly from 1 to n-1 with bytes of r,
// 32 of them but for a chance of 2⁻⁴⁶ of needing more. The error is r's, or
// that its bytes can't be random.
func RandomScalar(r io.Reader) (Scalar, error) {
	var b [ScalarSize]byte
	defer clear(b[:])
	for range 8 {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return Scalar{}, fmt.Errorf("reading a random scalar: %w", err)
		}
		s, err := ParseScalar(b[:])
		if err == nil && !s.IsZero() {
			return s, nil
		}
	}
	return Scalar{}, errors.New("reading a random scalar: the source is not random")
}

// ParseScalar returns the scalar that b encodes: exactly 32 bytes, big-endian,
// below n. Zero is accepted. Anything else is [ErrScalar].
func ParseScalar(b []byte) (Scalar, error) {
	if len(b) != ScalarSize {
		return Scalar{}, fmt.Errorf("%w: %d bytes instead of %d", ErrScalar, len(b), ScalarSize)
	}
	w := parseWords(b)
	if !fr.BelowModulus(&w) {
		return Scalar{}, fmt.Errorf("%w: not below the group order", ErrScalar)
	}
	var e fr.Element
	e.SetWordsCT(&w)
	return newScalar(e), nil
}

// ReduceScalar returns the big-endian integer b, of any length, modulo n. A
// hash output of 32 bytes is biased by 2⁻⁴⁶ at most, one of 48 or more by
// nothing that matters. The time depends on the length of b only.
func ReduceScalar(b []byte) Scalar {
	var e, chunk fr.Element
	for len(b) > 0 {
		k := (len(b)-1)%ScalarSize + 1 // the first chunk takes the odd bytes
		w := parseWords(b[:k])
		chunk.SetWordsCT(&w)
		e.ShiftWordsCT(&e)
		e.AddCT(&e, &chunk)
		b = b[k:]
	}
	return newScalar(e)
}

// ScalarFromUint64 returns v as a scalar.
func ScalarFromUint64(v uint64) Scalar {
	var e fr.Element
	e.SetWordsCT(&[4]uint64{v})
	return newScalar(e)
}

// Add returns s+t.
func (s Scalar) Add(t Scalar) Scalar {
	x, y := s.element(), t.element()
	x.AddCT(&x, &y)
	return newScalar(x)
}

// Sub returns s-t.
func (s Scalar) Sub(t Scalar) Scalar {
	x, y := s.element(), t.element()
	x.SubCT(&x, &y)
	return newScalar(x)
}

// Mul returns s·t.
func (s Scalar) Mul(t Scalar) Scalar {
	x, y := s.element(), t.element()
	x.MulCT(&x, &y)
	return newScalar(x)
}

// Neg returns -s.
func (s Scalar) Neg() Scalar {
	x := s.element()
	x.NegCT(&x)
	return newScalar(x)
}

// Inverse returns 1/s, and 0 for 0.
func (s Scalar) Inverse() Scalar {
	x := s.element()
	x.InverseCT(&x)
	return newScalar(x)
}

// IsZero reports whether s is 0.
func (s Scalar) IsZero() bool { return s.Equal(Scalar{}) }

// Equal reports whether s and t are the same scalar.
func (s Scalar) Equal(t Scalar) bool {
	x, y := s.element(), t.element()
	return x.NotEqual(&y) == 0
}

// Bytes returns s as 32 bytes big-endian, the form that [ParseScalar] reads.
func (s Scalar) Bytes() [ScalarSize]byte { return wordsBytes(s.words()) }

// words returns s as an integer below n, least significant word first.
func (s Scalar) words() [4]uint64 {
	x := s.element()
	return x.WordsCT()
}

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

// parseWords returns the big-endian integer b, at most 32 bytes long, as
// words, least significant first.
func parseWords(b []byte) [4]uint64 {
	var full [32]byte
	copy(full[32-len(b):], b)
	var w [4]uint64
	for i := range w {
		w[i] = binary.BigEndian.Uint64(full[24-8*i:])
	}
	return w
}

// wordsBytes is the inverse of parseWords.
func wordsBytes(w [4]uint64) [32]byte {
	var b [32]byte
	for i := range w {
		binary.BigEndian.PutUint64(b[24-8*i:], w[i])
	}
	return b
}
