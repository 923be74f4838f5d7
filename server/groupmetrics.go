package server

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/registration"
)

// groupMetrics collects what a group manager's documents and public register
// say anyway.
type groupMetrics struct {
	m                       *registration.Manager
	log                     *slog.Logger
	seq, warrants, software *prometheus.Desc
}

func newGroupMetrics(m *registration.Manager, log *slog.Logger) *groupMetrics {
	return &groupMetrics{
		m: m, log: log,
		seq:      prometheus.NewDesc("specie_group_document_seq", "Number of the group's document in force.", nil, nil),
		warrants: prometheus.NewDesc("specie_group_warrants_total", "Warrants in the register, by scope.", []string{"scope"}, nil),
		software: prometheus.NewDesc("specie_group_insecure_software_tpm", "1 if emulated TPMs are taken: never for real money.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (g *groupMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.seq, g.warrants, g.software} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. If the register does not answer,
// the numbers are missing from the scrape, which is an alarm of its own.
func (g *groupMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), keysTimeout)
	defer cancel()
	software := 0.0
	if g.m.Policy().SoftwareTPMs {
		software = 1
	}
	ch <- prometheus.MustNewConstMetric(g.software, prometheus.GaugeValue, software)
	doc, err := g.m.Document(ctx)
	if err != nil {
		g.log.Error("no metrics of the group", "error", err)
		return
	}
	ch <- prometheus.MustNewConstMetric(g.seq, prometheus.GaugeValue, float64(doc.Seq))
	c, err := g.m.WarrantCounts(ctx)
	if err != nil {
		g.log.Error("no metrics of the group", "error", err)
		return
	}
	for scope, n := range c.Counts {
		ch <- prometheus.MustNewConstMetric(g.warrants, prometheus.CounterValue, float64(n), string(scope))
	}
}

// memberMetrics collects numbers of members. It is for the operator: a stranger
// who watched them change could tell when somebody enrolled, or was expelled.
type memberMetrics struct {
	m                 *registration.Manager
	log               *slog.Logger
	members, sessions *prometheus.Desc
}

func newMemberMetrics(m *registration.Manager, log *slog.Logger) *memberMetrics {
	return &memberMetrics{
		m: m, log: log,
		members:  prometheus.NewDesc("specie_group_members", "Members, by state.", []string{"state"}, nil),
		sessions: prometheus.NewDesc("specie_group_registrations_open", "Registrations under way, expired ones not yet swept away too.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (g *memberMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- g.members
	ch <- g.sessions
}

// Collect implements prometheus.Collector.
func (g *memberMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), keysTimeout)
	defer cancel()
	c, err := g.m.Counts(ctx)
	if err != nil {
		g.log.Error("no metrics of members", "error", err)
		return
	}
	for state, n := range c.Members {
		ch <- prometheus.MustNewConstMetric(g.members, prometheus.GaugeValue, float64(n), string(state))
	}
	ch <- prometheus.MustNewConstMetric(g.sessions, prometheus.GaugeValue, float64(c.Sessions))
}
