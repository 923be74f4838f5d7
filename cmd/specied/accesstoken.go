package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client/issuerclient"
)

type tokenCmd struct {
	New    tokenNewCmd    `cmd:"" help:"Make an access token for an account."`
	List   tokenListCmd   `cmd:"" help:"List an account's access tokens."`
	Revoke tokenRevokeCmd `cmd:"" help:"End an access token."`
}

type tokenNewCmd struct {
	officeFlags
	Account  string   `arg:"" help:"The account's id."`
	Scope    []string `help:"What it allows: withdraw, deposit, hold, refund, account, tokens; of staff, operate, supervise, observe." required:"" placeholder:"SCOPE"`
	Label    string   `help:"What it is for, for people." placeholder:"TEXT"`
	Expires  cli.Time `help:"When it ends by itself: a date, or RFC 3339; never without it." placeholder:"TIME"`
	TokenOut string   `help:"Write the access token to this new file, mode 0600. It is shown nowhere else." required:"" type:"path" placeholder:"FILE"`
}

func (tokenNewCmd) Help() string {
	return "Example:\n  specied token new --socket issuer.sock merchant/… --scope deposit,hold --label \"till 2\" --token-out till2.token"
}

func (c tokenNewCmd) Run(a *app) error {
	var made *issuerclient.CreatedToken
	err := newTokenFile(c.TokenOut, func(token io.Writer) (err error) {
		if made, err = c.create(a); err == nil && made.Token == nil {
			err = errors.New("the bank answered without a token")
		}
		if err == nil {
			_, err = fmt.Fprintln(token, *made.Token)
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.out.Result(made.Access, func(w io.Writer) { fmt.Fprintln(w, made.Access.Id) })
}

func (c tokenNewCmd) create(a *app) (*issuerclient.CreatedToken, error) {
	api, kind, id, err := c.account(c.Account)
	if err != nil {
		return nil, err
	}
	req := issuerclient.TokenRequest{Label: optional(c.Label)}
	for _, s := range c.Scope {
		req.Scopes = append(req.Scopes, issuerclient.Scope(s))
	}
	if !c.Expires.IsZero() {
		at := c.Expires.Time
		req.ExpiresAt = &at
	}
	r, err := api.CreateTokenOfWithResponse(a.ctx, kind, id, req)
	if err != nil {
		return nil, err
	}
	return answered(r.JSON201, r.HTTPResponse, r.Body)
}

type tokenListCmd struct {
	officeFlags
	Account string `arg:"" help:"The account's id."`
}

func (tokenListCmd) Help() string {
	return "Example:\n  specied token list --socket issuer.sock merchant/…"
}

func (c tokenListCmd) Run(a *app) error {
	api, kind, id, err := c.account(c.Account)
	if err != nil {
		return err
	}
	r, err := api.GetTokensOfWithResponse(a.ctx, kind, id)
	if err != nil {
		return err
	}
	list, err := answered(r.JSON200, r.HTTPResponse, r.Body)
	if err != nil {
		return err
	}
	return a.out.Result(list.Tokens, func(w io.Writer) {
		rows := make([][]string, len(list.Tokens))
		for i := range list.Tokens {
			t := &list.Tokens[i]
			state := "ended"
			if t.Good {
				state = "good"
			}
			scopes := make([]string, len(t.Scopes))
			for j, s := range t.Scopes {
				scopes[j] = string(s)
			}
			rows[i] = []string{t.Id, state, when(&t.CreatedAt), when(t.ExpiresAt), when(t.RevokedAt), strings.Join(scopes, ","), cli.OneLine(t.Label)}
		}
		cli.Table(w, []string{"TOKEN", "STATE", "MADE", "EXPIRES", "REVOKED", "SCOPES", "LABEL"}, rows)
	})
}

type tokenRevokeCmd struct {
	officeFlags
	Account string   `arg:"" help:"The account's id."`
	ID      string   `arg:"" help:"The token's id, from the list."`
	At      cli.Time `help:"When it ends: a date, or RFC 3339; now without it." placeholder:"TIME"`
}

func (tokenRevokeCmd) Help() string {
	return `A token that ends earlier stays so.

Example:
  specied token revoke --socket issuer.sock merchant/… ID`
}

func (c tokenRevokeCmd) Run(a *app) error {
	api, kind, id, err := c.account(c.Account)
	if err != nil {
		return err
	}
	var p issuerclient.RevokeTokenOfParams
	if !c.At.IsZero() {
		at := c.At.Time
		p.At = &at
	}
	r, err := api.RevokeTokenOfWithResponse(a.ctx, kind, id, c.ID, &p)
	if err != nil {
		return err
	}
	ended, err := answered(r.JSON200, r.HTTPResponse, r.Body)
	if err != nil {
		return err
	}
	return a.out.Result(ended, func(w io.Writer) { fmt.Fprintf(w, "%s ends %s\n", ended.Id, when(ended.RevokedAt)) })
}
