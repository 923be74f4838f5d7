package browsertest

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// site serves a page, with a policy.
func site(t *testing.T, policy, body string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte("<!doctype html><html lang=en><title>a page</title><link rel=icon href=data:,><body>" + body))
		case "/page.js":
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write([]byte(`
				const out = document.querySelector('output');
				document.querySelector('button').onclick = () => { out.textContent = 'pressed ' + document.querySelector('input').value; };
				document.addEventListener('keydown', (e) => { if (e.key === 'Escape') out.hidden = true; });`))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/"
}

const strict = "default-src 'none'; script-src 'self'; img-src 'self' data:; connect-src 'self'"

// TestBrowser shares one Chromium.
func TestBrowser(t *testing.T) {
	b := Start(t)
	t.Run("a person types, presses and reads", func(t *testing.T) {
		for _, view := range []View{Desk, Phone} {
			p := b.Open(t, site(t, strict, `<input name=who><button>Go  on</button><output></output><script src=page.js></script>`), view)
			p.Fill("input", "Zoë")
			p.Press("Go on")
			p.See("output", "PRESSED zoë")
			p.Keys(Escape)
			p.Gone("output")
			if f := p.Faults(); len(f) != 0 {
				t.Errorf("faults of a page without fault: %q", f)
			}
		}
	})
	t.Run("a view is the page's", func(t *testing.T) {
		p := b.Open(t, site(t, strict, `words`), View{Width: 400, Height: 300, Scale: 2, Dark: true})
		if !Eval[bool](p, "matchMedia('(prefers-color-scheme: dark)').matches && matchMedia('(prefers-reduced-motion)').matches && innerWidth === 400") {
			t.Error("not dark, not still, or not 400 wide")
		}
		c, err := png.DecodeConfig(bytes.NewReader(p.Screenshot()))
		if err != nil || c.Width != 800 || c.Height != 600 {
			t.Errorf("a screenshot of %d by %d: %v", c.Width, c.Height, err)
		}
		p.Look(View{Width: 400, Height: 300, Lively: true, Print: true})
		if !Eval[bool](p, "matchMedia('print').matches && matchMedia('(prefers-reduced-motion: no-preference)').matches && matchMedia('(prefers-color-scheme: light)').matches") {
			t.Error("not light, lively or on paper")
		}
	})
	for _, c := range []struct{ name, body, fault string }{
		{"an inline script is a fault", `<script>document.title = 'run'</script>`, "Content Security Policy"},
		{"an inline handler is a fault", `<img src=data:, onerror="document.title = 'run'">`, "Content Security Policy"},
		{"a style of the page's own is a fault", `<p style="color: red">red</p>`, "Content Security Policy"},
		{"what is not there is a fault", `<img src=/none.png>`, "404"},
		{"a picture from elsewhere is a fault", `<img src=http://127.0.0.1:9/x.png>`, "127.0.0.1:9"},
	} {
		t.Run(c.name, func(t *testing.T) { fault(t, b, site(t, strict, c.body), c.fault) })
	}
	loose := "default-src * 'unsafe-inline'"
	for _, c := range []struct{ name, body, fault string }{
		{"an error on the console is a fault", `<script>console.error('broken', 7)</script>`, "broken"},
		{"an exception is a fault", `<script>nobody.home()</script>`, "nobody is not defined"},
		{"a promise that nobody caught is a fault", `<script>Promise.reject(new Error('lost'))</script>`, "lost"},
		{"a request to another origin is a fault", `<script>fetch('http://127.0.0.1:9/').catch(() => {})</script>`, "leaves the page: http://127.0.0.1:9/"},
	} {
		t.Run(c.name, func(t *testing.T) { fault(t, b, site(t, loose, c.body), c.fault) })
	}
}

// fault fails unless a page has that fault, and none once it is expected.
func fault(t *testing.T, b *Browser, url, want string) {
	t.Helper()
	p := b.Open(t, url, Desk)
	p.Wait("document.readyState === 'complete'")
	p.settle()
	if f := strings.Join(p.Faults(), "\n"); !strings.Contains(f, want) {
		t.Errorf("faults: %q, want %s", f, want)
	}
	if Eval[string](p, "document.title") != "a page" {
		t.Error("what the policy forbids was run")
	}
	p.Expect("")
	if f := p.Faults(); len(f) != 0 {
		t.Errorf("expected, and still a fault: %q", f)
	}
}

func TestAPictureKeepsItsColours(t *testing.T) {
	full := image.NewRGBA(image.Rect(0, 0, 40, 40))
	for i := range 1600 {
		full.Set(i%40, i/40, color.RGBA{R: uint8(i % 3 * 100), G: uint8(i % 5 * 50), A: 255})
	}
	small := paletted(full)
	for i := range 1600 {
		if want, got := full.At(i%40, i/40), color.RGBAModel.Convert(small.At(i%40, i/40)); got != want {
			t.Fatalf("pixel %d is %v, not %v", i, got, want)
		}
	}
	// More colours than a palette has: near is enough.
	for i := range 1600 {
		full.Set(i%40, i/40, color.RGBA{R: uint8(i % 40), G: uint8(i / 40), A: 255})
	}
	if n := len(paletted(full).Palette); n != 256 {
		t.Errorf("%d colours", n)
	}
}
