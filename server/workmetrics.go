package server

import (
	"context"
	"log/slog"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/ledger"
)

// workMetrics collects what a bank does and how it is. It is for the operator,
// as keyMetrics is.
type workMetrics struct {
	bank          *issuer.Bank
	audits        *jobs[*issuer.AuditReport]
	log           *slog.Logger
	ledger, token *readiness

	operations, coins, double, signatures, signing *prometheus.Desc
	batch, commit, waiting, up                     *prometheus.Desc
	holds, suspended, draining                     *prometheus.Desc
	auditAt, auditSound, auditProblems, auditRuns  *prometheus.Desc
}

func newWorkMetrics(bank *issuer.Bank, audits *jobs[*issuer.AuditReport], log *slog.Logger) *workMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("specie_"+name, help, labels, nil)
	}
	return &workMetrics{
		bank: bank, audits: audits, log: log, ledger: &readiness{check: bank.CheckLedger}, token: &readiness{check: bank.CheckToken},
		operations:    desc("operations_total", "What the ledger answered to operations, by kind.", "kind", "outcome"),
		coins:         desc("coins_redeemed_total", "Coins taken back by deposits, exchanges and the like.", "kind"),
		double:        desc("double_spends_total", "Spends refused for a coin that was spent before.", "kind"),
		signatures:    desc("signatures_total", "Blind signatures made, and those that the token could not make.", "result"),
		signing:       desc("signing_seconds", "How long all signatures of one answer took."),
		batch:         desc("ledger_batch_calls", "How many calls the ledger's writer committed together."),
		commit:        desc("ledger_commit_seconds", "How long the ledger's writer took for one batch."),
		waiting:       desc("ledger_waiting", "Calls that wait for the ledger's writer."),
		up:            desc("up", "1 if the part answers: the ledger reads, the token signs under a valid certificate.", "part"),
		holds:         desc("holds_open", "Holds that are open, counted up to 500."),
		suspended:     desc("accounts_suspended", "Accounts that are suspended."),
		draining:      desc("draining", "1 while the bank issues nothing."),
		auditAt:       desc("audit_last_timestamp_seconds", "When the last audit of this process ended; 0 before the first."),
		auditSound:    desc("audit_last_sound", "1 if it found nothing wrong; 1 before the first."),
		auditProblems: desc("audit_last_problems", "What it found; -1 if it could not be carried through."),
		auditRuns:     desc("audit_running", "1 while an audit runs."),
	}
}

// Describe implements prometheus.Collector.
func (m *workMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		m.operations, m.coins, m.double, m.signatures, m.signing, m.batch, m.commit, m.waiting, m.up,
		m.holds, m.suspended, m.draining, m.auditAt, m.auditSound, m.auditProblems, m.auditRuns,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *workMetrics) Collect(ch chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	gauge := func(d *prometheus.Desc, yes bool, labels ...string) {
		v := 0.0
		if yes {
			v = 1
		}
		put(d, prometheus.GaugeValue, v, labels...)
	}
	s := m.bank.Stats()
	for _, o := range s.Operations {
		put(m.operations, prometheus.CounterValue, float64(o.Count), o.Kind, o.Outcome)
	}
	for _, k := range []coin.Kind{coin.Bearer, coin.Bound} {
		put(m.coins, prometheus.CounterValue, float64(s.Coins[k]), string(k))
		put(m.double, prometheus.CounterValue, float64(s.DoubleSpends[k]), string(k))
	}
	put(m.signatures, prometheus.CounterValue, float64(s.Signatures), "made")
	put(m.signatures, prometheus.CounterValue, float64(s.Unsigned), "failed")
	ch <- histogram(m.signing, &s.Signing)
	ch <- histogram(m.batch, &s.Writer.Sizes)
	ch <- histogram(m.commit, &s.Writer.Times)
	put(m.waiting, prometheus.GaugeValue, float64(s.Writer.Waiting))
	gauge(m.up, m.ledger.err() == nil, "ledger")
	gauge(m.up, m.token.err() == nil, "token")
	if at := m.standing(); at != nil {
		put(m.holds, prometheus.GaugeValue, float64(at.Holds))
		put(m.suspended, prometheus.GaugeValue, float64(at.Suspended))
		gauge(m.draining, at.Draining)
	}
	m.collectAudit(put, gauge)
}

func (m *workMetrics) collectAudit(put func(*prometheus.Desc, prometheus.ValueType, float64, ...string), gauge func(*prometheus.Desc, bool, ...string)) {
	a := lastAudit(m.audits)
	gauge(m.auditRuns, a.running)
	at := 0.0
	if !a.at.IsZero() {
		at = float64(a.at.Unix())
	}
	put(m.auditAt, prometheus.GaugeValue, at)
	gauge(m.auditSound, a.sound)
	put(m.auditProblems, prometheus.GaugeValue, float64(a.problems))
}

// standing is the bank's; nil, and so missing from the scrape, if the ledger
// does not answer.
func (m *workMetrics) standing() *issuer.Standing {
	ctx, cancel := context.WithTimeout(context.Background(), keysTimeout)
	defer cancel()
	s, err := m.bank.RecentStanding(ctx)
	if err != nil {
		m.log.Error("no metrics of holds and suspensions", "error", err)
		return nil
	}
	return s
}

func histogram(d *prometheus.Desc, h *ledger.Histogram) prometheus.Metric {
	buckets := make(map[float64]uint64, len(h.Bounds))
	counts := h.Counts
	if counts == nil {
		counts = slices.Repeat([]uint64{0}, len(h.Bounds))
	}
	for i, bound := range h.Bounds {
		buckets[bound] = counts[i]
	}
	return prometheus.MustNewConstHistogram(d, h.Count, h.Sum, buckets)
}
