package server

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/registration"
)

// groupMetrics collects the numbers of a group manager: all of them say how
// many, and none who.
type groupMetrics struct {
	m                                          *registration.Manager
	log                                        *slog.Logger
	seq, members, sessions, warrants, software *prometheus.Desc
}

func newGroupMetrics(m *registration.Manager, log *slog.Logger) *groupMetrics {
	return &groupMetrics{
		m: m, log: log,
		seq:      prometheus.NewDesc("specie_group_document_seq", "Number of the group's document in force.", nil, nil),
		members:  prometheus.NewDesc("specie_group_members", "Members, by state.", []string{"state"}, nil),
		sessions: prometheus.NewDesc("specie_group_registrations_open", "Registrations under way, expired ones not yet swept away too.", nil, nil),
		warrants: prometheus.NewDesc("specie_group_warrants_total", "Warrants in the register, by scope.", []string{"scope"}, nil),
		software: prometheus.NewDesc("specie_group_insecure_software_tpm", "1 if emulated TPMs are taken: never for real money.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (g *groupMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.seq, g.members, g.sessions, g.warrants, g.software} {
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
	c, err := g.m.Counts(ctx)
	if err != nil {
		g.log.Error("no metrics of the group", "error", err)
		return
	}
	for state, n := range c.Members {
		ch <- prometheus.MustNewConstMetric(g.members, prometheus.GaugeValue, float64(n), string(state))
	}
	ch <- prometheus.MustNewConstMetric(g.sessions, prometheus.GaugeValue, float64(c.Sessions))
	for scope, n := range c.Warrants {
		ch <- prometheus.MustNewConstMetric(g.warrants, prometheus.CounterValue, float64(n), string(scope))
	}
}
