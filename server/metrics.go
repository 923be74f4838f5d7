package server

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/speciecash/specie/fault"
)

// metrics counts one daemon's requests in a registry of its own.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// newMetrics registers the collectors of a daemon, such as "issuer", and what
// its main adds.
func newMetrics(daemon string, more ...prometheus.Collector) *metrics {
	labels := prometheus.Labels{"daemon": daemon}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "specie_http_requests_total", ConstLabels: labels,
			Help: "Requests answered, by route, status and problem code.",
		}, []string{"route", "status", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "specie_http_request_seconds", ConstLabels: labels,
			Help:    "Time from the request's headers to the last byte of the answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route"}),
	}
	m.registry.MustRegister(m.requests, m.seconds,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(more...)
	return m
}

// observe counts and logs each request by its route, never by its path: paths
// carry operation ids, and strangers choose them.
func observe(log *slog.Logger, m *metrics) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			if err := next(c); err != nil {
				c.Error(err)
			}
			fault.Point("server.answered")
			took := time.Since(start)
			name := "unknown"
			if c.Path() != "" {
				name = c.Request().Method + " " + c.Path()
			}
			status := c.Response().Status
			if status == http.StatusMethodNotAllowed {
				name = "unknown" // strangers choose methods too
			}
			code, _ := c.Get(codeKey).(Code)
			if m != nil {
				m.requests.WithLabelValues(name, strconv.Itoa(status), string(code)).Inc()
				m.seconds.WithLabelValues(name).Observe(took.Seconds())
			}
			log.Debug("request", "request", requestID(c.Response()), "route", name, "status", status, "code", code, "took", took)
			return nil
		}
	}
}
