package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client/issuerclient"
)

type accountCmd struct {
	Create accountCreateCmd `cmd:"" default:"withargs" help:"Open an account."`
	List   accountListCmd   `cmd:"" help:"List accounts."`
	Show   accountShowCmd   `cmd:"" help:"Show an account."`
}

type accountCreateCmd struct {
	officeFlags
	Kind     string `help:"holder, merchant, operator or supervisor." enum:"holder,merchant,operator,supervisor" default:"holder"`
	Name     string `help:"Name, for people." required:"" placeholder:"NAME"`
	Request  string `help:"The merchant's signed request (\"specie merchant request\"), for a merchant's account." type:"existingfile" name:"merchant-request" placeholder:"FILE"`
	TokenOut string `help:"Write the access token to this new file, mode 0600. It is shown nowhere else." required:"" type:"path" placeholder:"FILE"`
}

func (accountCreateCmd) Help() string {
	return `Example:
  specied account create --socket issuer.sock --name Alice --token-out alice.token
  specied account create --socket issuer.sock --kind merchant --name Café --merchant-request cafe.jws --token-out cafe.token
  specied account create --socket issuer.sock --kind operator --name Olga --token-out olga.token`
}

func (c accountCreateCmd) Run(a *app) error {
	var id string
	err := newTokenFile(c.TokenOut, func(token io.Writer) (err error) {
		id, err = c.create(a, token)
		return err
	})
	if err != nil {
		return err
	}
	return a.out.Result(map[string]string{"account": id, "token_file": c.TokenOut}, func(w io.Writer) {
		fmt.Fprintln(w, id)
	})
}

// newTokenFile makes the file first: a token that can't be stored must not be
// made. If none was, the file goes again.
func newTokenFile(path string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := fill(f); err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	return errors.Join(f.Sync(), f.Close())
}

func (c accountCreateCmd) create(a *app, token io.Writer) (string, error) {
	api, err := c.api()
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
	opened, err := answered(r.JSON201, r.HTTPResponse, r.Body)
	if err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(token, opened.Token); err != nil {
		return "", err
	}
	return opened.Account.Id, nil
}

type accountListCmd struct {
	officeFlags
	Kind string `help:"Accounts of this kind only." enum:",holder,merchant,operator,supervisor" default:""`
}

func (accountListCmd) Help() string {
	return "Example:\n  specied account list --socket issuer.sock --kind merchant"
}

func (c accountListCmd) Run(a *app) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	books, err := fetchBooks(a.ctx, api)
	if err != nil {
		return err
	}
	limit := 500
	p := issuerclient.GetAccountsParams{Limit: &limit}
	if c.Kind != "" {
		kind := issuerclient.AccountKind(c.Kind)
		p.Kind = &kind
	}
	list := []issuerclient.Account{}
	for {
		r, err := api.GetAccountsWithResponse(a.ctx, &p)
		if err != nil {
			return err
		}
		page, err := answered(r.JSON200, r.HTTPResponse, r.Body)
		if err != nil {
			return err
		}
		list = append(list, page.Accounts...)
		if p.After = page.Next; page.Next == nil {
			break
		}
	}
	return a.out.Result(list, func(w io.Writer) {
		rows := make([][]string, len(list))
		for i := range list {
			x := &list[i]
			rows[i] = []string{x.Id, signed(x.Balance, books.Exponent), stateOf(x), cli.OneLine(x.Name)}
		}
		cli.Table(w, []string{"ACCOUNT", ">" + books.Currency, "STATE", "NAME"}, rows)
	})
}

func stateOf(x *issuerclient.Account) string {
	if x.Suspended {
		return "suspended"
	}
	return "open"
}

type accountShowCmd struct {
	officeFlags
	Account string `arg:"" help:"The account's id."`
}

func (accountShowCmd) Help() string {
	return "Example:\n  specied account show --socket issuer.sock holder/…"
}

func (c accountShowCmd) Run(a *app) error {
	api, kind, id, err := c.account(c.Account)
	if err != nil {
		return err
	}
	r, err := api.GetAccountOfWithResponse(a.ctx, kind, id)
	if err != nil {
		return err
	}
	return a.showAccount(api, r.JSON200, r.HTTPResponse, r.Body)
}

type suspendCmd struct {
	officeFlags
	Account string `arg:"" help:"The account's id."`
	Reason  string `help:"Why, for the bank's records; the account's owner is not told." required:"" placeholder:"TEXT"`
}

func (suspendCmd) Help() string {
	return `With its tokens the account's owner still sees balance and statement, gets what was
recorded answered again, and revokes tokens. Its tills keep payments that they could
not deposit and hand them in once the account is reinstated.

Example:
  specied suspend --socket issuer.sock merchant/… --reason "complaint 17"`
}

func (c suspendCmd) Run(a *app) error {
	api, kind, id, err := c.account(c.Account)
	if err != nil {
		return err
	}
	r, err := api.SuspendWithResponse(a.ctx, kind, id, issuerclient.Reason{Reason: c.Reason})
	if err != nil {
		return err
	}
	return a.showAccount(api, r.JSON200, r.HTTPResponse, r.Body)
}

type reinstateCmd struct {
	officeFlags
	Account string `arg:"" help:"The account's id."`
	Reason  string `help:"Why, for the bank's records." required:"" placeholder:"TEXT"`
}

func (reinstateCmd) Help() string {
	return "Example:\n  specied reinstate --socket issuer.sock merchant/… --reason \"complaint 17 withdrawn\""
}

func (c reinstateCmd) Run(a *app) error {
	api, kind, id, err := c.account(c.Account)
	if err != nil {
		return err
	}
	r, err := api.ReinstateWithResponse(a.ctx, kind, id, &issuerclient.ReinstateParams{Reason: c.Reason})
	if err != nil {
		return err
	}
	return a.showAccount(api, r.JSON200, r.HTTPResponse, r.Body)
}

func when(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return cli.Moment(*t)
}

// showAccount prints an account that the bank answered with, or returns its
// refusal.
func (a *app) showAccount(api *issuerclient.ClientWithResponses, x *issuerclient.Account, resp *http.Response, body []byte) error {
	x, err := answered(x, resp, body)
	if err != nil {
		return err
	}
	books, err := fetchBooks(a.ctx, api)
	if err != nil {
		return err
	}
	return a.out.Result(x, func(w io.Writer) {
		rows := [][]string{
			{"account", x.Id}, {"name", cli.OneLine(x.Name)}, {"opened", when(&x.CreatedAt)},
			{"balance", signed(x.Balance, books.Exponent) + " " + books.Currency}, {"state", stateOf(x)},
		}
		if x.Reason != nil {
			rows = append(rows, []string{"because", cli.OneLine(*x.Reason)})
		}
		if x.Merchant != nil {
			rows = append(rows, []string{"merchant", *x.Merchant})
		}
		for _, r := range rows {
			fmt.Fprintf(w, "%-9s %s\n", r[0], r[1])
		}
	})
}
