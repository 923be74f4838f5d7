package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
)

type booksCmd struct{ officeFlags }

func (booksCmd) Help() string { return "Example:\n  specied books --socket issuer.sock" }

func (c booksCmd) Run(a *app) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	b, err := fetchBooks(a.ctx, api)
	if err != nil {
		return err
	}
	err = a.out.Result(b, func(w io.Writer) {
		var rows [][]string
		var sum int64
		for _, x := range b.Classes {
			rows = append(rows, []string{x.Class, signed(x.Balance, b.Exponent)})
			sum += x.Balance
		}
		rows = append(rows, []string{"sum", signed(sum, b.Exponent)})
		cli.Table(w, []string{"ACCOUNTS", ">" + b.Currency}, rows)
	})
	if err == nil && !b.Balanced {
		err = errUnbalanced
	}
	return err
}

var errUnbalanced = errors.New("the books do not balance: stop issuing and find out why")

func fetchBooks(ctx context.Context, api *issuerclient.ClientWithResponses) (*issuerclient.Books, error) {
	r, err := api.GetBooksWithResponse(ctx)
	if err != nil {
		return nil, err
	}
	if r.JSON200 == nil {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return r.JSON200, nil
}

func signed(minor int64, exponent int) string {
	if minor < 0 {
		return "-" + coin.Amount(-minor).Format(exponent)
	}
	return coin.Amount(minor).Format(exponent)
}

// writeNew writes a file that must not exist yet.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
