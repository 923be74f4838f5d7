package warrant

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode"
)

func encode(b [32]byte) string { return base64.RawURLEncoding.EncodeToString(b[:]) }

// decode reads 32 bytes in their only form: the standard decoder by itself
// lets line breaks through.
func decode(what, s string) (out [32]byte, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(out) || strings.ContainsAny(s, "\r\n") {
		return out, fmt.Errorf("%w: %s is not base64url of 32 bytes", ErrMalformed, what)
	}
	return [32]byte(b), nil
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// parseTime reads RFC 3339 in UTC with whole seconds: one text per instant.
func parseTime(what, s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || formatTime(t) != s {
		return time.Time{}, fmt.Errorf("%w: %s is not a UTC time in whole seconds", ErrMalformed, what)
	}
	return t.UTC(), nil
}

// readable says whether a text of people's is one line that shows what it is.
func readable(s string, most int) bool {
	n := len([]rune(s))
	return n > 0 && n <= most && strings.TrimSpace(s) == s && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
