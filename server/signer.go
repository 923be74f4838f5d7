package server

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/signer"
)

// SignerOptions are what a signer's handler needs.
type SignerOptions struct {
	// Ready says whether the tokens can do their work now.
	Ready func(context.Context) error
	// Metrics are served beside the daemon's own.
	Metrics []prometheus.Collector
	// Logger is silent if nil.
	Logger *slog.Logger
}

// NewSigner makes the handler of a signer's operator: /livez, /readyz and
// /metrics, nothing else. Signatures are asked for on its UNIX socket.
func NewSigner(opts SignerOptions) http.Handler {
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m := newMetrics("signer", opts.Metrics...)
	e := newEdge(edgeConfig{log: log, metrics: m, rules: func(error) *Problem { return nil }})
	addHealth(e, m.registry, opts.Ready)
	return e
}

// NewSignerMetrics collects what a signer's server counts.
func NewSignerMetrics(stats func() signer.Stats) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("specie_signer_"+name, help, labels, nil)
	}
	return &signerMetrics{
		stats:       stats,
		connections: desc("connections", "Connections that are open."),
		refused:     desc("connections_refused_total", "Connections of strangers, and those too many."),
		waiting:     desc("waiting", "Requests that wait for a session of their token."),
		wait:        desc("wait_seconds", "How long requests waited for a session."),
		requests:    desc("requests_total", "Requests answered, by operation and outcome.", "op", "outcome"),
	}
}

type signerMetrics struct {
	stats                                         func() signer.Stats
	connections, refused, waiting, wait, requests *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (m *signerMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.connections, m.refused, m.waiting, m.wait, m.requests} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *signerMetrics) Collect(ch chan<- prometheus.Metric) {
	s := m.stats()
	ch <- prometheus.MustNewConstMetric(m.connections, prometheus.GaugeValue, float64(s.Connections))
	ch <- prometheus.MustNewConstMetric(m.refused, prometheus.CounterValue, float64(s.Refused))
	ch <- prometheus.MustNewConstMetric(m.waiting, prometheus.GaugeValue, float64(s.Waiting))
	ch <- prometheus.MustNewConstSummary(m.wait, s.Waited, s.WaitTime.Seconds(), nil)
	for _, r := range s.Requests {
		ch <- prometheus.MustNewConstMetric(m.requests, prometheus.CounterValue, float64(r.Count), r.Op, r.Outcome)
	}
}
