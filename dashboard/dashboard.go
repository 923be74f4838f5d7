package dashboard

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/gate"
)

//go:embed page
var files embed.FS

// CSP is the page's Content-Security-Policy: nothing comes from elsewhere, and
// nothing is sent there.
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Docs is where the documentation is read, unless Config says otherwise.
const Docs = "https://github.com/speciecash/specie/blob/main/docs/"

// Config is what a dashboard is made of.
type Config struct {
	// Bank is the bank's back office.
	Bank issuerclient.ClientWithResponsesInterface
	// Token, if not nil, returns the metrics of the process that holds the bank's
	// token, in Prometheus's text format.
	Token func(ctx context.Context) ([]byte, error)
	// Gate guards the page.
	Gate *gate.Gate
	// Docs is where docs/ is read, with a slash at its end; the constant Docs if
	// empty.
	Docs string
	// Socket is how the commands on the page name the bank: the admin socket's
	// path; issuer.sock if empty.
	Socket string
	// Logger is silent if nil.
	Logger *slog.Logger
}

// Dashboard serves the page.
type Dashboard struct {
	cfg  Config
	page *template.Template

	mu    sync.Mutex
	shown map[string]shown // by view
}

// shown is what one view showed last.
type shown struct {
	at   time.Time
	html []byte
	code int
}

const (
	// askAtMost is how often the bank is asked for one view.
	askAtMost = time.Second
	// askFor bounds one question.
	askFor = 20 * time.Second
	// maxForm bounds the form that brings the code.
	maxForm = 4 << 10
)

// New makes a dashboard.
func New(cfg Config) (*Dashboard, error) {
	if cfg.Bank == nil || cfg.Gate == nil {
		return nil, errors.New("dashboard: a part is missing")
	}
	if cfg.Docs == "" {
		cfg.Docs = Docs
	}
	if cfg.Socket == "" {
		cfg.Socket = "issuer.sock"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	page, err := template.ParseFS(files, "page/*.html")
	if err != nil {
		return nil, err
	}
	return &Dashboard{cfg: cfg, page: page, shown: make(map[string]shown)}, nil
}

// Handler is what is served.
func (d *Dashboard) Handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /{$}", d.show)
	m.HandleFunc("POST /enter", d.enter)
	m.HandleFunc("POST /leave", d.leave)
	for name, kind := range map[string]string{
		"style.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
	} {
		m.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			b, err := files.ReadFile("page/" + name)
			if err != nil {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write(b)
		})
	}
	return d.cfg.Gate.Fence(CSP, m)
}

// enter takes the code out of the form.
func (d *Dashboard) enter(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	status := d.cfg.Gate.Enter(w, r.PostFormValue("code"))
	if status == 0 {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	said := "That is not the code."
	if status == http.StatusTooManyRequests {
		said = "Too many wrong codes: wait a moment, then try again."
	}
	d.door(w, status, said)
}

func (d *Dashboard) leave(w http.ResponseWriter, r *http.Request) {
	d.cfg.Gate.Leave(w, r)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// door is what those see who have not given the code.
func (d *Dashboard) door(w http.ResponseWriter, status int, said string) {
	var out bytes.Buffer
	if err := d.page.ExecuteTemplate(&out, "door.html", said); err != nil {
		d.cfg.Logger.Error("page", "error", err)
		status = http.StatusInternalServerError
	}
	answer(w, status, out.Bytes())
}

func answer(w http.ResponseWriter, status int, html []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(html)
}

// show answers with the page.
func (d *Dashboard) show(w http.ResponseWriter, r *http.Request) {
	if !d.cfg.Gate.Entered(r) {
		d.door(w, http.StatusOK, "")
		return
	}
	s := d.render(r.Context(), viewNamed(r.URL.Query().Get("view")))
	answer(w, s.code, s.html)
}

// render makes the page, or returns the one that was made a moment ago.
func (d *Dashboard) render(ctx context.Context, v view) shown {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.shown[v.Name]; ok && time.Since(s.at) < askAtMost {
		return s
	}
	// Not the browser's context: one that goes away leaves the page to the next.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askFor)
	defer cancel()
	s := shown{code: http.StatusOK}
	var out bytes.Buffer
	p, err := d.read(ctx, v)
	if err == nil {
		err = d.page.ExecuteTemplate(&out, "page.html", p)
	}
	if err != nil {
		d.cfg.Logger.Error("no figures", "error", err)
		s.code = http.StatusBadGateway
		out.Reset()
		if err := d.page.ExecuteTemplate(&out, "away.html", away{Error: err.Error(), Docs: d.cfg.Docs}); err != nil {
			d.cfg.Logger.Error("page", "error", err)
		}
	}
	s.html, s.at = out.Bytes(), time.Now()
	d.shown[v.Name] = s
	return s
}

// away is the page of a bank that does not answer.
type away struct{ Error, Docs string }

// figures asks the bank.
func (d *Dashboard) figures(ctx context.Context, v view) (*issuerclient.Figures, error) {
	r, err := d.cfg.Bank.GetFiguresWithResponse(ctx, &issuerclient.GetFiguresParams{Steps: &v.Steps, Step: &v.Step})
	if err != nil {
		return nil, err
	}
	if r.JSON200 == nil {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return r.JSON200, nil
}
