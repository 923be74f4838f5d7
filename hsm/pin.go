package hsm

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
)

const (
	minPIN = 4
	maxPIN = 255
)

// errSecret answers every attempt to marshal a PIN.
var errSecret = errors.New("hsm: a PIN does not marshal")

// A PIN opens a token. It prints as [redacted] under every verb, does not
// marshal, and can't be compared with ==. Copies of the value share one
// buffer. The zero PIN is no PIN.
//
// The bytes sit behind a function value so that a printer which walks
// unexported fields by reflection finds an address and nothing else. The
// module and the C heap hold copies of their own for the time of a login: a
// PIN is only as safe as the memory of the process.
type PIN struct{ reveal func() []byte }

// NewPIN copies b, 4 to 255 bytes without control characters, into a PIN. A
// refusal is ErrInput and never repeats b.
func NewPIN(b []byte) (PIN, error) {
	if len(b) < minPIN || len(b) > maxPIN {
		return PIN{}, fmt.Errorf("%w: a PIN has %d to %d bytes, not %d", ErrInput, minPIN, maxPIN, len(b))
	}
	for _, c := range b {
		if c < 0x20 || c == 0x7f {
			return PIN{}, fmt.Errorf("%w: control character in a PIN", ErrInput)
		}
	}
	own := bytes.Clone(b)
	return PIN{reveal: func() []byte { return own }}, nil
}

// RandomPIN returns a PIN of 32 hexadecimal digits, 128 bits from
// crypto/rand.
func RandomPIN() PIN {
	var raw [16]byte
	rand.Read(raw[:]) // crypto/rand.Read never fails
	text := make([]byte, hex.EncodedLen(len(raw)))
	hex.Encode(text, raw[:])
	clear(raw[:])
	return PIN{reveal: func() []byte { return text }}
}

// ReadPIN reads a PIN from a regular file of mode 0600 or 0400 that belongs to
// this user. One line end after the PIN is dropped. Every refusal of the file
// or of what it holds is ErrInput; a failure to read is the system's error.
func ReadPIN(path string) (PIN, error) { return readPINFile(path, privateFile()) }

// parsePIN takes the content of a PIN file.
func parsePIN(raw []byte) (PIN, error) {
	raw = bytes.TrimSuffix(raw, []byte("\n"))
	raw = bytes.TrimSuffix(raw, []byte("\r"))
	return NewPIN(raw)
}

// Save writes the PIN to a new file of mode 0600 and syncs it. A file that
// exists is never overwritten: a lost PIN is a lost token.
func (p PIN) Save(path string) error {
	if p.IsZero() {
		return fmt.Errorf("%w: no PIN to save", ErrInput)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("hsm: PIN file: %w", err)
	}
	line := append(bytes.Clone(p.reveal()), '\n')
	defer clear(line)
	_, err = f.Write(line)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("hsm: PIN file: %w", err)
	}
	return nil
}

// IsZero tells whether p is the zero PIN. A destroyed PIN is not zero.
func (p PIN) IsZero() bool { return p.reveal == nil }

// Destroy overwrites the PIN's bytes in this value and all its copies. A
// Token keeps a copy of its own until it is closed.
func (p PIN) Destroy() {
	if p.reveal != nil {
		clear(p.reveal())
	}
}

func (p PIN) clone() PIN {
	own := bytes.Clone(p.reveal())
	return PIN{reveal: func() []byte { return own }}
}

// String returns [redacted].
func (PIN) String() string { return "[redacted]" }

// GoString returns [redacted].
func (PIN) GoString() string { return "[redacted]" }

// Format writes [redacted] whatever the verb.
func (PIN) Format(s fmt.State, _ rune) { io.WriteString(s, "[redacted]") }

// LogValue is [redacted].
func (PIN) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText always fails.
func (PIN) MarshalText() ([]byte, error) { return nil, errSecret }

// MarshalJSON always fails.
func (PIN) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalBinary always fails, and encoding/gob with it.
func (PIN) MarshalBinary() ([]byte, error) { return nil, errSecret }
