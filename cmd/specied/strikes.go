package main

import (
	"context"
	"io"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
)

type strikesCmd struct{ officeFlags }

func (strikesCmd) Help() string {
	return `A merchant gets a strike for each different payment that he hands in under a hold with an authorisation that he could
have found wrong by himself; after the last that the bank allows, his account is suspended. The newest is shown first.
With --json, a strike has the request as it was sent.

Example:
  specied strikes --socket issuer.sock`
}

func (c strikesCmd) Run(a *app) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	all, err := fetchStrikes(a.ctx, api)
	if err != nil {
		return err
	}
	return a.out.Result(all, func(w io.Writer) {
		rows := make([][]string, len(all.Strikes))
		for i, x := range all.Strikes {
			hold := ""
			if x.Hold != nil {
				hold = (*x.Hold)[:12]
			}
			rows[i] = []string{cli.When(x.At), string(x.Kind), x.Account, hold, cli.OneLine(x.Reason)}
		}
		cli.Table(w, []string{"WHEN", "WHAT", "ACCOUNT", "HOLD", "WHY"}, rows)
	})
}

// fetchStrikes returns all, newest first.
func fetchStrikes(ctx context.Context, api *issuerclient.ClientWithResponses) (*issuerclient.Strikes, error) {
	all := &issuerclient.Strikes{Strikes: []issuerclient.Strike{}}
	var next *string
	for {
		r, err := api.GetStrikesWithResponse(ctx, &issuerclient.GetStrikesParams{After: next})
		if err != nil {
			return nil, err
		}
		if r.JSON200 == nil {
			return nil, client.ReadProblem(r.HTTPResponse, r.Body)
		}
		all.Strikes = append(all.Strikes, r.JSON200.Strikes...)
		if next = r.JSON200.Next; next == nil {
			return all, nil
		}
	}
}
