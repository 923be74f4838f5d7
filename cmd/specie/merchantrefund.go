package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/wallet"
)

type merchantReleaseCmd struct {
	Payment string `arg:"" help:"The order's reference, or the payment's id or the beginning of it, from \"specie merchant takings\"."`
}

func (merchantReleaseCmd) Help() string {
	return "The payer may use his coins elsewhere at once, instead of when the hold ends.\n\nExample:\n  specie merchant release 4k1mZq"
}

func (c merchantReleaseCmd) Run(a *app) error {
	return a.withTill(func(t *merchant.Till) error {
		op, err := t.FindPayment(a.ctx, c.Payment)
		if err != nil {
			return err
		}
		if err := t.Release(a.ctx, op); err != nil {
			return err
		}
		return a.out.Result(map[string]string{"released": opText(op)}, func(w io.Writer) { fmt.Fprintln(w, "the coins are free") })
	})
}

type merchantRefundCmd struct {
	Payment string `arg:"" help:"The order's reference, or the payment's id or the beginning of it, from \"specie merchant takings\"."`
	Amount  string `arg:"" optional:"" help:"How much of it; all that is left if you don't say."`
	ID      string `help:"An id of your own for it, 16 random bytes in base64url: repeated with the same one, this gives once." placeholder:"ID"`
	Cancel  bool   `help:"Take back what of it waits to be collected."`
}

func (merchantRefundCmd) Help() string {
	return `The payer collects the money with "specie refund" from this till, which must be open then ("specie merchant
serve"). Only who owned the coins that were paid with can collect it, and your bank does not learn who that is.
Your account is debited when he does. What your bank has paid out to you it can't refund. Each run offers more:
look with "specie merchant refunds" before you repeat it. A script gives an --id, and repeats it with the same one.
What nobody comes for is taken back with --cancel. If the payer has asked for it and the outcome is open, your bank is
asked first: what it has done is done.

Example:
  specie merchant refund T-17 2.50
  specie merchant refund T-17 2.50 --id 3q2-7wAAAAAAAAAAAAAAAA
  specie merchant refund 4k1mZq --cancel`
}

var (
	errCancelAmount = errors.New("--cancel takes back all that waits: say no amount and no --id")
	errRefundID     = errors.New("an --id is 16 bytes in base64url, 22 characters")
)

func (c merchantRefundCmd) Run(a *app) error {
	if c.Cancel && (c.Amount != "" || c.ID != "") {
		return errCancelAmount
	}
	var id []byte // a fresh one if none is given
	if c.ID != "" {
		var err error
		if id, err = base64.RawURLEncoding.Strict().DecodeString(c.ID); err != nil || len(id) != merchant.RefundIDSize {
			return cli.Usage(errRefundID)
		}
	}
	return a.withTill(func(t *merchant.Till) error {
		k, err := t.Keyset(a.ctx)
		if err != nil {
			return err
		}
		op, err := t.FindPayment(a.ctx, c.Payment)
		if err != nil {
			return err
		}
		if c.Cancel {
			return c.cancel(a, t, k, op)
		}
		var amount coin.Amount
		if c.Amount != "" {
			if amount, err = amountOf(c.Amount, k.Exponent); err != nil {
				return err
			}
		}
		r, err := t.OfferRefund(a.ctx, op, amount, id)
		if err != nil {
			return err
		}
		return a.out.Result(r, func(w io.Writer) {
			fmt.Fprintf(w, "%s %s can be collected by the payer\n", r.Amount.Format(k.Exponent), k.Currency)
		})
	})
}

func (c merchantRefundCmd) cancel(a *app, t *merchant.Till, k *coin.Keyset, op [32]byte) error {
	list, err := t.CancelRefunds(a.ctx, op)
	if err != nil {
		return err
	}
	if list == nil {
		list = []merchant.Refund{}
	}
	return a.out.Result(list, func(w io.Writer) {
		for _, r := range list {
			fmt.Fprintf(w, "%s %s can't be collected any more\n", r.Amount.Format(k.Exponent), k.Currency)
		}
		if len(list) == 0 {
			fmt.Fprintln(w, "nothing waits to be collected")
		}
	})
}

type merchantRefundsCmd struct{}

func (merchantRefundsCmd) Help() string { return "Example:\n  specie merchant refunds" }

func (merchantRefundsCmd) Run(a *app) error {
	return a.withTill(func(t *merchant.Till) error {
		k, err := t.Keyset(a.ctx)
		if err != nil {
			return err
		}
		list, err := t.Refunds(a.ctx)
		if err != nil {
			return err
		}
		return a.out.Result(list, func(w io.Writer) {
			rows := make([][]string, len(list))
			for i, r := range list {
				rows[i] = []string{cli.When(r.Created), r.Amount.Format(k.Exponent), r.State, shortOp(r.Payment), cli.OneLine(r.Reason)}
			}
			cli.Table(w, []string{"WHEN", ">" + k.Currency, "STATE", "PAYMENT", "REASON"}, rows)
		})
	})
}

func opText(op [32]byte) string { return base64.RawURLEncoding.EncodeToString(op[:]) }

// shortOp is as much of a payment's id as tells it from others.
func shortOp(op []byte) string { return base64.RawURLEncoding.EncodeToString(op)[:12] }

type refundCmd struct {
	ID string `arg:"" help:"The payment's ID, or the beginning of it, from \"specie history\"."`
}

func (refundCmd) Help() string {
	return `The merchant must have offered it ("specie merchant refund"). It comes as new coins; bound coins that were paid
with come back bound, and need the TPM.

Example:
  specie refund 0f3a5c`
}

func (c refundCmd) Run(a *app) error {
	return a.withAnyTPM(func(w *wallet.Wallet) error {
		id, err := w.FindPayment(a.ctx, c.ID)
		if err != nil {
			return err
		}
		k, err := w.Keyset(a.ctx)
		if err != nil {
			return err
		}
		w.Watch(a.barWhenBegun("collecting refunds"))
		got, err := w.Refund(a.ctx, id)
		if err != nil {
			return err
		}
		return a.out.Result(map[string]any{"payment": id.String(), "amount": got}, func(o io.Writer) {
			fmt.Fprintf(o, "%s %s came back\n", got.Format(k.Exponent), k.Currency)
		})
	})
}
