package dashboard

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/speciecash/specie/coin"
)

// currency writes amounts.
type currency struct {
	code     string
	exponent int
}

// thin stands between groups of three digits; it does not break a line.
const thin = "\u202f"

// grouped writes a number.
func grouped(n int64) string {
	if n < 0 {
		return "−" + grouped(-n)
	}
	digits := strconv.FormatInt(n, 10)
	var out strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out.WriteString(thin)
		}
		out.WriteRune(d)
	}
	return out.String()
}

// amount writes minor units in major ones, without the currency.
func (c currency) amount(minor int64) string {
	if minor < 0 {
		return "−" + c.amount(-minor)
	}
	whole, rest, _ := strings.Cut(coin.Amount(minor).Format(c.exponent), ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return whole
	}
	if rest != "" {
		rest = "." + rest
	}
	return grouped(n) + rest
}

// money writes it with the currency.
func (c currency) money(minor int64) string { return c.amount(minor) + "\u00a0" + c.code }

// axis writes an amount without the zeros behind its point.
func (c currency) axis(minor int64) string {
	return strings.TrimSuffix(c.amount(minor), "."+strings.Repeat("0", c.exponent))
}

// plural writes how many there are of a thing.
func plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return grouped(n) + " " + thing + "s"
}

// size writes bytes.
func size(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB", "PB"}
	f, i := float64(n), 0
	for ; f >= 1000 && i < len(units)-1; i++ {
		f /= 1000
	}
	if i == 0 {
		return grouped(n) + " bytes"
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// brief writes a time that something takes.
func brief(seconds float64) string {
	switch {
	case seconds < 0.001:
		return fmt.Sprintf("%.0f µs", seconds*1e6)
	case seconds < 1:
		return fmt.Sprintf("%.1f ms", seconds*1e3)
	}
	return fmt.Sprintf("%.2f s", seconds)
}

// ago writes how long something is past, or ahead.
func ago(at, now time.Time) string {
	d := now.Sub(at)
	if d < 0 {
		return "in " + span(-d)
	}
	if d < time.Minute {
		return "just now"
	}
	return span(d) + " ago"
}

func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return plural(int64(d/day), "day")
	case d >= 2*time.Hour:
		return plural(int64(d/time.Hour), "hour")
	}
	return plural(int64(d/time.Minute), "minute")
}

// clock writes an instant.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// date writes a day.
func date(t time.Time) string { return t.UTC().Format("2006-01-02") }
