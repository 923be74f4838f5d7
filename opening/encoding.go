package opening

import (
	"encoding/base64"
	"errors"
	"strings"
)

// base64url is bytes that stand in JSON as base64url without padding, in its
// only form.
type base64url []byte

// MarshalText implements encoding.TextMarshaler.
func (b base64url) MarshalText() ([]byte, error) {
	return []byte(base64.RawURLEncoding.EncodeToString(b)), nil
}

// UnmarshalText implements encoding.TextUnmarshaler. Go's decoder skips line
// breaks even when strict, so those are refused first.
func (b *base64url) UnmarshalText(text []byte) error {
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
