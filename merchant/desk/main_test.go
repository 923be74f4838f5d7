package desk_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/api/apitest"
	"github.com/speciecash/specie/gate"
	"github.com/speciecash/specie/merchant/desk"
	"github.com/speciecash/specie/wallet/wallettest"
)

func TestMain(m *testing.M) { os.Exit(wallettest.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// counter is a shop with a desk, and a browser at it.
type counter struct {
	*wallettest.Shop
	desk    *desk.Desk
	url     string
	code    string
	browser *http.Client
}

// open opens a desk. Its traffic, but for streams, is held to the contract.
func open(t testing.TB, town *wallettest.Town, shop *wallettest.Shop) *counter {
	t.Helper()
	return openWith(t, town, shop, 0, (*httptest.Server).Start)
}

// openWith is open with a patience, and in another way than over HTTP.
func openWith(t testing.TB, town *wallettest.Town, shop *wallettest.Shop, patience time.Duration, start func(*httptest.Server)) *counter {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	door := gate.New(gate.Config{Cookie: desk.Cookie(false), Hosts: gate.HostsOf(srv.Listener.Addr())})
	d, err := desk.New(desk.Config{Till: shop.Till, To: shop.URL, Gate: door, Now: town.Now, Zone: time.UTC, Patience: patience})
	must(t, err)
	contract := apitest.Read(t, apitest.Desk)
	srv.Config.Handler = d.Watched(func(h http.Handler) http.Handler { return contract.Watch(t, h) })
	start(srv)
	srv.Config.RegisterOnShutdown(d.Close)
	t.Cleanup(func() { d.Close(); srv.Close() })
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &counter{Shop: shop, desk: d, url: srv.URL, code: door.Code(), browser: &http.Client{Jar: jar, Transport: srv.Client().Transport}}
}

// ask sends what the page would, and reads the answer.
func (c *counter) ask(t testing.TB, method, path string, in any) (int, map[string]any) {
	t.Helper()
	status, raw := c.raw(t, method, path, in)
	out := map[string]any{}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &out); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
	}
	return status, out
}

func (c *counter) raw(t testing.TB, method, path string, in any) (int, []byte) {
	t.Helper()
	resp := c.send(t, method, path, in, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") })
	raw, err := io.ReadAll(resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	return resp.StatusCode, raw
}

func (c *counter) send(t testing.TB, method, path string, in any, with ...func(*http.Request)) *http.Response {
	t.Helper()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		must(t, err)
		body = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, c.url+path, body)
	must(t, err)
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, f := range with {
		f(r)
	}
	resp, err := c.browser.Do(r)
	must(t, err)
	return resp
}

// login opens the page's session.
func (c *counter) login(t testing.TB) *counter {
	t.Helper()
	if status, m := c.ask(t, "POST", "/desk/v1/session", map[string]any{"code": c.code}); status != 204 {
		t.Fatalf("%d %v", status, m)
	}
	return c
}

// open2 is another browser that has entered.
func open2(t testing.TB, c *counter) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	other := *c
	other.browser = &http.Client{Jar: jar, Transport: c.browser.Transport}
	other.login(t)
	return other.browser
}

// event is one of a stream.
type event struct {
	id, name string
	data     map[string]any
}

// listen reads the stream of events until the test ends.
func (c *counter) listen(t testing.TB, lastID string) <-chan event {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", c.url+"/desk/v1/events", nil)
	must(t, err)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := c.browser.Do(r)
	must(t, err)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	out := make(chan event, 100)
	go func() {
		defer close(out)
		defer resp.Body.Close()
		var e event
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				_ = json.Unmarshal([]byte(value), &e.data)
			case "":
				if e.name != "" {
					out <- e
				}
				e = event{}
			}
		}
	}()
	return out
}

// until reads events until a sale has come to a step.
func until(t testing.TB, events <-chan event, id, step string) event {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatal("the stream ended")
			}
			if e.name == "sale" && e.data["id"] == id && strings.Contains(stepsOf(e.data), step) {
				return e
			}
		case <-late:
			t.Fatalf("%s did not come", step)
		}
	}
}

// stepsOf lists the steps of a sale in one line.
func stepsOf(sale map[string]any) string {
	var out []string
	for _, x := range sale["steps"].([]any) {
		m := x.(map[string]any)
		step := m["step"].(string)
		if code, ok := m["code"].(string); ok {
			step += "(" + code + ")"
		}
		out = append(out, step)
	}
	return strings.Join(out, " ")
}
