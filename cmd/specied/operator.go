package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
)

// onSocket is an HTTP client whose every connection goes to a UNIX socket.
func onSocket(path string) *http.Client {
	return &http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}},
	}
}

func issuerAdmin(socket string) (*issuerclient.ClientWithResponses, error) {
	return issuerclient.NewClientWithResponses("http://operator", issuerclient.WithHTTPClient(onSocket(socket)))
}

type accountCmd struct {
	Socket   string `help:"The issuer's admin socket." required:"" type:"path"`
	Kind     string `help:"holder or merchant." enum:"holder,merchant" default:"holder"`
	Name     string `help:"Name, for people." required:""`
	Request  string `help:"The merchant's signed request (\"specie merchant request\"), for a merchant's account." type:"existingfile" name:"merchant-request"`
	TokenOut string `help:"Write the access token to this new file, mode 0600. It is shown nowhere else." required:"" type:"path"`
}

func (accountCmd) Help() string {
	return "Example:\n  specied account --socket issuer.sock --name Alice --token-out alice.token\n  specied account --socket issuer.sock --kind merchant --name Café --merchant-request cafe.jws --token-out cafe.token"
}

func (c accountCmd) Run(a *app) error {
	// The file first: a token that can't be stored must not be made.
	f, err := os.OpenFile(c.TokenOut, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	id, err := c.create(a, f)
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(c.TokenOut))
	}
	if err := f.Close(); err != nil {
		return err
	}
	return a.out.Result(map[string]string{"account": id, "token_file": c.TokenOut}, func(w io.Writer) {
		fmt.Fprintln(w, id)
	})
}

func (c accountCmd) create(a *app, token io.Writer) (string, error) {
	api, err := issuerAdmin(c.Socket)
	if err != nil {
		return "", err
	}
	req := issuerclient.AccountRequest{Kind: issuerclient.AccountKind(c.Kind), Name: c.Name}
	if c.Request != "" {
		raw, err := readFile(c.Request)
		if err != nil {
			return "", err
		}
		jws := strings.TrimSpace(string(raw))
		req.MerchantRequest = &jws
	}
	r, err := api.CreateAccountWithResponse(a.ctx, req)
	if err != nil {
		return "", err
	}
	if r.JSON201 == nil {
		return "", client.ReadProblem(r.HTTPResponse, r.Body)
	}
	if _, err := fmt.Fprintln(token, r.JSON201.Token); err != nil {
		return "", err
	}
	return r.JSON201.Account.Id, nil
}

type fundCmd struct {
	Socket    string `help:"The issuer's admin socket." required:"" type:"path"`
	Account   string `help:"Account to credit." required:""`
	Amount    string `arg:"" help:"Amount, such as 100.00."`
	Reference string `help:"The incoming payment; a repeated reference credits once." required:""`
}

func (fundCmd) Help() string {
	return "Example:\n  specied fund 100.00 --socket issuer.sock --account holder/… --reference BANKWIRE-4711"
}

func (c fundCmd) Run(a *app) error {
	api, err := issuerAdmin(c.Socket)
	if err != nil {
		return err
	}
	books, err := fetchBooks(a.ctx, api)
	if err != nil {
		return err
	}
	amount, err := coin.ParseAmount(c.Amount, books.Exponent)
	if err != nil {
		return fmt.Errorf("amount %q: %w", c.Amount, err)
	}
	r, err := api.FundWithResponse(a.ctx, issuerclient.FundingRequest{Account: c.Account, Amount: amount, Reference: c.Reference})
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return a.out.Result(r.JSON200, func(w io.Writer) {
		fmt.Fprintf(w, "credited %s %s to %s\n", amount.Format(books.Exponent), books.Currency, c.Account)
	})
}

type booksCmd struct {
	Socket string `help:"The issuer's admin socket." required:"" type:"path"`
}

func (booksCmd) Help() string { return "Example:\n  specied books --socket issuer.sock" }

func (c booksCmd) Run(a *app) error {
	api, err := issuerAdmin(c.Socket)
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
