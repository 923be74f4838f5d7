package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/merchant"
)

type merchantWebhookCmd struct {
	Set  merchantWebhookSetCmd  `cmd:"" help:"Have a web shop told what becomes of sales."`
	Test merchantWebhookTestCmd `cmd:"" help:"Send the shop a message of type \"test\", now."`
	List merchantWebhookListCmd `cmd:"" help:"Show where messages go, which wait, and what came of the last ones."`
	Off  merchantWebhookOffCmd  `cmd:"" help:"Tell no shop any more."`
}

type merchantWebhookSetCmd struct {
	URL        string `arg:"" name:"url" help:"Where messages are posted: https, or http on this machine."`
	SecretFile string `help:"File with the secret that you share with the shop (whsec_…), mode 0600; it is made if it is not there." required:"" type:"path" placeholder:"FILE"`
}

func (merchantWebhookSetCmd) Help() string {
	return `Messages are signed by the Standard Webhooks scheme. A till that serves sends them; what the shop does not take is
tried again for three days, and no step of a sale is told before an earlier one of it.

Example:
  specie merchant webhook set https://shop.example/specie --secret-file shop.secret`
}

func (c merchantWebhookSetCmd) Run(a *app) error {
	return a.withTill(func(t *merchant.Till) error {
		secret, err := cli.ReadSecretFile(c.SecretFile)
		if errors.Is(err, os.ErrNotExist) {
			if secret, err = merchant.NewWebhookSecret(); err == nil {
				err = writeNew(c.SecretFile, []byte(secret+"\n"))
			}
		}
		if err != nil {
			return err
		}
		if err := t.SetWebhook(a.ctx, c.URL, secret); err != nil {
			return err
		}
		return a.out.Result(map[string]string{"url": c.URL}, func(w io.Writer) {
			fmt.Fprintf(w, "what happens from now on is told to %s; give the shop %s\n", c.URL, c.SecretFile)
		})
	})
}

type merchantWebhookTestCmd struct{}

func (merchantWebhookTestCmd) Help() string { return "Example:\n  specie merchant webhook test" }

func (merchantWebhookTestCmd) Run(a *app) error {
	return a.withTill(func(t *merchant.Till) error {
		if err := t.TestWebhook(a.ctx); err != nil {
			return err
		}
		return a.out.Result(map[string]bool{"delivered": true}, func(w io.Writer) { fmt.Fprintln(w, "the shop took it") })
	})
}

type merchantWebhookListCmd struct{}

func (merchantWebhookListCmd) Help() string { return "Example:\n  specie merchant webhook list" }

func (merchantWebhookListCmd) Run(a *app) error {
	return a.withTill(func(t *merchant.Till) error {
		s, err := t.Webhook(a.ctx)
		if err != nil {
			return err
		}
		return a.out.Result(s, func(w io.Writer) {
			if s.URL == "" {
				fmt.Fprintln(w, merchant.ErrNoWebhook)
				return
			}
			fmt.Fprintf(w, "%s; %s\n", s.URL, cli.Count(s.Waiting, "message")+" waiting")
			rows := make([][]string, len(s.Messages))
			for i, m := range s.Messages {
				state := m.Done
				if state == "" {
					state = "waits"
				}
				rows[i] = []string{cli.Moment(m.At), m.Step, shortOp(m.Sale), fmt.Sprint(m.Tries), state, m.Outcome}
			}
			cli.Table(w, []string{"WHEN", "STEP", "SALE", ">TRIES", "STATE", "OUTCOME"}, rows)
		})
	})
}

type merchantWebhookOffCmd struct{}

func (merchantWebhookOffCmd) Help() string {
	return "What waits is not sent any more.\n\nExample:\n  specie merchant webhook off"
}

func (merchantWebhookOffCmd) Run(a *app) error {
	return a.withTill(func(t *merchant.Till) error {
		if err := t.SetWebhook(a.ctx, "", ""); err != nil {
			return err
		}
		return a.out.Result(map[string]string{"url": ""}, func(w io.Writer) { fmt.Fprintln(w, "no shop is told any more") })
	})
}
