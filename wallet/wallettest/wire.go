package wallettest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrLost is what a wallet sees of a lost request or answer.
var ErrLost = errors.New("wallettest: lost on the wire")

// Fate is what becomes of a request.
type Fate int

// The fates.
const (
	Deliver Fate = iota
	// LoseRequest: the server never sees it.
	LoseRequest
	// LoseAnswer: the server carries it out, and its answer is lost.
	LoseAnswer
)

// Wire is a round tripper that loses what it is told to.
type Wire struct {
	mu     sync.Mutex
	decree func(r *http.Request) Fate
	seen   []Sent
}

// Sent is a request that a client sent, delivered or not.
type Sent struct {
	Method, URL, Path string
	Authorized        bool
	Body              []byte
}

// Client is an HTTP client over the wire.
func (w *Wire) Client() *http.Client {
	return &http.Client{
		Transport:     w,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Decree sets what decides each request's fate; nil delivers all.
func (w *Wire) Decree(f func(r *http.Request) Fate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.decree = f
}

// Once gives the next request whose path contains part its fate, and delivers
// all others.
func (w *Wire) Once(part string, fate Fate) {
	done := false
	w.Decree(func(r *http.Request) Fate {
		if done || !strings.Contains(r.URL.Path, part) {
			return Deliver
		}
		done = true
		return fate
	})
}

// Always gives every request whose path contains part that fate.
func (w *Wire) Always(part string, fate Fate) {
	w.Decree(func(r *http.Request) Fate {
		if strings.Contains(r.URL.Path, part) {
			return fate
		}
		return Deliver
	})
}

// Sent returns what was sent since the last call.
func (w *Wire) Sent() []Sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := slices.Clone(w.seen)
	w.seen = nil
	return out
}

// RoundTrip implements http.RoundTripper.
func (w *Wire) RoundTrip(r *http.Request) (*http.Response, error) {
	s := Sent{Method: r.Method, URL: r.URL.String(), Path: r.URL.Path, Authorized: r.Header.Get("Authorization") != ""}
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		if s.Body, err = io.ReadAll(body); err != nil {
			return nil, err
		}
	}
	w.mu.Lock()
	w.seen = append(w.seen, s)
	fate := Deliver
	if w.decree != nil {
		fate = w.decree(r)
	}
	w.mu.Unlock()
	if fate == LoseRequest {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, fmt.Errorf("%w: %s %s", ErrLost, r.Method, r.URL.Path)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || fate == Deliver {
		return resp, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return nil, fmt.Errorf("%w: the answer to %s %s", ErrLost, r.Method, r.URL.Path)
}

// Gate stands before a server's handler: it counts, and can be shut.
type Gate struct {
	// Now is the clock that answers are dated by, set before the first request;
	// nil is the machine's.
	Now func() time.Time

	mu      sync.Mutex
	handler http.Handler
	shut    bool
	instead map[string]http.HandlerFunc
	spoils  func(*http.Request) bool
	change  func(answer map[string]any)
	lose    map[string]Fate // by part of the path, once each
	count   int
}

// LoseNext loses the next request whose path contains part, or its answer, on
// the server's side of the wire.
func (g *Gate) LoseNext(part string, fate Fate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lose == nil {
		g.lose = map[string]Fate{}
	}
	g.lose[part] = fate
}

// fate takes the fate of a request.
func (g *Gate) fate(path string) Fate {
	for part, fate := range g.lose {
		if strings.Contains(path, part) {
			delete(g.lose, part)
			return fate
		}
	}
	return Deliver
}

// Set puts another handler behind the gate.
func (g *Gate) Set(h http.Handler) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.handler = h
}

// Shut makes the server look dead, or alive again.
func (g *Gate) Shut(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
}

// Instead answers a path in another way; nil takes that back.
func (g *Gate) Instead(path string, h http.HandlerFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.instead == nil {
		g.instead = map[string]http.HandlerFunc{}
	}
	g.instead[path] = h
}

// Spoil alters the JSON answers of a path.
func (g *Gate) Spoil(path string, change func(answer map[string]any)) {
	g.mu.Lock()
	real := g.handler
	g.mu.Unlock()
	g.Instead(path, func(w http.ResponseWriter, r *http.Request) { spoil(w, r, real, change) })
}

// SpoilAll alters the JSON answers to requests of a kind; nil takes that back.
func (g *Gate) SpoilAll(kind func(*http.Request) bool, change func(answer map[string]any)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spoils, g.change = kind, change
}

func spoil(w http.ResponseWriter, r *http.Request, real http.Handler, change func(answer map[string]any)) {
	rec := httptest.NewRecorder()
	real.ServeHTTP(rec, r)
	var answer map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		panic(err)
	}
	change(answer)
	w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
	w.WriteHeader(rec.Code)
	_ = json.NewEncoder(w).Encode(answer)
}

// Count is how many requests came since the last call, shut or not.
func (g *Gate) Count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.count
	g.count = 0
	return n
}

// ServeHTTP implements http.Handler.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.count++
	shut, h := g.shut, g.handler
	if instead := g.instead[r.URL.Path]; instead != nil {
		h = instead
	}
	if change := g.change; g.spoils != nil && g.spoils(r) {
		real := h
		h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { spoil(w, r, real, change) })
	}
	fate := g.fate(r.URL.Path)
	g.mu.Unlock()
	switch {
	case shut || fate == LoseRequest:
		panic(http.ErrAbortHandler)
	case fate == LoseAnswer:
		h.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	if g.Now != nil {
		w.Header().Set("Date", g.Now().UTC().Format(http.TimeFormat))
	}
	h.ServeHTTP(w, r)
}
