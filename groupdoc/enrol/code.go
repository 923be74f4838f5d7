package enrol

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/speciecash/specie/frame"
)

// codeAlphabet is Crockford's base 32: no letter that is taken for a digit.
const codeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// codeSize is the length of a code in characters of five bits: 100 bits, so
// that its hash says nothing of it.
const codeSize = 20

// Code is what the manager hands to a person whose membership he has ended, so
// that it can be begun again on another TPM or on a cleared one. It works
// once. The zero Code is none. It doesn't print and doesn't marshal.
type Code struct{ text string }

// NewCode makes one up.
func NewCode() (Code, error) {
	var b [codeSize]byte
	if _, err := rand.Read(b[:]); err != nil {
		return Code{}, fmt.Errorf("enrol: code: %w", err)
	}
	for i := range b {
		b[i] = codeAlphabet[b[i]&31]
	}
	return Code{string(b[:])}, nil
}

// ParseCode reads a code as a person types it: in either case, with or
// without hyphens and spaces, O for 0, I or L for 1. ErrMalformed, which never
// repeats the text.
func ParseCode(text string) (Code, error) {
	bad := fmt.Errorf("%w: a code has %d letters and digits, such as the manager printed", ErrMalformed, codeSize)
	if len(text) > 4*codeSize {
		return Code{}, bad
	}
	clean := strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(text))
	if len(clean) != codeSize || strings.Trim(clean, codeAlphabet) != "" {
		return Code{}, bad
	}
	return Code{clean}, nil
}

// IsZero tells that there is no code.
func (c Code) IsZero() bool { return c.text == "" }

// Reveal is the code for a person to copy, in groups of four.
func (c Code) Reveal() string {
	var groups []string
	for rest := c.text; len(rest) >= 4; rest = rest[4:] {
		groups = append(groups, rest[:4])
	}
	return strings.Join(groups, "-")
}

// Digest is what the manager keeps of it: SHA-256 of
// frame("specie/readmission/1", code).
func (c Code) Digest() [32]byte {
	return frame.Digest([]byte("specie/readmission/1"), []byte(c.text))
}

// Format keeps the code out of every verb of fmt.
func (Code) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// MarshalText refuses.
func (Code) MarshalText() ([]byte, error) {
	return nil, errors.New("enrol: a code does not marshal")
}
