package server

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/issuer"
)

// keysTimeout bounds what one scrape waits for the ledger.
const keysTimeout = 5 * time.Second

// bankMetrics collects what a bank tells the world of its keyset.
type bankMetrics struct {
	bank                 *issuer.Bank
	seq, reloads, expiry *prometheus.Desc
}

func newBankMetrics(bank *issuer.Bank) *bankMetrics {
	return &bankMetrics{
		bank:    bank,
		seq:     prometheus.NewDesc("specie_keyset_seq", "Number of the keyset in force.", nil, nil),
		reloads: prometheus.NewDesc("specie_keyset_reload_total", "Keysets and signing chains that were to come into force, by what became of them.", []string{"result"}, nil),
		expiry:  prometheus.NewDesc("specie_receipts_certificate_expiry_timestamp_seconds", "When the first certificate of the chain that receipts are signed under runs out.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *bankMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.seq
	ch <- m.reloads
	ch <- m.expiry
}

// Collect implements prometheus.Collector.
func (m *bankMetrics) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(m.seq, prometheus.GaugeValue, float64(m.bank.Keyset().Seq))
	ch <- prometheus.MustNewConstMetric(m.expiry, prometheus.GaugeValue, float64(m.bank.ReceiptsUntil().Unix()))
	counts := m.bank.Reloads()
	for _, result := range issuer.ReloadResults() { // also those that never happened: a rate begins at zero
		ch <- prometheus.MustNewConstMetric(m.reloads, prometheus.CounterValue, float64(counts[result]), result)
	}
}

// keyMetrics collects what was issued and redeemed under each key. It is for
// the operator: a stranger who watched it change could tell what somebody has
// just paid with.
type keyMetrics struct {
	bank                    *issuer.Bank
	log                     *slog.Logger
	issued, redeemed, alarm *prometheus.Desc
}

func newKeyMetrics(bank *issuer.Bank, log *slog.Logger) *keyMetrics {
	labels := []string{"kid", "kind", "value"}
	return &keyMetrics{
		bank: bank, log: log,
		issued:   prometheus.NewDesc("specie_key_issued_minor_units", "Worth of all coins ever signed under the key.", labels, nil),
		redeemed: prometheus.NewDesc("specie_key_redeemed_minor_units", "Worth of all coins ever taken back under the key.", labels, nil),
		alarm:    prometheus.NewDesc("specie_key_alarm", "1 if more was redeemed under the key than was ever issued: it has leaked.", labels, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *keyMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.issued
	ch <- m.redeemed
	ch <- m.alarm
}

// Collect implements prometheus.Collector. If the ledger does not answer, the
// keys are missing from the scrape, which is an alarm of its own.
func (m *keyMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), keysTimeout)
	defer cancel()
	keys, err := m.bank.KeyBalances(ctx)
	if err != nil {
		m.log.Error("no metrics of keys", "error", err)
		return
	}
	for i := range keys {
		k := &keys[i]
		labels := []string{k.KeyID.String(), string(k.Kind), strconv.FormatInt(int64(k.Value), 10)}
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
		}
		alarm := 0.0
		if k.Leaked() {
			alarm = 1
		}
		gauge(m.issued, float64(k.Issued))
		gauge(m.redeemed, float64(k.Redeemed))
		gauge(m.alarm, alarm)
	}
}
