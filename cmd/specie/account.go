package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/wallet"
)

// tokenCmd is about the access tokens of the purse's account, merchantTokenCmd
// about those of the till's.
type tokenCmd struct {
	List   tokenListCmd   `cmd:"" help:"List the account's access tokens."`
	Rotate tokenRotateCmd `cmd:"" help:"Change the purse's access token for a new one."`
	Revoke tokenRevokeCmd `cmd:"" help:"End an access token of the account."`
}

type merchantTokenCmd struct {
	List   merchantTokenListCmd   `cmd:"" help:"List the account's access tokens."`
	Rotate merchantTokenRotateCmd `cmd:"" help:"Change the till's access token for a new one."`
	Revoke merchantTokenRevokeCmd `cmd:"" help:"End an access token of the account."`
}

// withAccount is for one command about the purse's account.
func (a *app) withAccount(f func(*client.Account) error) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		account, err := w.Account()
		if err != nil {
			return err
		}
		return f(account)
	})
}

// withTillAccount is for one command about the till's account.
func (a *app) withTillAccount(f func(*client.Account) error) error {
	return a.withTill(func(t *merchant.Till) error {
		account, err := t.Account()
		if err != nil {
			return err
		}
		return f(account)
	})
}

type tokenListCmd struct{}

func (tokenListCmd) Help() string { return "Example:\n  specie token list" }

func (tokenListCmd) Run(a *app) error { return a.withAccount(a.listTokens) }

type merchantTokenListCmd struct{}

func (merchantTokenListCmd) Help() string { return "Example:\n  specie merchant token list" }

func (merchantTokenListCmd) Run(a *app) error { return a.withTillAccount(a.listTokens) }

func (a *app) listTokens(account *client.Account) error {
	list, err := account.Tokens(a.ctx)
	if err != nil {
		return err
	}
	return a.out.Result(list, func(w io.Writer) {
		rows := make([][]string, len(list))
		for i := range list {
			t := &list[i]
			state := "ended"
			switch {
			case t.Good && t.Current != nil && *t.Current:
				state = "this one"
			case t.Good:
				state = "good"
			}
			rows[i] = []string{t.Id, state, cli.When(t.CreatedAt), ends(t), scopes(t), cli.OneLine(t.Label)}
		}
		cli.Table(w, []string{"TOKEN", "STATE", "MADE (UTC)", "ENDS (UTC)", "SCOPES", "LABEL"}, rows)
	})
}

// ends is when a token ends, by itself or because it was revoked.
func ends(t *issuerclient.AccessToken) string {
	end := t.ExpiresAt
	if t.RevokedAt != nil && (end == nil || t.RevokedAt.Before(*end)) {
		end = t.RevokedAt
	}
	if end == nil {
		return "-"
	}
	return cli.When(*end)
}

func scopes(t *issuerclient.AccessToken) string {
	out := make([]string, len(t.Scopes))
	for i, s := range t.Scopes {
		out[i] = string(s)
	}
	return strings.Join(out, ",")
}

// rotateFlags say how long the old token lives on.
type rotateFlags struct {
	Keep time.Duration `help:"How long the old token works on, for what is under way." default:"1m"`
}

const rotateHelp = `The new token has the label, the scopes and the end of the old one. It is stored before the
bank hears of it, and the old one ends after that: what is interrupted is taken up by the
same command, and at every moment the stored token works.

Example:
  `

type tokenRotateCmd struct{ rotateFlags }

func (tokenRotateCmd) Help() string { return rotateHelp + "specie token rotate" }

func (c tokenRotateCmd) Run(a *app) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		return a.rotated(w.RotateToken(a.ctx, a.now().Add(c.Keep)))
	})
}

type merchantTokenRotateCmd struct{ rotateFlags }

func (merchantTokenRotateCmd) Help() string { return rotateHelp + "specie merchant token rotate" }

func (c merchantTokenRotateCmd) Run(a *app) error {
	return a.withTill(func(t *merchant.Till) error {
		return a.rotated(t.RotateToken(a.ctx, a.now().Add(c.Keep)))
	})
}

func (a *app) rotated(err error) error {
	if err != nil {
		return err
	}
	return a.out.Result(map[string]bool{"rotated": true}, func(w io.Writer) {
		fmt.Fprintln(w, "the new access token is stored and in use")
	})
}

type tokenRevokeCmd struct {
	ID string `arg:"" help:"The token's id, from the list."`
}

func (tokenRevokeCmd) Help() string {
	return "Example:\n  specie token revoke ID"
}

func (c tokenRevokeCmd) Run(a *app) error {
	return a.withAccount(func(x *client.Account) error { return a.revoke(x, c.ID) })
}

type merchantTokenRevokeCmd struct {
	ID string `arg:"" help:"The token's id, from the list."`
}

func (merchantTokenRevokeCmd) Help() string {
	return "Example:\n  specie merchant token revoke ID"
}

func (c merchantTokenRevokeCmd) Run(a *app) error {
	return a.withTillAccount(func(x *client.Account) error { return a.revoke(x, c.ID) })
}

func (a *app) revoke(account *client.Account, id string) error {
	t, err := account.RevokeToken(a.ctx, id, time.Time{})
	if err != nil {
		return err
	}
	return a.out.Result(t, func(w io.Writer) { fmt.Fprintf(w, "%s has ended\n", t.Id) })
}

// statementFlags are the period and form of a statement.
type statementFlags struct {
	From   cli.Time `help:"Where it begins: a date (midnight UTC) or an RFC 3339 instant; the first of this month without it." placeholder:"TIME"`
	Until  cli.Time `help:"Where it ends, likewise, not included; now without it." placeholder:"TIME"`
	Format string   `help:"text, csv (RFC 4180) or camt.053 (ISO 20022)." enum:"text,csv,camt.053" default:"text"`
	Out    string   `help:"Write to this new file instead." type:"path" placeholder:"FILE"`
}

type statementCmd struct{ statementFlags }

func (statementCmd) Help() string {
	return "Example:\n  specie statement --from 2026-11-01 --until 2026-12-01"
}

func (c statementCmd) Run(a *app) error {
	return a.withAccount(func(x *client.Account) error { return c.print(a, x) })
}

type merchantStatementCmd struct{ statementFlags }

func (merchantStatementCmd) Help() string {
	return "Example:\n  specie merchant statement --from 2026-11-01 --until 2026-12-01 --format camt.053 --out november.xml"
}

func (c merchantStatementCmd) Run(a *app) error {
	return a.withTillAccount(func(x *client.Account) error { return c.print(a, x) })
}

func (c *statementFlags) print(a *app, account *client.Account) error {
	if c.Format != "text" {
		file, err := account.ExportStatement(a.ctx, c.From.RFC3339(), c.Until.RFC3339(), c.Format)
		if err != nil {
			return err
		}
		if c.Out == "" {
			return a.out.Document("statement", file)
		}
		return c.save(a, file)
	}
	s, err := account.Statement(a.ctx, c.From.RFC3339(), c.Until.RFC3339())
	if err != nil {
		return err
	}
	if c.Out == "" {
		return a.out.Result(s, func(w io.Writer) { statementTable(w, s) })
	}
	var table bytes.Buffer
	statementTable(&table, s)
	return c.save(a, table.Bytes())
}

// save writes the statement's file, which must not be there.
func (c *statementFlags) save(a *app, file []byte) error {
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(file)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return a.out.Result(map[string]string{"file": c.Out}, func(w io.Writer) { fmt.Fprintf(w, "wrote %s\n", c.Out) })
}

func statementTable(w io.Writer, s *issuerclient.Statement) {
	headers, rows := client.StatementTable(s)
	cli.Table(w, headers, rows)
}
