package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/wallet"
)

type recoverCmd struct {
	ToAccount bool `help:"Money on the account that the coins were withdrawn from, in place of new coins, where there is one; the bank is shown the withdrawals then."`
	Yes       bool `help:"Don't ask: the bank may learn that these coins are one person's."`
}

func (recoverCmd) Help() string {
	return `Coins bound to a TPM can't be spent without it. Once the group manager has readmitted you ("specie enroll --again"), the bank repays those of the TPM that is gone, once, as soon as nobody can take payments from it any more: that is at the end of the epoch.

The bank is shown that these coins are one person's, who was one member of the group and is another now. It learns no name, and nothing about coins that are spent.

Example:
  specie recover
  specie recover --to-account --yes`
}

func (c recoverCmd) Run(a *app) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		k, err := w.Keyset(a.ctx)
		if err != nil {
			return err
		}
		plan, err := w.Recoverable(a.ctx)
		if err != nil {
			return err
		}
		if len(plan.Coins) == 0 && plan.Unproven == 0 {
			return a.out.Result(&wallet.Recovered{}, func(o io.Writer) { fmt.Fprintln(o, "no coins are bound to a TPM that is gone") })
		}
		if err := c.consent(a, plan, k); err != nil {
			return err
		}
		if plan.Ready > 0 {
			if err := w.AttachTPM(a.ctx, a.device()); err != nil {
				return err
			}
		}
		done, err := w.Recover(a.ctx, plan, c.ToAccount, a.out.Bar("recovering coins"))
		if done.Coins+done.Paid == 0 && err != nil {
			return err
		}
		return errors.Join(err, a.out.Result(done, func(o io.Writer) {
			fmt.Fprintf(o, "recovered: %s, %s %s, of which %s on the account\n",
				cli.Count(done.Coins, "coin"), done.Worth.Format(k.Exponent), k.Currency, done.Credited.Format(k.Exponent))
			if done.Paid > 0 {
				fmt.Fprintf(o, "payments that turned out to be made: %d\n", done.Paid)
			}
		}))
	})
}

// consent tells what the bank will learn, and asks.
func (c recoverCmd) consent(a *app, plan *wallet.Recoverable, k *coin.Keyset) error {
	if plan.Unproven > 0 {
		a.out.Note("coins worth %s %s can't be recovered: %v", plan.Unproven.Format(k.Exponent), k.Currency, plan.Why)
	}
	if plan.Worth > 0 {
		a.out.Note("bound to a TPM that is gone: %s worth %s %s", cli.Count(len(plan.Coins), "coin"), plan.Worth.Format(k.Exponent), k.Currency)
	}
	if !plan.From.IsZero() {
		a.out.Note("coins worth %s %s wait until %s: before, somebody may still hold a payment with them",
			(plan.Worth - plan.Ready).Format(k.Exponent), k.Currency, cli.When(plan.From))
	}
	if plan.Ready == 0 {
		return nil // nothing will be sent
	}
	a.out.Note("to have them repaid, the bank is shown that they are one person's, who was one member of the group and is another now; no name, and no other coins")
	if c.ToAccount {
		a.out.Note("for money on the account, it is shown which withdrawals they come from, too")
	}
	return a.showBank(plan.Payments, c.Yes)
}
