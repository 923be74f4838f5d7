package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/speciecash/specie/trust/strictjson"
)

// guard checks an access token and returns a context that carries the caller.
// It returns an error that the room's translator names as unauthorized or
// forbidden.
type guard func(ctx context.Context, token string) (context.Context, error)

// route says what a request must bring before its handler runs.
type route struct {
	limit int64 // largest body in bytes; 0 where the route takes none
	guard guard // nil where anybody may call
	// cheap routes cost neither the token nor the database, and are not counted
	// by a throttle.
	cheap bool
	// cache is the answer's Cache-Control, "no-store" if empty.
	cache string
}

const noStore = "no-store"

// routes is all that one listener serves, by method and path as the router
// writes it: "GET /v1/ops/:op". What is not named here is not registered.
type routes map[string]route

// edgeConfig is what one listener's handler is made of.
type edgeConfig struct {
	routes  routes
	rules   translator
	log     *slog.Logger
	metrics *metrics  // nil on listeners that don't count
	rate    *throttle // nil for no bound
}

// newEdge returns a router that enforces the table before any handler runs.
// Handlers are registered through registrar.
func newEdge(cfg edgeConfig) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(io.Discard)
	e.IPExtractor = echo.ExtractIPDirect()
	e.Binder = strictBinder{}
	e.HTTPErrorHandler = errorHandler(cfg.log, cfg.rules)
	e.Use(identify, observe(cfg.log, cfg.metrics), recovered, throttled(cfg.rate, cfg.routes), enforce(cfg.routes))
	return e
}

const codeKey = "specie.code"

// enforce checks the token, then bounds the body. A route that is not in the
// table passes only on its way to the router's own "not found".
func enforce(table routes) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			req := c.Request()
			r, ok := table[req.Method+" "+c.Path()]
			if !ok {
				return next(c)
			}
			if r.guard != nil {
				token, err := bearerToken(req)
				if err != nil {
					return err
				}
				ctx, err := r.guard(req.Context(), token)
				if err != nil {
					return err
				}
				req = req.WithContext(ctx)
				c.SetRequest(req)
			}
			if req.ContentLength > r.limit {
				return tooLarge(r.limit)
			}
			req.Body = http.MaxBytesReader(c.Response(), req.Body, r.limit)
			c.Response().Header().Set("Cache-Control", cmp.Or(r.cache, noStore))
			return next(c)
		}
	}
}

// maxToken bounds an Authorization header's token in bytes.
const maxToken = 256

// bearerToken reads "Authorization: Bearer <token>" (RFC 6750 §2.1).
func bearerToken(req *http.Request) (string, error) {
	values := req.Header.Values("Authorization")
	if len(values) != 1 {
		return "", NewProblem(http.StatusUnauthorized, CodeUnauthorized, "an access token is needed")
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken {
		return "", NewProblem(http.StatusUnauthorized, CodeUnauthorized, "the Authorization header is not a bearer token")
	}
	return token, nil
}

func tooLarge(limit int64) *Problem {
	return NewProblem(http.StatusRequestEntityTooLarge, CodeTooLarge,
		fmt.Sprintf("the body of this route is at most %d bytes", limit))
}

// strictBinder reads a JSON body that enforce has bounded. Generated code
// calls it for bodies only; parameters have parsers of their own.
type strictBinder struct{}

// Bind decodes the body into v, as strictjson reads.
func (strictBinder) Bind(v any, c echo.Context) error {
	req := c.Request()
	kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return NewProblem(http.StatusUnsupportedMediaType, CodeMalformed, "the body must be application/json")
	}
	body, err := readBody(req)
	if err != nil {
		return err
	}
	if err := strictjson.Unmarshal(body, len(body), v); err != nil {
		return NewProblem(http.StatusBadRequest, CodeMalformed, strings.TrimPrefix(err.Error(), "strictjson: "))
	}
	return nil
}

// readBody reads all of a bounded body.
func readBody(req *http.Request) ([]byte, error) {
	size := req.ContentLength
	if size < 0 {
		size = 512
	}
	buf := make([]byte, 0, size+1)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := req.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			var over *http.MaxBytesError
			if errors.As(err, &over) {
				return nil, tooLarge(over.Limit)
			}
			return nil, NewProblem(http.StatusBadRequest, CodeMalformed, "the body could not be read to its end")
		}
	}
}

// recovered turns a panic into an error: one request fails, not the daemon.
func recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			r := recover()
			if r == nil {
				return
			}
			if r == http.ErrAbortHandler {
				panic(r)
			}
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}()
		return next(c)
	}
}

// registrar hands generated code's routes to the router, those of the table
// only: one OpenAPI file describes both listeners of a daemon, and a route of
// one must not exist on the other.
type registrar struct {
	echo  *echo.Echo
	table routes
}

func (r registrar) add(method, path string, h echo.HandlerFunc, m []echo.MiddlewareFunc) *echo.Route {
	if _, ok := r.table[method+" "+path]; !ok {
		return &echo.Route{Method: method, Path: path}
	}
	return r.echo.Add(method, path, h, m...)
}

// CONNECT and the other methods have the shape that generated code asks for.
func (r registrar) CONNECT(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodConnect, path, h, m)
}

// DELETE registers a route of the table.
func (r registrar) DELETE(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodDelete, path, h, m)
}

// GET registers a route of the table.
func (r registrar) GET(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodGet, path, h, m)
}

// HEAD registers a route of the table.
func (r registrar) HEAD(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodHead, path, h, m)
}

// OPTIONS registers a route of the table.
func (r registrar) OPTIONS(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodOptions, path, h, m)
}

// PATCH registers a route of the table.
func (r registrar) PATCH(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodPatch, path, h, m)
}

// POST registers a route of the table.
func (r registrar) POST(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodPost, path, h, m)
}

// PUT registers a route of the table.
func (r registrar) PUT(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodPut, path, h, m)
}

// TRACE registers a route of the table.
func (r registrar) TRACE(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodTrace, path, h, m)
}
