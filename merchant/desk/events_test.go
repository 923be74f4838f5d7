package desk_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/speciecash/specie/merchant/desk"
	"github.com/speciecash/specie/wallet/wallettest"
)

// pipes is a listener whose connections hold nothing: what is not read blocks who
// writes it.
type pipes struct {
	once sync.Once
	c    chan net.Conn
	done chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.c:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.c <- theirs
	return ours
}

// streaming says whether anything of a stream is still running.
func streaming() bool {
	all := make([]byte, 1<<20)
	text := string(all[:runtime.Stack(all, true)])
	return strings.Contains(text, "desk.(*Desk).events") || strings.Contains(text, "merchant.(*Till).Watch")
}

func TestAReaderThatTakesNothingIsCutOff(t *testing.T) {
	town := wallettest.New(t)
	c := open(t, town, town.NewShop(t))
	key, err := c.NewDeskKey(t.Context(), "screen")
	must(t, err)
	d, err := desk.New(desk.Config{Till: c.Till, To: c.URL, Gate: c.desk.Gate, Now: town.Now, Patience: 20 * time.Millisecond})
	must(t, err)
	ln := &pipes{c: make(chan net.Conn), done: make(chan struct{})}
	srv := &http.Server{Handler: d.Handler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(ln) }()
	defer srv.Close()
	host := strings.TrimPrefix(c.url, "http://")
	stuck := func() {
		conn := ln.dial()
		t.Cleanup(func() { _ = conn.Close() })
		must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = fmt.Fprintf(conn, "GET /desk/v1/events HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", host, key)
		must(t, err)
		status := make([]byte, len("HTTP/1.1 200"))
		_, err = conn.Read(status) // and no more: the first event waits
		must(t, err)
		if string(status) != "HTTP/1.1 200" {
			t.Fatalf("%q", status)
		}
	}
	for range desk.MaxStreams {
		stuck()
	}
	for late := time.Now().Add(20 * time.Second); streaming(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("a stream that nobody reads goes on")
		}
	}
	stuck() // they have left their places to others
}

// TestAStreamOutlivesItsSilence: what bounds a write must not end a stream on which
// nothing happens. In HTTP/2 a deadline does.
func TestAStreamOutlivesItsSilence(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	const patience = 50 * time.Millisecond
	for name, start := range map[string]func(*httptest.Server){
		"HTTP/1.1": (*httptest.Server).Start,
		"HTTP/2":   func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openWith(t, town, shop, patience, start).login(t)
			resp := c.send(t, "GET", "/livez", nil)
			must(t, resp.Body.Close())
			if !strings.HasPrefix(name, resp.Proto[:6]) {
				t.Fatalf("it is %s", resp.Proto)
			}
			events := c.listen(t, "")
			<-events
			time.Sleep(4 * patience)
			_, sale := c.ask(t, "POST", "/desk/v1/sales", map[string]any{"amount": 3})
			until(t, events, sale["id"].(string), "waiting")
		})
	}
}
