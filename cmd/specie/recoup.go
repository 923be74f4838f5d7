package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/wallet"
)

type recoupCmd struct {
	ToAccount bool `help:"Money on the account that the coins were withdrawn from, in place of new coins, where there is one."`
	Yes       bool `help:"Don't ask: the bank may learn where these coins come from."`
}

func (recoupCmd) Help() string {
	return `When a key of the bank has leaked, the bank revokes it and takes no coin under it any more. Whoever has such coins shows the bank which withdrawal, exchange or change each of them came from, and gets new ones. So the bank learns that about these coins, and about no others; the new ones are as private as ever. Bound coins need the TPM.

Example:
  specie recoup
  specie recoup --to-account --yes`
}

var errNotConfirmed = errors.New("not confirmed; nothing was sent")

func (c recoupCmd) Run(a *app) error {
	return a.withAnyTPM(func(w *wallet.Wallet) error {
		k, err := w.Keyset(a.ctx)
		if err != nil {
			return err
		}
		plan, err := w.Recoupable(a.ctx)
		if err != nil {
			return err
		}
		if len(plan.Coins) == 0 {
			return a.out.Result(&wallet.Recouped{}, func(o io.Writer) { fmt.Fprintln(o, "all coins are good") })
		}
		if err := c.consent(a, plan, k); err != nil {
			return err
		}
		w.Watch(a.barWhenBegun("making coins good"))
		done, err := w.Recoup(a.ctx, plan, c.ToAccount)
		if done.Coins+done.Paid == 0 && err != nil {
			return err
		}
		return errors.Join(err, a.out.Result(done, func(o io.Writer) {
			fmt.Fprintf(o, "made good: %s, %s %s, of which %s on the account\n",
				cli.Count(done.Coins, "coin"), done.Worth.Format(k.Exponent), k.Currency, done.Credited.Format(k.Exponent))
			if done.Paid > 0 {
				fmt.Fprintf(o, "payments that turned out to be made: %d\n", done.Paid)
			}
		}))
	})
}

// consent tells what the bank will learn, and asks.
func (c recoupCmd) consent(a *app, plan *wallet.Recoupable, k *coin.Keyset) error {
	a.out.Note("%s worth %s %s can't be spent: the bank has revoked their key, or lost it",
		cli.Count(len(plan.Coins), "coin"), plan.Worth.Format(k.Exponent), k.Currency)
	a.out.Note("to have them made good, the bank is shown which withdrawal, exchange or change each of them came from")
	return a.showBank(plan.Payments, c.Yes)
}

// showBank asks whether the bank may be shown what was just said, unless the
// answer was given; payments are taken back with it.
func (a *app) showBank(payments int, answered bool) error {
	if payments > 0 {
		a.out.Note("open payments that are taken back with them: %d", payments)
	}
	if answered {
		return nil
	}
	yes, err := a.out.Confirm("show it to the bank?")
	if err != nil {
		return fmt.Errorf("%w (--yes is an answer too)", err)
	}
	if !yes {
		return errNotConfirmed
	}
	return nil
}

// noteRecoup says on the side that there are coins to be made good.
func (a *app) noteRecoup(w *wallet.Wallet) {
	b, err := w.Balance(a.ctx)
	if err == nil && b.Recoup > 0 {
		a.out.Note("coins worth %s %s are of a revoked or lost key: have them made good with \"specie recoup\"", b.Recoup.Format(b.Exponent), b.Currency)
	}
}
