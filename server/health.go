package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readyTimeout bounds one readiness check, readyMaxAge how long its answer
// stands: the check does real work on the token, and anybody may ask.
const (
	readyTimeout = 3 * time.Second
	readyMaxAge  = time.Second
)

// readiness runs a check at most once per readyMaxAge.
type readiness struct {
	check func(context.Context) error

	mu   sync.Mutex
	at   time.Time
	last error
}

func (r *readiness) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at.IsZero() && time.Since(r.at) < readyMaxAge {
		return r.last
	}
	// Not the caller's context: a caller who hangs up must not make the next
	// one read "not ready".
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	r.last = r.check(ctx)
	r.at = time.Now()
	return r.last
}

// addHealth registers /livez (the process answers) and /readyz (it can do its
// work now), and /metrics unless metrics is nil. They are not part of the
// API's contract.
func addHealth(e *echo.Echo, metrics prometheus.Gatherer, ready func(context.Context) error) {
	e.GET("/livez", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	state := &readiness{check: ready}
	e.GET("/readyz", func(c echo.Context) error {
		if err := state.err(); err != nil {
			return &Problem{Status: http.StatusServiceUnavailable, Code: CodeUnavailable,
				Detail: "the daemon is not ready", RetryAfter: readyMaxAge, Cause: err}
		}
		return c.String(http.StatusOK, "ok\n")
	})
	if metrics == nil {
		return
	}
	e.GET("/metrics", echo.WrapHandler(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})))
}
