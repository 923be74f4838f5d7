// Command shop is a web shop of one page that takes Specie: an example to copy
// from, of net/http and nothing else. The same in JavaScript is shop.mjs. See
// docs/webshop.md.
package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// shop sells one thing.
type shop struct {
	desk   string // the till's desk, such as http://127.0.0.1:8091
	key    string // of "specie merchant key new"
	secret []byte // of "specie merchant webhook set"

	mu     sync.Mutex
	orders map[string]order // by the sale's id
}

// order is how a sale stands.
type order struct {
	state string // waiting, deposited, …
	kept  string // the payment that the till has accepted without the bank
}

// sale is what the desk says of one; there is more in it.
type sale struct {
	ID    string `json:"id"`
	State string `json:"state"`
	Link  string `json:"link"`
}

// ask asks the desk.
func (s *shop) ask(ctx context.Context, method, path string, in any) (*http.Response, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, s.desk+"/desk/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+s.key)
	r.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: 20 * time.Second}
	resp, err := client.Do(r)
	if err == nil && resp.StatusCode >= 300 {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return nil, fmt.Errorf("the desk answers %d: %s", resp.StatusCode, text)
	}
	return resp, err
}

// buy makes an offer, and shows how to pay it.
func (s *shop) buy(w http.ResponseWriter, r *http.Request) {
	resp, err := s.ask(r.Context(), "POST", "sales", map[string]any{"amount": 450, "order": "mug", "purpose": "a blue mug"})
	if err != nil {
		log.Print(err)
		http.Error(w, "the till does not answer; try again", http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	var x sale
	if err := json.NewDecoder(resp.Body).Decode(&x); err != nil {
		http.Error(w, "the till does not answer; try again", http.StatusBadGateway)
		return
	}
	s.mu.Lock()
	if _, known := s.orders[x.ID]; !known { // the webhook may have been faster
		s.orders[x.ID] = order{state: x.State}
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<p>Scan this, or <a href="%s">pay here</a>.<p><img src="/qr/%s" alt="payment code"><p><a href="/orders/%[2]s">Is it paid?</a>`,
		html.EscapeString(x.Link), html.EscapeString(x.ID))
}

// picture passes the QR code on: customers don't reach the desk.
func (s *shop) picture(w http.ResponseWriter, r *http.Request) {
	if !s.knows(r.PathValue("id")) {
		http.NotFound(w, r)
		return
	}
	resp, err := s.ask(r.Context(), "GET", "sales/"+r.PathValue("id")+"/qr.svg", nil)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer resp.Body.Close()
	w.Header().Set("Content-Type", "image/svg+xml")
	_, _ = io.Copy(w, resp.Body)
}

func (s *shop) knows(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.orders[id]
	return known
}

// stands says how a sale stands.
func (s *shop) stands(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	o, known := s.orders[r.PathValue("id")]
	s.mu.Unlock()
	if !known {
		http.NotFound(w, r)
		return
	}
	fmt.Fprintln(w, o.state)
}

// errForged: it is not from the till, or not of now.
var errForged = errors.New("not from the till")

// verify checks a message by the Standard Webhooks scheme.
func (s *shop) verify(h http.Header, body []byte, now time.Time) error {
	at, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || math.Abs(now.Sub(time.Unix(at, 0)).Minutes()) > 5 {
		return errForged
	}
	mac := hmac.New(sha256.New, s.secret)
	fmt.Fprintf(mac, "%s.%d.%s", h.Get("webhook-id"), at, body)
	want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for _, given := range strings.Fields(h.Get("webhook-signature")) {
		if subtle.ConstantTimeCompare([]byte(given), want) == 1 {
			return nil
		}
	}
	return errForged
}

// webhook is told by the till what becomes of a sale. A message may come twice: what
// it says is noted, and nothing is counted.
func (s *shop) webhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil || s.verify(r.Header, body, time.Now()) != nil {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	var m struct {
		Data struct{ Sale, Step, Op string }
	}
	if err := json.Unmarshal(body, &m); err != nil {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	if m.Data.Sale != "" {
		s.note(m.Data.Sale, m.Data.Step, m.Data.Op)
	}
	w.WriteHeader(http.StatusNoContent)
}

// note takes a step of a sale. A paid one stays paid. A refused attempt leaves the
// offer open, but of the payment that was kept it says that the money is lost.
func (s *shop) note(sale, step, op string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[sale]
	if o.state == "deposited" || step == "refused" && (o.kept == "" || op != o.kept) {
		return
	}
	if o.state = step; step == "kept" {
		o.kept = op
	}
	s.orders[sale] = o
}

func (s *shop) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<h1>A blue mug</h1><form method="post" action="/buy"><button>Buy for 4.50</button></form>`)
	})
	mux.HandleFunc("POST /buy", s.buy)
	mux.HandleFunc("GET /qr/{id}", s.picture)
	mux.HandleFunc("GET /orders/{id}", s.stands)
	mux.HandleFunc("POST /webhook", s.webhook)
	return mux
}

// secretFile reads a file of one line.
func secretFile(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func main() {
	desk := flag.String("desk", "http://127.0.0.1:8091", "the till's desk")
	key := flag.String("key-file", "shop.key", `file that "specie merchant key new" wrote`)
	secret := flag.String("secret-file", "shop.secret", `file that "specie merchant webhook set" wrote`)
	listen := flag.String("listen", "127.0.0.1:8092", "address to listen on")
	flag.Parse()
	s := &shop{desk: *desk, key: secretFile(*key), orders: map[string]order{}}
	var err error
	if s.secret, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(secretFile(*secret), "whsec_")); err != nil {
		log.Fatal(err)
	}
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("shop open at http://%s\n", ln.Addr())
	srv := http.Server{Handler: s.handler(), ReadTimeout: 20 * time.Second, WriteTimeout: 30 * time.Second}
	log.Fatal(srv.Serve(ln))
}
