package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
)

type traceCmd struct {
	Token string `arg:"" help:"The token that supervisors released (specie-ceremony trace combine)." type:"existingfile"`
	officeFlags
}

func (traceCmd) Help() string {
	return `Finds the payments of one member among all that the bank ever redeemed, and nobody
else's. The token says whose, and carries the warrant on which k supervisors released
it; the bank verifies it from the root, and it must be in force.

The bank learns which payments are one person's, not who that is: the member's id is
his at the group manager. A hit is a lead; what convicts is an opening. The answer and
the token tell the person's payments to whoever sees them.

Example:
  specied trace token.json --socket issuer.sock`
}

var errNoTrace = errors.New("the trace did not come to its end")

// Run traces and prints what was found.
func (c traceCmd) Run(a *app) error {
	data, err := readToken(c.Token)
	if err != nil {
		return err
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	bar := a.out.Bar("tracing")
	report, err := traceOnline(a.ctx, api, data, func(done, total int64) { bar(int(done), int(total)) })
	if err != nil {
		return err
	}
	info, err := api.GetBooksWithResponse(a.ctx)
	if err != nil {
		return err
	}
	if info.JSON200 == nil {
		return client.ReadProblem(info.HTTPResponse, info.Body)
	}
	found := traced{report, info.JSON200.Currency, info.JSON200.Exponent}
	if err := a.out.Result(found, func(w io.Writer) { printTrace(w, report, found.Currency, found.Exponent) }); err != nil {
		return err
	}
	if !report.Sound {
		return fmt.Errorf("%w: the trace may have missed some", errUnsound)
	}
	return nil
}

// traced is what a trace found, with what its amounts are in: minor units of
// the currency, of which 10^Exponent are one.
type traced struct {
	*issuerclient.TraceReport
	Currency string `json:"currency"`
	Exponent int    `json:"exponent"`
}

// traceOnline has the daemon trace, and looks how far it is.
func traceOnline(ctx context.Context, api *issuerclient.ClientWithResponses, token []byte, progress func(done, total int64)) (*issuerclient.TraceReport, error) {
	started, err := api.StartTraceWithResponse(ctx, issuerclient.TraceRequest{Token: token})
	if err != nil {
		return nil, err
	}
	if started.JSON202 == nil {
		return nil, client.ReadProblem(started.HTTPResponse, started.Body)
	}
	now := started.JSON202
	err = await(ctx, func() (bool, int64, int64) {
		return now.State == issuerclient.TraceStateRunning, now.Done, now.Total
	}, func() error {
		r, err := api.GetTraceWithResponse(ctx)
		if err == nil && r.JSON200 == nil {
			err = client.ReadProblem(r.HTTPResponse, r.Body)
		}
		if err == nil {
			now = r.JSON200
		}
		return err
	}, progress)
	if err != nil {
		return nil, err
	}
	if now.Report == nil {
		reason := ""
		if now.Error != nil {
			reason = ": " + *now.Error
		}
		return nil, fmt.Errorf("%w%s", errNoTrace, reason)
	}
	progress(now.Total, now.Total)
	return now.Report, nil
}

func printTrace(w io.Writer, r *issuerclient.TraceReport, currency string, exponent int) {
	fmt.Fprintf(w, "member %s of %s, %s: %d of %d payments and exchanges\n", r.Member, r.Group, cli.OneLine(r.Reference), len(r.Hits), r.Searched)
	if len(r.Hits) == 0 {
		return
	}
	rows := make([][]string, len(r.Hits))
	for i, h := range r.Hits {
		account := ""
		if h.Account != nil {
			account = *h.Account
		}
		rows[i] = []string{cli.When(h.At), h.Kind, coin.Amount(h.Amount).Format(exponent), fmt.Sprint(h.Coins), account, h.Op}
	}
	cli.Table(w, []string{"WHEN", "WHAT", ">" + currency, ">COINS", "PAID TO", "OPERATION"}, rows)
}
