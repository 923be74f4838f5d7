package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/wallet"
)

type payCmd struct {
	Link string `arg:"" help:"Payment link (specie:pay?o=…), or a file that holds one, or - for standard input."`
	Kind string `help:"Which coins to use: bearer, bound or any." enum:"bearer,bound,any" default:"any"`
	Save string `help:"Write the payment to this file instead of sending it." placeholder:"FILE" type:"path" xor:"how"`
	Hold bool   `help:"Let the merchant have the bank hold your coins first." xor:"how"`
}

func (payCmd) Help() string {
	return `The offer is verified and shown; the coins are committed to it before anything is sent.
With --hold the merchant sees your coins before he gets your authorisation: his bank tells him that they are good and
unspent, and keeps them for him for a moment.

Example:
  specie pay offer.link --kind bound`
}

func (c payCmd) Run(a *app) error {
	link, err := readLink(c.Link)
	if err != nil {
		return err
	}
	with := a.withFreeTPM
	switch coin.Kind(c.Kind) {
	case coin.Bearer:
		with = a.withWallet
	case coin.Bound:
		with = a.withTPM
	}
	return with(func(w *wallet.Wallet) error {
		k, err := w.Keyset(a.ctx)
		if err != nil {
			return err
		}
		offer, err := w.Inspect(a.ctx, link)
		if err != nil {
			return err
		}
		a.out.Note("%s asks %s %s for %s", offer.Private.Name, offer.Offer.Amount.Format(k.Exponent), k.Currency, words(offer.Private))
		var kinds []coin.Kind
		if c.Kind != "any" {
			kinds = []coin.Kind{coin.Kind(c.Kind)}
		}
		p, err := c.prepare(a, w, link, kinds)
		if pin, _ := w.HasPIN(); pin && errors.Is(err, wallet.ErrNoTPM) && a.pinFile == "" {
			// Bearer coins alone don't reach: now the PIN is worth asking for.
			if err := w.AttachTPM(a.ctx, a.device()); err != nil {
				return err
			}
			p, err = c.prepare(a, w, link, kinds)
		}
		if err != nil {
			return err
		}
		if c.Hold {
			if err := showFirst(a, w, p); err != nil {
				return err
			}
		}
		if c.Save == "" {
			if err := w.Submit(a.ctx, p); err != nil {
				return err
			}
		}
		return a.out.Result(paid(p), func(o io.Writer) {
			did := "paid"
			if c.Save != "" {
				did = "set aside"
			}
			fmt.Fprintf(o, "%s %s %s for %s: %s (%s), %s change\n", did, offer.Offer.Amount.Format(k.Exponent), k.Currency,
				cli.OneLine(offer.Private.Name), cli.Count(len(p.Coins), "coin"), values(p.Coins, k.Exponent), p.Change.Format(k.Exponent))
			if c.Save != "" {
				fmt.Fprintf(o, "give %s to the merchant; \"specie resume\" sends it, or fetches the change\n", c.Save)
			}
		})
	})
}

// showFirst lets the merchant have the coins held.
func showFirst(a *app, w *wallet.Wallet, p *wallet.Payment) error {
	shown, err := w.Show(a.ctx, p)
	if err != nil {
		return fmt.Errorf("%w: the payment is set aside as %s: %w", wallet.ErrOpen, p.ID, err)
	}
	if shown.Until != nil {
		a.out.Note("the merchant's bank holds the coins for him until %s UTC", shown.Until.UTC().Format(time.TimeOnly))
	} else {
		a.out.Note("the merchant has checked the coins; his bank does not hold them")
	}
	return nil
}

// prepare commits the coins to the offer, and writes the payment to a file if
// asked to. The file is made first: a payment that can't be handed over must
// not promise coins.
func (c payCmd) prepare(a *app, w *wallet.Wallet, link string, kinds []coin.Kind) (*wallet.Payment, error) {
	if c.Save == "" {
		return w.PreparePayment(a.ctx, link, kinds...)
	}
	f, err := os.OpenFile(c.Save, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	p, err := w.PreparePayment(a.ctx, link, kinds...)
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(c.Save))
	}
	_, err = f.Write(p.Spend)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("%w: the payment is set aside as %s and not written: %w", wallet.ErrOpen, p.ID, err)
	}
	return p, nil
}

func words(p coin.PrivateOffer) string {
	text := strings.TrimSpace(p.Purpose + " " + p.Order)
	if text == "" {
		return "nothing named"
	}
	return text
}

// paid is a payment for scripts.
func paid(p *wallet.Payment) map[string]any {
	return map[string]any{
		"id": p.ID, "amount": p.Offer.Offer.Amount, "currency": p.Offer.Offer.Currency,
		"merchant": p.Offer.Private.MerchantID, "coins": len(p.Coins), "change": p.Change,
		"receipt": p.Receipt, "bank_receipt": p.BankReceipt,
	}
}

// readLink takes a link, or reads one from a file or standard input.
func readLink(arg string) (string, error) {
	if strings.HasPrefix(arg, "specie:") {
		return arg, nil
	}
	r := io.Reader(os.Stdin)
	if arg != "-" {
		f, err := os.Open(arg)
		if err != nil {
			return "", err
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, coin.MaxLink+1))
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}

type reclaimCmd struct {
	ID string `arg:"" help:"The payment's ID, or the beginning of it, from \"specie history\"."`
}

func (reclaimCmd) Help() string {
	return `The payment is voided and its coins come back as new ones, so the merchant can't deposit them any more.
If he did so first, the bank shows it and the payment is settled as paid. Bound coins need the TPM.
Where your membership of the group has ended, the bearer coins come back alone, and the bound ones are held.

Example:
  specie reclaim 0f3a5c`
}

func (c reclaimCmd) Run(a *app) error {
	return a.withAnyTPM(func(w *wallet.Wallet) error {
		id, err := w.FindPayment(a.ctx, c.ID)
		if err != nil {
			return err
		}
		if err := w.Reclaim(a.ctx, id); err != nil {
			return err
		}
		return a.out.Result(map[string]string{"reclaimed": id.String()}, func(o io.Writer) { fmt.Fprintln(o, "the coins are back, as new ones") })
	})
}
