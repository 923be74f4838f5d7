package server

import (
	"math"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"
)

// Rate bounds how fast one client may ask. The zero value is no bound.
type Rate struct {
	// PerSecond is how many requests a client may make in the long run, Burst
	// how many at once.
	PerSecond float64
	Burst     int
	// TrustedProxies are who is believed in X-Forwarded-For; others are clients
	// themselves.
	TrustedProxies []netip.Prefix
}

// rateClients is how many clients a throttle remembers at least. Who has been
// forgotten begins with a full bucket, so an attacker with more addresses than
// this is not slowed down; nothing here could.
const rateClients = 1 << 15

// throttle keeps a bucket for each client, in two generations: when the young
// one is full, the old one is forgotten. Who comes often is always in the young
// one, and memory is bounded.
type throttle struct {
	cfg Rate

	mu         sync.Mutex
	young, old map[netip.Addr]*rate.Limiter
}

// newThrottle returns nil for no bound.
func newThrottle(cfg Rate) *throttle {
	if cfg.PerSecond <= 0 {
		return nil
	}
	return &throttle{cfg: cfg, young: map[netip.Addr]*rate.Limiter{}}
}

// wait is how long that client must wait, zero if it may go on.
func (t *throttle) wait(client netip.Addr, now time.Time) time.Duration {
	r := t.bucket(client).ReserveN(now, 1)
	if !r.OK() {
		return time.Second
	}
	delay := r.DelayFrom(now)
	if delay > 0 {
		r.CancelAt(now)
	}
	return delay
}

func (t *throttle) bucket(client netip.Addr) *rate.Limiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l, ok := t.young[client]; ok {
		return l
	}
	l, ok := t.old[client]
	if !ok {
		l = rate.NewLimiter(rate.Limit(t.cfg.PerSecond), t.cfg.Burst)
	}
	if len(t.young) >= rateClients {
		t.young, t.old = map[netip.Addr]*rate.Limiter{}, t.young
	}
	t.young[client] = l
	return l
}

// client is the address that a request counts for: the peer's, or if that is a
// trusted proxy, the last in X-Forwarded-For that is none. Of IPv6, the /64 that
// one customer has.
func (t *throttle) client(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr := parseAddr(host)
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, f := range slices.Backward(forwarded) {
		if !slices.ContainsFunc(t.cfg.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			break
		}
		next := parseAddr(strings.TrimSpace(f))
		if !next.IsValid() {
			break
		}
		addr = next
	}
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}

// parseAddr is the zero address for what is none: those share a bucket.
func parseAddr(s string) netip.Addr {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

// throttled refuses a request that comes too fast, before its token is looked
// up. Only routes of the table that are marked cheap are free.
func throttled(t *throttle, table routes) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			req := c.Request()
			r, ok := table[req.Method+" "+c.Path()]
			if t == nil || !ok || r.cheap {
				return next(c)
			}
			if wait := t.wait(t.client(req), time.Now()); wait > 0 {
				return &Problem{
					Status: http.StatusTooManyRequests, Code: CodeBusy, Detail: "too many requests from this address; repeat it unchanged",
					RetryAfter: time.Duration(math.Ceil(wait.Seconds())) * time.Second,
				}
			}
			return next(c)
		}
	}
}
