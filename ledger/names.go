package ledger

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// ValidAccount reports whether s is an account path: 1 to 200 bytes,
// elements of A-Z a-z 0-9 . _ - joined by single slashes.
func ValidAccount(s string) bool {
	if len(s) > 200 {
		return false
	}
	for element := range strings.SplitSeq(s, "/") {
		if !within(element, 1, 200, func(c byte) bool {
			return lowerOrDigit(c) || upperOrDigit(c) || c == '.' || c == '_' || c == '-'
		}) {
			return false
		}
	}
	return true
}

// Class returns the first element of an account path: "holder" for
// "holder/7f3a".
func Class(account string) string {
	class, _, _ := strings.Cut(account, "/")
	return class
}

// ValidEpoch reports whether s names a spent set: [a-z0-9_]{1,40}. Drivers
// make table names of epochs, so this is also what keeps SQL out of them.
func ValidEpoch(s string) bool {
	return within(s, 1, 40, func(c byte) bool { return lowerOrDigit(c) || c == '_' })
}

// ValidLane reports whether s names a lane: [a-z0-9_-]{1,40}.
func ValidLane(s string) bool {
	return within(s, 1, 40, func(c byte) bool { return lowerOrDigit(c) || c == '_' || c == '-' })
}

// ValidName reports whether s is a kind or a state: [a-z][a-z0-9-]{0,39}.
func ValidName(s string) bool {
	return within(s, 1, 40, func(c byte) bool { return lowerOrDigit(c) || c == '-' }) && s[0] >= 'a'
}

// ValidMetaKey reports whether s is a key of Meta, in the alphabet of lanes.
func ValidMetaKey(s string) bool { return ValidLane(s) }

// validText reports whether s is human text: at most max bytes of UTF-8
// without NUL, which PostgreSQL cannot store.
func validText(s string, max int) bool {
	return len(s) <= max && utf8.ValidString(s) && !strings.Contains(s, "\x00")
}

// validTime reports whether t can be kept as microseconds since 1970 in the
// integers that JSON carries.
func validTime(t time.Time) bool {
	return t.Unix() > 0 && t.Unix() < MaxAmount/1_000_000
}

func within(s string, min, max int, in func(byte) bool) bool {
	if len(s) < min || len(s) > max {
		return false
	}
	for i := range len(s) {
		if !in(s[i]) {
			return false
		}
	}
	return true
}

func lowerOrDigit(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
func upperOrDigit(c byte) bool { return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}
