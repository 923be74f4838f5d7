package gate_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/gate"
)

func newGate(clock func() time.Time) *gate.Gate {
	return gate.New(gate.Config{Cookie: "page", Hosts: []string{"127.0.0.1:9090", "localhost:9090"}, Clock: clock})
}

// enter gives a code and returns the cookie.
func enter(t *testing.T, g *gate.Gate, code string) (*http.Cookie, int) {
	t.Helper()
	w := httptest.NewRecorder()
	status := g.Enter(w, code)
	if cookies := w.Result().Cookies(); len(cookies) == 1 {
		return cookies[0], status
	}
	return nil, status
}

func with(c *http.Cookie) *http.Request {
	r := httptest.NewRequest("GET", "http://127.0.0.1:9090/", nil)
	if c != nil {
		r.AddCookie(c)
	}
	return r
}

func TestTheCodeOpensAndNothingElse(t *testing.T) {
	g := newGate(nil)
	if g.Entered(with(nil)) || g.Entered(with(&http.Cookie{Name: "page", Value: ""})) {
		t.Fatal("entered without a code")
	}
	for _, code := range []string{"", "0000-0000-0000", g.Code()[:13], g.Code() + "0", strings.Repeat("-", 80) + g.Code()} {
		if c, status := enter(t, g, code); status != http.StatusForbidden || c != nil {
			t.Errorf("code %q: status %d", code, status)
		}
	}
	c, status := enter(t, g, " "+strings.ToLower(strings.ReplaceAll(g.Code(), "-", " "))+"\n")
	if status != 0 || !g.Entered(with(c)) {
		t.Fatalf("the code, as a person types it: status %d", status)
	}
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || len(c.Value) != 43 {
		t.Errorf("cookie %v", c)
	}
	if other := newGate(nil); other.Code() == g.Code() || other.Entered(with(c)) {
		t.Error("another start lets it in")
	}
	w := httptest.NewRecorder()
	g.Leave(w, with(c))
	if g.Entered(with(c)) || w.Result().Cookies()[0].MaxAge >= 0 {
		t.Error("it is in after it left")
	}
	if !strings.HasSuffix(g.Link("http://127.0.0.1:9090/"), "/#"+g.Code()) {
		t.Error(g.Link("x"))
	}
}

func TestGuessesAreHeardOnceASecond(t *testing.T) {
	now := time.Now()
	g := newGate(func() time.Time { return now })
	for range gate.FreeTries {
		if _, status := enter(t, g, "wrong"); status != http.StatusForbidden {
			t.Fatal(status)
		}
	}
	if _, status := enter(t, g, g.Code()); status != http.StatusTooManyRequests {
		t.Fatalf("status %d at once", status)
	}
	now = now.Add(time.Second)
	if _, status := enter(t, g, "wrong"); status != http.StatusForbidden {
		t.Fatal(status)
	}
	now = now.Add(time.Second)
	if c, status := enter(t, g, g.Code()); status != 0 || !g.Entered(with(c)) {
		t.Fatal(status)
	}
}

func TestTheFirstOfTooManyEntersAgain(t *testing.T) {
	g := newGate(nil)
	first, _ := enter(t, g, g.Code())
	var last *http.Cookie
	for range gate.MaxSessions {
		last, _ = enter(t, g, g.Code())
	}
	if g.Entered(with(first)) || !g.Entered(with(last)) {
		t.Error("sessions are not the newest ones")
	}
}

func TestAnotherPagesCookieShutsNobodyOut(t *testing.T) {
	g := newGate(nil)
	c, _ := enter(t, g, g.Code())
	r := with(&http.Cookie{Name: "page", Value: "planted for a longer path"})
	r.AddCookie(c)
	if !g.Entered(r) {
		t.Error("a planted cookie hides the session")
	}
	g.Leave(httptest.NewRecorder(), r)
	if g.Entered(with(c)) {
		t.Error("a planted cookie keeps the session open")
	}
	if a, b := gate.CookieAt("page", &net.TCPAddr{Port: 8091}), gate.CookieAt("page", &net.TCPAddr{Port: 8092}); a != "page-8091" || b != "page-8092" {
		t.Errorf("two pages have the cookies %q and %q", a, b)
	}
}

func TestOnlyItsOwnNameAndSiteComeThrough(t *testing.T) {
	g := newGate(nil)
	h := g.Fence("default-src 'none'", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for _, c := range []struct {
		name, method, host, site, mode string
		want                           int
	}{
		{"typed", "GET", "127.0.0.1:9090", "none", "navigate", 204},
		{"by its other name", "GET", "LOCALHOST:9090", "none", "navigate", 204},
		{"an old browser", "POST", "localhost:9090", "", "", 204},
		{"a link elsewhere", "GET", "localhost:9090", "cross-site", "navigate", 204},
		{"its own script", "POST", "localhost:9090", "same-origin", "cors", 204},
		{"a rebound name", "GET", "evil.example:9090", "same-origin", "navigate", 421},
		{"another port", "GET", "localhost:9091", "none", "navigate", 421},
		{"no name", "GET", "", "none", "navigate", 421},
		{"another site's form", "POST", "localhost:9090", "cross-site", "navigate", 403},
		{"another port's form", "POST", "localhost:9090", "same-site", "navigate", 403},
		{"another site's picture", "GET", "localhost:9090", "cross-site", "no-cors", 403},
	} {
		r := httptest.NewRequest(c.method, "http://x/", nil)
		r.Host = c.host
		r.Header.Set("Sec-Fetch-Site", c.site)
		r.Header.Set("Sec-Fetch-Mode", c.mode)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: status %d, want %d", c.name, w.Code, c.want)
		}
		for _, header := range []string{"Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cache-Control"} {
			if w.Header().Get(header) == "" {
				t.Errorf("%s: no %s", c.name, header)
			}
		}
	}
}

func TestNamesOfAListener(t *testing.T) {
	for _, c := range []struct {
		address string
		more    []string
		want    []string
	}{
		{"127.0.0.1:9090", nil, []string{"127.0.0.1:9090", "[::1]:9090", "localhost:9090"}},
		// Behind a web server that has the name's own port.
		{"127.0.0.1:8091", []string{"till.example"}, []string{"127.0.0.1:8091", "[::1]:8091", "localhost:8091", "till.example", "till.example:8091"}},
		{"192.0.2.7:443", []string{"bank.example"}, []string{"192.0.2.7", "192.0.2.7:443", "bank.example", "bank.example:443"}},
	} {
		a, err := net.ResolveTCPAddr("tcp", c.address)
		if err != nil {
			t.Fatal(err)
		}
		if got := gate.HostsOf(a, c.more...); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", c.address, got)
		}
	}
	a, _ := net.ResolveTCPAddr("tcp", "0.0.0.0:8091")
	if got := gate.HostsOf(a); !slices.Contains(got, "localhost:8091") || !slices.Contains(got, "127.0.0.1:8091") {
		t.Errorf("all addresses: %v", got)
	}
}
