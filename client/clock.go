package client

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Clock compares this machine's clock with those of the servers that answer it
// (the Date of RFC 9110, section 6.6.1). What a server says of the time is
// believed by nobody: it is for telling a person why papers look expired, or not
// valid yet.
//
// It is safe for concurrent use.
type Clock struct {
	now func() time.Time

	mu   sync.Mutex
	seen map[string]Skew // by host
}

// NewClock makes a Clock of this machine's time; nil means time.Now.
func NewClock(now func() time.Time) *Clock {
	if now == nil {
		now = time.Now
	}
	return &Clock{now: now, seen: map[string]Skew{}}
}

// HTTP is [NewHTTP], and the servers' clocks are looked at.
func (c *Clock) HTTP(timeout time.Duration) *http.Client {
	hc := NewHTTP(timeout)
	hc.Transport = watched{hc.Transport, c}
	return hc
}

type watched struct {
	next  http.RoundTripper
	clock *Clock
}

func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err == nil {
		if there, perr := http.ParseTime(resp.Header.Get("Date")); perr == nil {
			here := w.clock.now()
			w.clock.mu.Lock()
			w.clock.seen[r.URL.Host] = Skew{Host: r.URL.Host, There: there, Here: here}
			w.clock.mu.Unlock()
		}
	}
	return resp, err
}

// Skew is what two clocks showed at one time.
type Skew struct {
	Host        string // whose clock the other one is
	There, Here time.Time
}

// bearable is a difference that nothing goes wrong with: offers are valid for
// minutes, and an answer takes its time.
const bearable = 2 * time.Minute

// Off returns a server's clock that differs from this machine's by more than two
// minutes. Where another server's agrees with this machine's, it is not this one
// that is wrong, and ok is false.
func (c *Clock) Off() (s Skew, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.seen {
		if x.There.Sub(x.Here).Abs() <= bearable {
			return Skew{}, false
		}
		if !ok || x.Host < s.Host {
			s, ok = x, true
		}
	}
	return s, ok
}

// String says it for a person.
func (s Skew) String() string {
	const form = "2006-01-02 15:04 UTC"
	way := "behind"
	if s.Here.After(s.There) {
		way = "ahead of"
	}
	return fmt.Sprintf("this machine's clock is %s %s that of %s (there %s, here %s)",
		about(s.There.Sub(s.Here).Abs()), way, printable(s.Host), s.There.UTC().Format(form), s.Here.UTC().Format(form))
}

// about is a time in words, in its largest unit.
func about(d time.Duration) string {
	count := func(unit time.Duration, one, many string) string {
		if n := int(d.Round(unit) / unit); n > 1 {
			return fmt.Sprintf("%d %s", n, many)
		}
		return one
	}
	switch {
	case d >= 23*time.Hour+30*time.Minute:
		return count(24*time.Hour, "a day", "days")
	case d >= 59*time.Minute+30*time.Second:
		return count(time.Hour, "an hour", "hours")
	}
	return count(time.Minute, "a minute", "minutes")
}
