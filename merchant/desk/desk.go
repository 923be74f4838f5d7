package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/speciecash/specie/gate"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/merchant/desk/page"
	"github.com/speciecash/specie/trust/strictjson"
)

// maxBody bounds a request, in bytes.
const maxBody = 16 << 10

// Config is what a desk is made of.
type Config struct {
	Till *merchant.Till
	// To is the address that payment links carry.
	To string
	// Gate is the door for browsers; see gate.HostsOf for the names that the desk goes
	// by. Cookie is what its cookie should be called.
	Gate *gate.Gate
	// Zone is where the till stands: its days begin at midnight there. Nil means
	// the machine's.
	Zone *time.Location
	// Patience is how long a page that takes nothing any more is waited for; 0 means
	// 10 seconds.
	Patience time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log gets what goes wrong; nil means none.
	Log *slog.Logger
}

// Desk answers the merchant.
type Desk struct {
	Config
	ctx     context.Context // ends with Close
	close   context.CancelFunc
	streams chan struct{}
}

// New makes a desk. It returns an error for an address that no payer could be
// given.
func New(c Config) (*Desk, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Patience == 0 {
		c.Patience = 10 * time.Second
	}
	if c.Zone == nil {
		c.Zone = time.Local
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	d := &Desk{Config: c, streams: make(chan struct{}, maxStreams)}
	d.ctx, d.close = context.WithCancel(context.Background())
	if err := merchant.CheckTo(c.To); err != nil {
		return nil, fmt.Errorf("desk: %q: %w", c.To, err)
	}
	return d, nil
}

// Close ends the streams of events, so that a server can shut down.
func (d *Desk) Close() { d.close() }

// Cookie is the name of a gate's cookie for a desk. With https, a browser takes it
// from nobody but this very host.
func Cookie(secure bool) string {
	if secure {
		return "__Host-specie-desk"
	}
	return "specie-desk"
}

// policy is the page's Content-Security-Policy: it loads what this desk serves.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// Handler answers the page and its API.
func (d *Desk) Handler() http.Handler { return d.Gate.Fence(policy, d.routes()) }

// routes is what stands behind the fence.
func (d *Desk) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /desk/v1/session", d.login)
	mux.HandleFunc("DELETE /desk/v1/session", d.logout)
	d.route(mux, "GET /desk/v1/till", d.till)
	d.route(mux, "POST /desk/v1/sales", d.newSale)
	d.route(mux, "GET /desk/v1/sales", d.sales)
	d.route(mux, "GET /desk/v1/sales/{id}", d.sale)
	d.route(mux, "DELETE /desk/v1/sales/{id}", d.cancel)
	d.route(mux, "POST /desk/v1/sales/{id}/refunds", d.refund)
	d.route(mux, "DELETE /desk/v1/sales/{id}/refunds", d.cancelRefunds)
	d.route(mux, "GET /desk/v1/sales/{id}/receipt", d.receipt)
	d.route(mux, "GET /desk/v1/sales/{id}/qr.svg", d.qr)
	d.route(mux, "GET /desk/v1/sales.csv", d.csv)
	d.route(mux, "POST /desk/v1/deposits", d.deposits)
	mux.Handle("GET /desk/v1/events", d.guarded(d.events))
	mux.HandleFunc("/desk/", func(w http.ResponseWriter, _ *http.Request) {
		d.problem(w, fail(http.StatusNotFound, "not-found", "there is nothing here"))
	})
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.Handle("/", http.FileServerFS(page.FS))
	return mux
}

// answer is what a route gives: a value as JSON, raw bytes of a type, or nothing.
type answer struct {
	status int
	value  any
	raw    []byte
	kind   string
	name   string // of a file to save
}

func ok(v any) (answer, error) { return answer{status: http.StatusOK, value: v}, nil }

// route answers who may ask.
func (d *Desk) route(mux *http.ServeMux, pattern string, f func(r *http.Request) (answer, error)) {
	mux.Handle(pattern, d.guarded(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		a, err := f(r)
		if err != nil {
			d.problem(w, err)
			return
		}
		d.write(w, a)
	}))
}

func (d *Desk) write(w http.ResponseWriter, a answer) {
	if a.value != nil {
		var err error
		if a.raw, err = json.Marshal(a.value); err != nil {
			d.problem(w, err)
			return
		}
		a.kind = "application/json"
	}
	if a.raw != nil {
		w.Header().Set("Content-Type", a.kind)
	}
	if a.name != "" {
		w.Header().Set("Content-Disposition", `attachment; filename="`+a.name+`"`)
	}
	w.WriteHeader(a.status)
	if _, err := w.Write(a.raw); err != nil {
		d.Log.Info("desk: answer not delivered", "err", err)
	}
}

// body reads a request's JSON strictly.
func body(r *http.Request, v any) error {
	raw, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return fail(http.StatusRequestEntityTooLarge, "too-large", "the request is too large")
	case err != nil:
		return fail(http.StatusBadRequest, "malformed", "the request could not be read")
	}
	if err := strictjson.Unmarshal(raw, maxBody, v); err != nil {
		return fail(http.StatusBadRequest, "malformed", err.Error())
	}
	return nil
}
