package paper

import (
	"encoding/base64"
	"errors"
	"strings"
)

// Base64 is bytes that stand in JSON as base64url without padding, in its
// only form.
type Base64 []byte

// MarshalText implements encoding.TextMarshaler.
func (b Base64) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// String returns the base64url text.
func (b Base64) String() string { return base64.RawURLEncoding.EncodeToString(b) }

// UnmarshalText implements encoding.TextUnmarshaler. Go's decoder skips line
// breaks even when strict, so those are refused first.
func (b *Base64) UnmarshalText(text []byte) error {
	if strings.ContainsAny(string(text), "\r\n") {
		return errors.New("line break in base64url")
	}
	out, err := base64.RawURLEncoding.Strict().DecodeString(string(text))
	if err != nil {
		return errors.New("not base64url")
	}
	*b = out
	return nil
}
