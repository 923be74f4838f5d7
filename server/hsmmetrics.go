package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/hsm"
)

// hsmMetrics collects what one token of package hsm counts.
type hsmMetrics struct {
	stats func() hsm.Stats

	calls, callTime, errors, queue, sessions, refused, available, heals, reloads *prometheus.Desc
}

// NewHSMMetrics collects what a token counts, all with its label (token) and
// its serial number (serial):
//
//	hsm_operations_total{call}         calls of the module, failed ones included
//	hsm_operation_seconds_total{call}  time inside the module
//	hsm_errors_total{call,ckr}         what the module answered but CKR_OK
//	hsm_queue_seconds                  how long calls waited for a session
//	hsm_sessions{state}                open, busy, waiting (calls, not sessions)
//	hsm_busy_total                     calls refused because too many waited
//	hsm_available                      0 while the sessions are lost
//	hsm_heals_total{outcome}           attempts to replace lost sessions
//	hsm_reloads_total                  of the module
func NewHSMMetrics(token hsm.TokenInfo, stats func() hsm.Stats) prometheus.Collector {
	constant := prometheus.Labels{"token": token.Label, "serial": token.Serial}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("hsm_"+name, help, labels, constant)
	}
	return &hsmMetrics{
		stats:     stats,
		calls:     desc("operations_total", "Calls of the PKCS#11 module, failed ones included.", "call"),
		callTime:  desc("operation_seconds_total", "Time spent inside the PKCS#11 module.", "call"),
		errors:    desc("errors_total", "What the PKCS#11 module answered other than CKR_OK.", "call", "ckr"),
		queue:     desc("queue_seconds", "How long calls waited for a session."),
		sessions:  desc("sessions", "Sessions that are open and busy, and calls that wait for one.", "state"),
		refused:   desc("busy_total", "Calls refused because too many waited."),
		available: desc("available", "1 if the token can be asked, 0 while its sessions are lost."),
		heals:     desc("heals_total", "Attempts to replace lost sessions.", "outcome"),
		reloads:   desc("reloads_total", "How often the PKCS#11 module was initialised again."),
	}
}

// Describe implements prometheus.Collector.
func (m *hsmMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.calls, m.callTime, m.errors, m.queue, m.sessions, m.refused, m.available, m.heals, m.reloads} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *hsmMetrics) Collect(ch chan<- prometheus.Metric) {
	s := m.stats()
	put := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for _, c := range s.Calls {
		put(m.calls, prometheus.CounterValue, float64(c.Count), c.Call)
		put(m.callTime, prometheus.CounterValue, c.Time.Seconds(), c.Call)
	}
	for _, e := range s.Errors {
		put(m.errors, prometheus.CounterValue, float64(e.Count), e.Call, e.Name)
	}
	buckets := make(map[float64]uint64, len(s.Queue.Buckets))
	for _, b := range s.Queue.Buckets {
		buckets[b.UpTo.Seconds()] = b.Count
	}
	ch <- prometheus.MustNewConstHistogram(m.queue, s.Queue.Count, s.Queue.Sum.Seconds(), buckets)
	put(m.sessions, prometheus.GaugeValue, float64(s.Sessions.Open), "open")
	put(m.sessions, prometheus.GaugeValue, float64(s.Sessions.Busy), "busy")
	put(m.sessions, prometheus.GaugeValue, float64(s.Sessions.Waiting), "waiting")
	put(m.refused, prometheus.CounterValue, float64(s.Busy))
	available := 0.0
	if s.Available {
		available = 1
	}
	put(m.available, prometheus.GaugeValue, available)
	put(m.heals, prometheus.CounterValue, float64(s.Heals), "done")
	put(m.heals, prometheus.CounterValue, float64(s.FailedHeals), "failed")
	put(m.reloads, prometheus.CounterValue, float64(s.Reloads))
}
