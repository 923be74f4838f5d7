package gate

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of what a gate remembers and forgives.
const (
	// MaxSessions is how many browsers are let in at once; the one that came
	// first has to enter again when there are more.
	MaxSessions = 64
	// FreeTries is how many wrong codes in a row are answered at once; after
	// that a try may be made each second.
	FreeTries = 10
)

// alphabet has no letters that are read for others: I, L, O, U are missing.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Config says what a gate is for.
type Config struct {
	// Cookie names the session's cookie. Cookies are kept by host and not by
	// port: two pages on one machine need two names, see CookieAt.
	Cookie string
	// Hosts are the Host names, with their ports, that the page answers to; see
	// HostsOf.
	Hosts []string
	// Secure marks the cookie for TLS.
	Secure bool
	// Clock is time.Now if nil.
	Clock func() time.Time
}

// Gate lets in who has the code.
type Gate struct {
	cfg  Config
	code string

	mu       sync.Mutex
	sessions [][sha256.Size]byte // the newest last
	wrong    int                 // codes in a row
	next     time.Time           // when another try is heard
}

// New makes a gate with a code of its own.
func New(cfg Config) *Gate {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	raw := make([]byte, 12)
	_, _ = rand.Read(raw) // never fails
	var code strings.Builder
	for i, b := range raw {
		if i > 0 && i%4 == 0 {
			code.WriteByte('-')
		}
		code.WriteByte(alphabet[b%32])
	}
	return &Gate{cfg: cfg, code: code.String()}
}

// CookieAt is a cookie's name for the page that listens at an address: that of
// another port has another, so that to enter one page does not close the other.
func CookieAt(name string, listen net.Addr) string {
	_, port, err := net.SplitHostPort(listen.String())
	if err != nil {
		return name
	}
	return name + "-" + port
}

// HostsOf are the names that a page answers to that listens at an address
// (host:port): the address itself, for a loopback address its other names, for
// an unspecified one those of this machine; and more, names or addresses without
// a port, which may be those of a web server before the page that has a port of
// its own: they are answered to without one too.
func HostsOf(listen net.Addr, more ...string) []string {
	host, port, err := net.SplitHostPort(listen.String())
	if err != nil {
		return more
	}
	names := append([]string{host}, more...)
	ip := net.ParseIP(host)
	if ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		names = append(names, "localhost", "127.0.0.1", "::1")
	}
	if ip != nil && ip.IsUnspecified() {
		addresses, _ := net.InterfaceAddrs() // none known: then by the names given
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok {
				names = append(names, n.IP.String())
			}
		}
	}
	var out []string
	for _, n := range names {
		out = append(out, net.JoinHostPort(n, port))
		if port == "80" || port == "443" || slices.Contains(more, n) { // browsers leave them away
			out = append(out, strings.TrimSuffix(net.JoinHostPort(n, ""), ":"))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Code is what is printed: three groups of four letters and digits.
func (g *Gate) Code() string { return g.code }

// Link is the page's address with the code behind it, as a fragment: browsers
// send that to nobody.
func (g *Gate) Link(base string) string { return base + "#" + g.code }

// Fence answers what must not come through at all: another Host, another site's
// request. What passes gets headers that keep the page from being framed,
// sniffed, cached or quoted as a referrer; csp is its Content-Security-Policy.
func (g *Gate) Fence(csp string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !slices.ContainsFunc(g.cfg.Hosts, func(own string) bool { return strings.EqualFold(own, r.Host) }) {
			http.Error(w, "this page is not served under that name", http.StatusMisdirectedRequest)
			return
		}
		if !ownSite(r) {
			http.Error(w, "another site's page made this request", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ownSite says whether a request is one that the person or the page itself
// made. To follow a link from elsewhere is no more than to type it; a browser so
// old that it does not say is judged by its cookie, which is SameSite=Strict.
func ownSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header.Get("Sec-Fetch-Mode") == "navigate"
}

// Entered says whether a request comes from a browser that was let in.
func (g *Gate) Entered(r *http.Request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	found := 0
	// Another page of this host can set a cookie of this name for a longer path,
	// which comes first: it must not shut out who has the right one.
	for _, c := range r.CookiesNamed(g.cfg.Cookie) {
		sum := sha256.Sum256([]byte(c.Value))
		for i := range g.sessions {
			found |= subtle.ConstantTimeCompare(g.sessions[i][:], sum[:])
		}
	}
	return found == 1
}

// Enter lets a browser in that gives the code: it sets the session's cookie and
// returns 0, or else the status that the try deserves, 403 or 429. Blanks, dashes
// and case of the code don't matter. The caller answers.
func (g *Gate) Enter(w http.ResponseWriter, code string) (status int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.cfg.Clock()
	if g.wrong >= FreeTries && now.Before(g.next) {
		return http.StatusTooManyRequests
	}
	given, want := sha256.Sum256([]byte(plain(code))), sha256.Sum256([]byte(plain(g.code)))
	if len(code) > 64 || subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
		g.wrong++
		g.next = now.Add(time.Second)
		return http.StatusForbidden
	}
	g.wrong = 0
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	value := base64.RawURLEncoding.EncodeToString(raw)
	g.sessions = append(g.sessions, sha256.Sum256([]byte(value)))
	if len(g.sessions) > MaxSessions {
		g.sessions = slices.Delete(g.sessions, 0, 1)
	}
	http.SetCookie(w, g.cookie(value, 0))
	return 0
}

// Leave ends the session of a browser, if it has one.
func (g *Gate) Leave(w http.ResponseWriter, r *http.Request) {
	for _, c := range r.CookiesNamed(g.cfg.Cookie) {
		sum := sha256.Sum256([]byte(c.Value))
		g.mu.Lock()
		g.sessions = slices.DeleteFunc(g.sessions, func(s [sha256.Size]byte) bool { return s == sum })
		g.mu.Unlock()
	}
	http.SetCookie(w, g.cookie("", -1))
}

func (g *Gate) cookie(value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: g.cfg.Cookie, Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: g.cfg.Secure, SameSite: http.SameSiteStrictMode,
	}
}

// plain is a code without what people add to it.
func plain(code string) string {
	return strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(strings.TrimSpace(code)))
}
