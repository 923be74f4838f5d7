package cli

import (
	"fmt"
	"time"
)

// Time is a time on the command line: RFC 3339, or a plain date, which is its
// first second in UTC.
type Time struct{ time.Time }

// UnmarshalText reads either form. The error says what they look like.
func (t *Time) UnmarshalText(text []byte) error {
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(form, string(text)); err == nil {
			t.Time = at.UTC()
			return nil
		}
	}
	return fmt.Errorf("%q is no time: give a date such as 2026-01-31, which is its first second in UTC, or a time such as 2026-01-31T14:30:00Z", text)
}

// RFC3339 is the time as requests have it, empty for none.
func (t Time) RFC3339() string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// When is a time as people are shown it everywhere: to the minute, in UTC.
func When(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Moment is When to the second, where seconds count.
func Moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
