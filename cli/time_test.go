package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/cli"
)

func TestATimeIsADateOrAnInstant(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       time.Time
	}{
		{"a date is its first second", "2026-01-31", time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)},
		{"an instant", "2026-01-31T14:30:00Z", time.Date(2026, 1, 31, 14, 30, 0, 0, time.UTC)},
		{"an instant elsewhere", "2026-01-31T14:30:00+01:00", time.Date(2026, 1, 31, 13, 30, 0, 0, time.UTC)},
		{"no month", "2026-13-31", time.Time{}},
		{"no day of that month", "2026-02-30", time.Time{}},
		{"a time without a zone", "2026-01-31T14:30:00", time.Time{}},
		{"nothing", "", time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got cli.Time
			err := got.UnmarshalText([]byte(c.text))
			if !got.Time.Equal(c.want) || (err == nil) == c.want.IsZero() || err == nil && got.Location() != time.UTC {
				t.Fatalf("got %v, %v", got, err)
			}
			if err != nil && !strings.Contains(err.Error(), "a date such as 2026-01-31") {
				t.Errorf("got %v", err)
			}
		})
	}
}
