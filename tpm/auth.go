package tpm

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// maxAuth is the longest authorisation value in bytes: the digest size of the
// group key's name algorithm.
const maxAuth = 32

const redacted = "[redacted]"

// Auth is the authorisation value of a group key, such as a PIN: 0 to 32 bytes,
// the last not zero, since a TPM drops trailing zeros. It does not print and does
// not marshal.
type Auth []byte

// String implements fmt.Stringer.
func (Auth) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Auth) GoString() string { return redacted }

// Format implements fmt.Formatter, for all verbs.
func (Auth) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements slog.LogValuer.
func (Auth) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText refuses: an authorisation value is not written anywhere.
func (Auth) MarshalText() ([]byte, error) {
	return nil, errors.New("an authorisation value does not marshal")
}

func (a Auth) check() error {
	if len(a) > maxAuth {
		return fmt.Errorf("%w: authorisation value of %d bytes, at most %d are possible", ErrInput, len(a), maxAuth)
	}
	if len(a) > 0 && a[len(a)-1] == 0 {
		return fmt.Errorf("%w: authorisation value ends in a zero byte, which a TPM drops", ErrInput)
	}
	return nil
}
