package enrol

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// decode reads base64url without padding in its only form. size is the exact
// length in bytes, or the negative of a maximum.
func decode(what, s string, size int) ([]byte, error) {
	limit := max(size, -size)
	if len(s) > base64.RawURLEncoding.EncodedLen(limit) || strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("%w: %s is not base64url of %d bytes", ErrMalformed, what, limit)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || size >= 0 && len(b) != size || len(b) == 0 {
		return nil, fmt.Errorf("%w: %s is not base64url of %d bytes", ErrMalformed, what, limit)
	}
	return b, nil
}

func decode32(what, s string) (out [32]byte, err error) {
	b, err := decode(what, s, 32)
	copy(out[:], b)
	return out, err
}

// parseTime reads RFC 3339 in UTC with whole seconds: one text per instant.
func parseTime(what, s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || formatTime(t) != s {
		return time.Time{}, fmt.Errorf("%w: %s is not a UTC time in whole seconds", ErrMalformed, what)
	}
	return t.UTC(), nil
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
