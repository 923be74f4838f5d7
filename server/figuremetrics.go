package server

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
)

// figureMetrics collects what the operator's dashboard shows and no other
// collector has: the same sums of the ledger, under the names that the page gives
// its figures. It is for the operator, as keyMetrics is.
type figureMetrics struct {
	bank *issuer.Bank
	made *backups
	log  *slog.Logger

	circulation, balance, balanced      *prometheus.Desc
	issueUntil, spendUntil, revoked     *prometheus.Desc
	missing, dayOps, dayWorth           *prometheus.Desc
	storeBytes, replicas, fence, backup *prometheus.Desc
}

func newFigureMetrics(bank *issuer.Bank, made *backups, log *slog.Logger) *figureMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("specie_"+name, help, labels, nil)
	}
	return &figureMetrics{
		bank: bank, made: made, log: log,
		circulation: desc("circulation_minor_units", "Worth of all coins that are out, by kind; empty for keys that the keyset has forgotten.", "kind"),
		balance:     desc("class_balance_minor_units", "Balances by class of account; the reserve is below zero by what the bank owes.", "class"),
		balanced:    desc("books_balanced", "1 if all classes sum to zero and no key redeemed more than it issued."),
		issueUntil:  desc("key_issue_until_timestamp_seconds", "Until when the key signs new coins.", "kid", "kind", "value"),
		spendUntil:  desc("key_spend_until_timestamp_seconds", "Until when coins under the key are taken.", "kid", "kind", "value"),
		revoked:     desc("key_revoked", "1 if the keyset says that the key is revoked or lost.", "kid", "kind", "value"),
		missing:     desc("key_missing", "1 if the bank needs the key's private half and the token lacks it.", "kid", "kind", "value"),
		dayOps:      desc("day_operations", "Operations since the beginning of the hour 24 hours ago, as the ledger has them.", "kind"),
		dayWorth:    desc("day_minor_units", "What they were about: coins issued or exchanged, payments without their change, money in and out.", "kind"),
		storeBytes:  desc("store_bytes", "What the database takes on its disk.", "driver"),
		replicas:    desc("store_replicas", "How many machines follow the database server.", "driver"),
		fence:       desc("fence_raised", "1 while the ledger may lack what was recorded last, or a reconciliation is open."),
		backup:      desc("backup_last_timestamp_seconds", "When the last backup through this process ended; 0 before the first."),
	}
}

// Describe implements prometheus.Collector.
func (m *figureMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		m.circulation, m.balance, m.balanced, m.issueUntil, m.spendUntil, m.revoked, m.missing, m.dayOps, m.dayWorth,
		m.storeBytes, m.replicas, m.fence, m.backup,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. If the ledger does not answer, its
// figures are missing from the scrape, which is an alarm of its own.
func (m *figureMetrics) Collect(ch chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	at := 0.0
	if last := m.made.last(); !last.IsZero() {
		at = float64(last.Unix())
	}
	put(m.backup, at)
	ctx, cancel := context.WithTimeout(context.Background(), keysTimeout)
	defer cancel()
	now := m.bank.Now()
	f, err := m.bank.Figures(ctx, issuer.FigurePeriod{From: now.Add(-time.Hour), Until: now, Step: issuer.ByHour})
	if err != nil {
		m.log.Error("no metrics of the ledger's figures", "error", err)
		return
	}
	for kind, amount := range f.Steps[len(f.Steps)-1].Circulation {
		put(m.circulation, float64(amount), string(kind))
	}
	for _, c := range f.Books.Classes {
		put(m.balance, float64(c.Balance), c.Class)
	}
	put(m.balanced, one(f.Books.Balanced))
	for i := range f.Keys {
		m.key(&f.Keys[i], put)
	}
	for _, o := range f.Day {
		put(m.dayOps, float64(o.Count), o.Kind)
		put(m.dayWorth, float64(o.Worth), o.Kind)
	}
	if s := f.Store; s != nil {
		put(m.storeBytes, float64(s.Bytes), s.Driver)
		put(m.replicas, float64(s.Replicas), s.Driver)
	}
	put(m.fence, one(f.Fence != nil))
}

func (m *figureMetrics) key(k *issuer.KeyFigures, put func(*prometheus.Desc, float64, ...string)) {
	if k.Kind == "" || k.Value == coin.Amount(0) {
		return // forgotten by the keyset: keyMetrics has what is known
	}
	labels := []string{k.KeyID.String(), string(k.Kind), strconv.FormatInt(int64(k.Value), 10)}
	put(m.issueUntil, float64(k.IssueUntil.Unix()), labels...)
	put(m.spendUntil, float64(k.SpendUntil.Unix()), labels...)
	put(m.revoked, one(k.Revoked || k.Lost), labels...)
	put(m.missing, one(k.Missing), labels...)
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
