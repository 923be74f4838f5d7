package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
)

// transferFlags are what a funding and a payout have in common.
type transferFlags struct {
	officeFlags
	Account   string `help:"The account's id." required:"" placeholder:"ACCOUNT"`
	Amount    string `arg:"" help:"Amount, such as 100.00."`
	Reference string `help:"The payment outside; repeated, it counts once." required:"" placeholder:"TEXT"`
}

// request reads the amount as the bank counts, and returns the bank.
func (c *transferFlags) request(a *app) (*issuerclient.ClientWithResponses, *issuerclient.Books, issuerclient.FundingRequest, error) {
	var r issuerclient.FundingRequest
	api, err := c.api()
	if err != nil {
		return nil, nil, r, err
	}
	books, err := fetchBooks(a.ctx, api)
	if err != nil {
		return nil, nil, r, err
	}
	amount, err := coin.ParseAmount(c.Amount, books.Exponent)
	if err == nil && amount == 0 {
		err = coin.ErrMalformed
	}
	if errors.Is(err, coin.ErrMalformed) {
		err = cli.Usage(fmt.Errorf("%q is no amount: write it like %s", c.Amount, coin.Amount(1234).Format(books.Exponent)))
	}
	if err != nil {
		return nil, nil, r, err
	}
	return api, books, issuerclient.FundingRequest{Account: c.Account, Amount: amount, Reference: c.Reference}, nil
}

type fundCmd struct{ transferFlags }

func (fundCmd) Help() string {
	return "Example:\n  specied fund 100.00 --socket issuer.sock --account holder/… --reference BANKWIRE-4711"
}

func (c fundCmd) Run(a *app) error {
	api, books, req, err := c.request(a)
	if err != nil {
		return err
	}
	r, err := api.FundWithResponse(a.ctx, req)
	if err != nil {
		return err
	}
	done, err := answered(r.JSON200, r.HTTPResponse, r.Body)
	if err != nil {
		return err
	}
	return a.out.Result(done, func(w io.Writer) {
		fmt.Fprintf(w, "credited %s %s to %s\n", req.Amount.Format(books.Exponent), books.Currency, c.Account)
	})
}

type payoutCmd struct{ transferFlags }

func (payoutCmd) Help() string {
	return `Debits the account, for money that you send outside under that reference. What the
account deposited before can't be refunded any more.

Example:
  specied payout 40.00 --socket issuer.sock --account merchant/… --reference BANKWIRE-4712`
}

func (c payoutCmd) Run(a *app) error {
	api, books, req, err := c.request(a)
	if err != nil {
		return err
	}
	r, err := api.PayOutWithResponse(a.ctx, req)
	if err != nil {
		return err
	}
	done, err := answered(r.JSON200, r.HTTPResponse, r.Body)
	if err != nil {
		return err
	}
	return a.out.Result(done, func(w io.Writer) {
		fmt.Fprintf(w, "debited %s %s from %s\n", req.Amount.Format(books.Exponent), books.Currency, c.Account)
	})
}

type drainCmd struct {
	officeFlags
	State string `arg:"" optional:"" enum:",on,off" default:"" help:"on: redeem only; off: end that. Without it, what holds is shown."`
}

func (drainCmd) Help() string {
	return `While a bank drains, withdrawals, refunds and fundings are refused. Coins are deposited,
exchanged and made good, and accounts paid out, as ever.

Example:
  specied drain on --socket issuer.sock
  specied drain --socket issuer.sock`
}

func (c drainCmd) Run(a *app) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	now, err := c.drain(a, api)
	if err != nil {
		return err
	}
	return a.out.Result(now, func(w io.Writer) {
		if now.Draining {
			fmt.Fprintln(w, "the bank redeems only")
			return
		}
		fmt.Fprintln(w, "the bank issues and redeems")
	})
}

func (c drainCmd) drain(a *app, api *issuerclient.ClientWithResponses) (*issuerclient.Drain, error) {
	if c.State == "" {
		r, err := api.GetDrainWithResponse(a.ctx)
		if err != nil {
			return nil, err
		}
		return answered(r.JSON200, r.HTTPResponse, r.Body)
	}
	on := c.State == "on"
	r, err := api.SetDrainWithResponse(a.ctx, issuerclient.DrainRequest{Draining: &on})
	if err != nil {
		return nil, err
	}
	return answered(r.JSON200, r.HTTPResponse, r.Body)
}

type statementCmd struct {
	officeFlags
	Account string   `arg:"" help:"The account's id."`
	From    cli.Time `help:"Where it begins: a date (midnight UTC) or an RFC 3339 instant; the first of this month without it." placeholder:"TIME"`
	Until   cli.Time `help:"Where it ends, likewise, not included; now without it." placeholder:"TIME"`
	Format  string   `help:"text, csv (RFC 4180) or camt.053 (ISO 20022)." enum:"text,csv,camt.053" default:"text"`
	Out     string   `help:"Write to this new file." type:"path" placeholder:"FILE"`
}

func (statementCmd) Help() string {
	return `Example:
  specied statement --socket issuer.sock merchant/… --from 2026-11-01 --until 2026-12-01
  specied statement --socket issuer.sock merchant/… --from 2026-11-01 --until 2026-12-01 --format camt.053 --out november.xml`
}

func (c statementCmd) Run(a *app) error {
	api, kind, id, err := c.account(c.Account)
	if err != nil {
		return err
	}
	if c.Format != "text" {
		format := issuerclient.GetStatementOfParamsFormat(c.Format)
		r, err := api.GetStatementOfWithResponse(a.ctx, kind, id, &issuerclient.GetStatementOfParams{From: optional(c.From.RFC3339()), Until: optional(c.Until.RFC3339()), Format: &format})
		if err != nil {
			return err
		}
		if r.StatusCode() != 200 {
			return client.ReadProblem(r.HTTPResponse, r.Body)
		}
		if c.Out != "" {
			if err := writeNew(c.Out, r.Body); err != nil {
				return err
			}
			return a.out.Result(map[string]string{"file": c.Out}, func(w io.Writer) { fmt.Fprintf(w, "wrote %s\n", c.Out) })
		}
		return a.out.Document("statement", r.Body)
	}
	if c.Out != "" {
		return cli.Usage(errors.New("--out goes with --format csv or camt.053"))
	}
	s, err := client.WholeStatement(func(after *string) (*issuerclient.Statement, error) {
		limit := 500
		r, err := api.GetStatementOfWithResponse(a.ctx, kind, id, &issuerclient.GetStatementOfParams{
			From: optional(c.From.RFC3339()), Until: optional(c.Until.RFC3339()), After: after, Limit: &limit,
		})
		if err != nil {
			return nil, err
		}
		return answered(r.JSON200, r.HTTPResponse, r.Body)
	})
	if err != nil {
		return err
	}
	return a.out.Result(s, func(w io.Writer) {
		headers, rows := client.StatementTable(s)
		cli.Table(w, headers, rows)
	})
}

// optional is nil for an empty text.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
