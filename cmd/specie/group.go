package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/wallet"
)

type groupCmd struct {
	Group string `arg:"" optional:"" help:"A group manager's address; your own group's by default." placeholder:"URL"`
}

func (groupCmd) Help() string {
	return `The group's document is verified against the pinned root, the supervisors' signatures
included. Look before you enrol: the supervisors can together find out who made a
payment, and the count of warrants says how often they were asked to.

Example:
  specie group
  specie group http://127.0.0.1:8081`
}

func (c groupCmd) Run(a *app) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		g, err := w.GroupInfo(a.ctx, c.Group)
		if err != nil {
			return notManager(err)
		}
		if g.SoftwareTPMs {
			a.out.Note("warning: this group takes emulated TPMs, which keep no secret from their owner: it is for tests, not for money")
		}
		return a.out.Result(g, func(o io.Writer) { cli.Table(o, []string{"GROUP", g.Group}, rowsOf(g)) })
	})
}

func rowsOf(g *wallet.GroupInfo) [][]string {
	platforms := "no rule about machines"
	if g.Platforms != nil {
		platforms = "approved machines only: " + orNone(g.Platforms)
	}
	rows := [][]string{
		{"manager", cli.OneLine(g.Manager)},
		{"document", fmt.Sprintf("number %d of %s", g.Number, cli.When(g.IssuedAt))},
		{"epoch", fmt.Sprintf("%d, ends %s", g.Epoch, cli.When(g.EpochEnds))},
		{"supervisors", fmt.Sprintf("%d of %d: %s", g.Quorum, len(g.Supervisors), strings.Join(g.Supervisors, ", "))},
		{"warrants so far", strconv.FormatUint(g.Warrants, 10)},
		{"endorsement keys", strings.Join(g.EKKinds, ", ")},
		{"machines", platforms},
	}
	m := g.Membership
	if m == nil {
		return append(rows, []string{"you", "not a member"})
	}
	state := fmt.Sprintf("member %s, credential of epoch %d", m.Member, m.Epoch)
	switch {
	case m.Ended && m.Until.IsZero():
		state += ", which has run out; the membership has ended"
	case m.Ended:
		state += fmt.Sprintf(", good until %s; the membership has ended", cli.When(m.Until))
	case m.Renew:
		state += ", to be renewed"
	}
	rows = append(rows, []string{"you", state})
	if m.Former > 0 {
		rows = append(rows, []string{"before that", cli.Count(m.Former, "earlier membership") + ", continued by this one"})
	}
	pin := "no PIN"
	switch {
	case m.KeyMissing:
		pin = "missing or damaged"
	case m.PIN:
		pin = "with a PIN"
	}
	return append(rows, []string{"key file", m.KeyFile + ", " + pin})
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

type renewCmd struct{}

func (renewCmd) Help() string {
	return `Whatever needs the TPM does this by itself. Do it ahead where the next payment will be
made without a network.

Example:
  specie renew`
}

func (renewCmd) Run(a *app) error {
	return a.withTPM(func(w *wallet.Wallet) error {
		g, err := w.GroupInfo(a.ctx, "")
		if err != nil {
			return err
		}
		return a.out.Result(g.Membership, func(o io.Writer) {
			fmt.Fprintf(o, "the credential is of epoch %d, which ends %s\n", g.Membership.Epoch, cli.When(g.EpochEnds))
		})
	})
}
