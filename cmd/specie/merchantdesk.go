package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/merchant/desk"
)

type merchantKeyCmd struct {
	New    merchantKeyNewCmd    `cmd:"" help:"Make a key with which a web shop works at the till's desk."`
	List   merchantKeyListCmd   `cmd:"" help:"List the desk keys."`
	Revoke merchantKeyRevokeCmd `cmd:"" help:"End a desk key."`
}

type merchantKeyNewCmd struct {
	Name string `arg:"" help:"What the key is for: letters, digits, dots and dashes."`
	Out  string `help:"Write the key to this file (mode 0600), which must not exist, instead of printing it." type:"path" placeholder:"FILE"`
}

func (merchantKeyNewCmd) Help() string {
	return `Who has the key can make offers at this till, see its sales and give refunds to their payers: keep it like a
password. The till keeps a hash of it only.

Example:
  specie merchant key new webshop --out shop.key`
}

func (c merchantKeyNewCmd) Run(a *app) error {
	return a.withTill(func(t *merchant.Till) error {
		key, err := t.NewDeskKey(a.ctx, c.Name)
		if err != nil {
			return err
		}
		if c.Out == "" {
			return a.out.Result(map[string]string{"name": c.Name, "key": key}, func(w io.Writer) { fmt.Fprintln(w, key) })
		}
		if err := writeNew(c.Out, []byte(key+"\n")); err != nil {
			return errors.Join(err, t.RevokeDeskKey(a.ctx, c.Name))
		}
		return a.out.Result(map[string]string{"name": c.Name, "file": c.Out}, func(w io.Writer) { fmt.Fprintf(w, "wrote %s\n", c.Out) })
	})
}

type merchantKeyListCmd struct{}

func (merchantKeyListCmd) Help() string { return "Example:\n  specie merchant key list" }

func (merchantKeyListCmd) Run(a *app) error {
	return a.withTill(func(t *merchant.Till) error {
		keys, err := t.DeskKeys(a.ctx)
		if err != nil {
			return err
		}
		return a.out.Result(keys, func(w io.Writer) {
			rows := make([][]string, len(keys))
			for i, k := range keys {
				rows[i] = []string{k.Name, cli.When(k.Created)}
			}
			cli.Table(w, []string{"NAME", "SINCE"}, rows)
		})
	})
}

type merchantKeyRevokeCmd struct {
	Name string `arg:"" help:"The key's name."`
}

func (merchantKeyRevokeCmd) Help() string {
	return "A till that serves refuses the key from now on.\n\nExample:\n  specie merchant key revoke webshop"
}

func (c merchantKeyRevokeCmd) Run(a *app) error {
	return a.withTill(func(t *merchant.Till) error {
		if err := t.RevokeDeskKey(a.ctx, c.Name); err != nil {
			return err
		}
		return a.out.Result(map[string]string{"revoked": c.Name}, func(w io.Writer) { fmt.Fprintf(w, "%s opens nothing any more\n", c.Name) })
	})
}

type merchantOfflineCmd struct {
	Off    string `arg:"" optional:"" enum:"off,," help:"\"off\": accept nothing while the bank can't be reached." default:""`
	Sale   string `help:"The most of one sale." placeholder:"AMOUNT"`
	Total  string `help:"The most that is kept at a time." placeholder:"AMOUNT"`
	Bearer bool   `help:"Accept bearer coins too: nobody can say who paid with those."`
}

func (merchantOfflineCmd) Help() string {
	return `While the bank can't be reached, nobody can say whether coins are spent already. A till that has limits accepts
payments up to them all the same, after every other check, and deposits them when the bank is back: by itself while it
serves, or with "specie merchant resume". What you may lose is said in words, and is never more than --total.
Without anything it says what is set, and what is kept.

Example:
  specie merchant offline
  specie merchant offline --sale 10.00 --total 50.00
  specie merchant offline off`
}

var errOffline = errors.New(`say --sale and --total, or "off", or nothing`)

func (c merchantOfflineCmd) Run(a *app) error {
	set := c.Sale != "" || c.Total != ""
	if (c.Sale == "") != (c.Total == "") || (c.Bearer && !set) || (c.Off != "" && set) {
		return cli.Usage(errOffline)
	}
	return a.withTill(func(t *merchant.Till) error {
		info, err := t.Info(a.ctx)
		if err != nil {
			return err
		}
		if set || c.Off != "" {
			l := merchant.Limits{Bearer: c.Bearer}
			if set {
				if l.Sale, err = amountOf(c.Sale, info.Exponent); err != nil {
					return err
				}
				if l.Total, err = amountOf(c.Total, info.Exponent); err != nil {
					return err
				}
			}
			if err := t.SetLimits(a.ctx, l); err != nil {
				return cli.Usage(err)
			}
			if info, err = t.Info(a.ctx); err != nil {
				return err
			}
		}
		o := info.Offline
		return a.out.Result(o, func(w io.Writer) {
			fmt.Fprintln(w, o.Words)
			if o.KeptCount > 0 {
				fmt.Fprintf(w, "kept and not deposited yet: %s of %s %s, since %s\n",
					cli.Count(o.KeptCount, "payment"), o.KeptAmount.Format(info.Exponent), info.Currency, cli.When(*o.Oldest))
			}
		})
	})
}

type merchantResumeCmd struct{}

func (merchantResumeCmd) Help() string {
	return `The same bytes are sent again: nothing is credited twice. What was kept while the bank could not be reached is
deposited.

Example:
  specie merchant resume`
}

var errLost = errors.New("a payment that was accepted without the bank is refused")

func (merchantResumeCmd) Run(a *app) error {
	return a.withTill(func(t *merchant.Till) error {
		open, err := t.Unsettled(a.ctx)
		if err != nil {
			return err
		}
		kept, err := t.DepositKept(a.ctx)
		if err != nil {
			return err
		}
		if err := t.Resume(a.ctx); err != nil {
			return err
		}
		info, err := t.Info(a.ctx)
		if err != nil {
			return err
		}
		lost := 0
		err = a.out.Result(map[string]any{"open_before": open, "deposits": kept}, func(w io.Writer) {
			if open == 0 {
				fmt.Fprintln(w, "nothing is open")
				return
			}
			fmt.Fprintf(w, "%s settled\n", cli.Count(open, "open deposit or refund"))
		})
		for _, d := range kept {
			if d.State == merchant.StateRefused {
				lost++
				a.out.Note("lost: %s %s of order %s: %s; the papers: specie merchant receipt save %s", d.Amount.Format(info.Exponent), info.Currency, d.Order, d.Reason, shortOp(d.Op))
			}
		}
		if err == nil && lost > 0 {
			err = errLost
		}
		return err
	})
}

// dayOf prints the sales of a day and what they come to.
func dayOf(a *app, t *merchant.Till, day string, asCSV bool) error {
	if day == "today" {
		day = ""
	}
	from, until, err := merchant.Day(day, a.now().In(time.Local))
	if err != nil {
		return cli.Usage(err)
	}
	list, err := t.Sales(a.ctx, from, until)
	if err != nil {
		return err
	}
	if list == nil {
		list = []merchant.Sale{}
	}
	if asCSV {
		var b bytes.Buffer
		if err := desk.WriteCSV(&b, list, time.Local); err != nil {
			return err
		}
		return a.out.Document("csv", b.Bytes())
	}
	totals, err := merchant.Sum(list)
	if err != nil {
		return err
	}
	info, err := t.Info(a.ctx)
	if err != nil {
		return err
	}
	day = from.Format(time.DateOnly)
	return a.out.Result(map[string]any{"day": day, "sales": list, "totals": totals}, func(w io.Writer) {
		rows := make([][]string, len(list))
		for i, s := range list {
			rows[i] = []string{s.At().In(time.Local).Format(time.TimeOnly), s.Amount.Format(info.Exponent), s.State, cli.OneLine(s.Order)}
		}
		cli.Table(w, []string{"TIME", ">" + info.Currency, "STATE", "ORDER"}, rows)
		fmt.Fprintf(w, "%s: %s deposited, %s %s", day, cli.Count(totals.Count, "sale"), totals.Amount.Format(info.Exponent), info.Currency)
		if totals.Refunded > 0 {
			fmt.Fprintf(w, "; %s of it went back", totals.Refunded.Format(info.Exponent))
		}
		if totals.Kept > 0 {
			fmt.Fprintf(w, "; %s more is kept and not deposited yet", totals.Kept.Format(info.Exponent))
		}
		fmt.Fprintln(w)
	})
}
