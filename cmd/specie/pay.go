package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/wallet"
)

type payCmd struct {
	handed
	Kind string `help:"Which coins to use: bearer, bound or any." enum:"bearer,bound,any" default:"any"`
	Save string `help:"Write the payment to this file instead of sending it." placeholder:"FILE" type:"path" xor:"how"`
	Hold bool   `help:"Let the merchant have the bank hold your coins first." xor:"how"`
	Yes  bool   `help:"Don't ask: pay. Without a terminal it is needed."`
}

func (payCmd) Help() string {
	return `The offer is verified and shown, with the coins that would go and what would come back, and you are asked once. Then the
coins are committed to it, before anything is sent: "specie resume" finishes what a crash interrupts.
With --hold the merchant sees your coins before he gets your authorisation: his bank tells him that they are good and
unspent, and keeps them for him for a moment.

Example:
  specie pay photo.jpg
  specie pay --clipboard
  specie pay offer.link --kind bound --yes`
}

// Errors of asking a person.
var (
	errNeedsYes = errors.New("there is no terminal to ask on; --yes does it without asking")
	errDeclined = errors.New("nothing was done")
)

// agree asks for a yes, once, unless it was given in the command line.
func (a *app) agree(yes bool, question string) error {
	if yes {
		return nil
	}
	agreed, err := a.out.Confirm(question)
	if err == nil && !agreed {
		err = errDeclined
	}
	return err
}

// canAgree says before anything else that a command will have nobody to ask.
func (a *app) canAgree(yes bool) error {
	if yes || a.out.CanAsk() {
		return nil
	}
	return cli.Usage(errNeedsYes)
}

func (c payCmd) Run(a *app) error {
	if err := c.named(); err != nil {
		return err
	}
	if err := a.canAgree(c.Yes); err != nil {
		return err
	}
	link, err := c.text(a.ctx)
	if err != nil {
		return err
	}
	if coin.IsEnvelope(link) {
		return fmt.Errorf("%w: %w", wallet.ErrOffer, errIsEnvelope)
	}
	with := a.withFreeTPM
	switch coin.Kind(c.Kind) {
	case coin.Bearer:
		with = a.withWallet
	case coin.Bound:
		with = a.withTPM
	}
	return with(func(w *wallet.Wallet) error { return c.pay(a, w, link) })
}

func (c payCmd) pay(a *app, w *wallet.Wallet, link string) error {
	k, err := w.Keyset(a.ctx)
	if err != nil {
		return err
	}
	p, err := c.plan(a, w, link)
	if err != nil {
		return err
	}
	showPlan(a, k, p)
	if err := a.agree(c.Yes, fmt.Sprintf("pay %s %s to %s?", p.Offer.Offer.Amount.Format(k.Exponent), k.Currency, p.Offer.Private.Name)); err != nil {
		return err
	}
	if err := c.commit(a, w, p); err != nil {
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
		if p.Kept {
			fmt.Fprintln(o, "the merchant can't reach his bank and has accepted all the same: you have his receipt, and \"specie resume\" fetches the change when he has deposited")
		}
		if c.Save != "" {
			did = "set aside"
		}
		fmt.Fprintf(o, "%s %s %s for %s: %s (%s), %s change\n", did, p.Offer.Offer.Amount.Format(k.Exponent), k.Currency,
			cli.OneLine(p.Offer.Private.Name), cli.Count(len(p.Coins), "coin"), values(p.Coins, k.Exponent), p.Change.Format(k.Exponent))
		if c.Save != "" {
			fmt.Fprintf(o, "give %s to the merchant; \"specie resume\" sends it, or fetches the change\n", c.Save)
		}
	})
}

// plan chooses the coins. Where there is a PIN, it is asked for only if bearer
// coins alone don't reach.
func (c payCmd) plan(a *app, w *wallet.Wallet, link string) (*wallet.Payment, error) {
	var kinds []coin.Kind
	if c.Kind != "any" {
		kinds = []coin.Kind{coin.Kind(c.Kind)}
	}
	p, err := w.PlanPayment(a.ctx, link, kinds...)
	if pin, _ := w.HasPIN(); pin && errors.Is(err, wallet.ErrNoTPM) && a.pinFile == "" {
		if offer, err := w.Inspect(a.ctx, link); err == nil {
			a.out.Note("%s asks for more than your bearer coins are worth: this takes bound coins, and the PIN", offer.Private.Name)
		}
		if err := w.AttachTPM(a.ctx, a.device()); err != nil {
			return nil, err
		}
		p, err = w.PlanPayment(a.ctx, link, kinds...)
	}
	return p, err
}

// showPlan says what will be paid, with what, and what comes back.
func showPlan(a *app, k *coin.Keyset, p *wallet.Payment) {
	amount := p.Offer.Offer.Amount.Format(k.Exponent)
	a.out.Note("%s asks %s %s for %s", p.Offer.Private.Name, amount, k.Currency, words(p.Offer.Private))
	if p.Begun() {
		a.out.Note("this payment was begun before; the same coins are used")
	}
	a.out.Note("the offer can be paid until %s", cli.Moment(p.Offer.Offer.Expires))
	change := "no change comes back"
	if p.Change > 0 {
		change = p.Change.Format(k.Exponent) + " comes back as change"
	}
	a.out.Note("it takes %s; %s", kindsAndValues(p.Coins, k.Exponent), change)
}

// kindsAndValues is coins in words, kind by kind: "2 bearer coins (8.00 4.00)".
func kindsAndValues(coins []wallet.StoredCoin, exponent int) string {
	var parts []string
	for _, kind := range []coin.Kind{coin.Bound, coin.Bearer} {
		var of []wallet.StoredCoin
		for _, c := range coins {
			if c.Kind == kind {
				of = append(of, c)
			}
		}
		if len(of) > 0 {
			parts = append(parts, fmt.Sprintf("%s (%s)", cli.Count(len(of), string(kind)+" coin"), values(of, exponent)))
		}
	}
	return strings.Join(parts, " and ")
}

// showFirst lets the merchant have the coins held.
func showFirst(a *app, w *wallet.Wallet, p *wallet.Payment) error {
	shown, err := w.Show(a.ctx, p)
	if err != nil {
		return fmt.Errorf("%w: the payment is set aside as %s: %w", wallet.ErrOpen, p.ID, err)
	}
	if shown.Until != nil {
		a.out.Note("the merchant's bank holds the coins for him until %s", cli.Moment(*shown.Until))
	} else {
		a.out.Note("the merchant has checked the coins; his bank does not hold them")
	}
	return nil
}

// commit commits the coins to the offer, and writes the payment to a file if
// asked to. The file is made first: a payment that can't be handed over must
// not promise coins.
func (c payCmd) commit(a *app, w *wallet.Wallet, p *wallet.Payment) error {
	if c.Save == "" {
		return w.Commit(a.ctx, p)
	}
	f, err := os.OpenFile(c.Save, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := w.Commit(a.ctx, p); err != nil {
		return errors.Join(err, f.Close(), os.Remove(c.Save))
	}
	_, err = f.Write(p.Spend)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%w: the payment is set aside as %s and not written: %w", wallet.ErrOpen, p.ID, err)
	}
	return nil
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
		"receipt": p.Receipt, "bank_receipt": p.BankReceipt, "kept": p.Kept,
	}
}

type reclaimCmd struct {
	ID       string `arg:"" help:"The ID of the payment or of what was sent, or the beginning of it, from \"specie history\"."`
	Accepted bool   `help:"Also one that the merchant has given a receipt for, and never deposited."`
}

func (reclaimCmd) Help() string {
	return `The payment is voided and its coins come back as new ones, so the merchant can't deposit them any more.
If he did so first, the bank shows it and the payment is settled as paid. Bound coins need the TPM.
Coins that were sent to somebody come back likewise, unless he has received them.
Where your membership of the group has ended, the bearer coins come back alone, and the bound ones are held.
A payment that a merchant has accepted while his bank could not be reached is not taken back unless you say --accepted:
who has had the goods owes their price, and the merchant can show what you signed.

Example:
  specie reclaim 0f3a5c`
}

func (c reclaimCmd) Run(a *app) error {
	return a.withAnyTPM(func(w *wallet.Wallet) error {
		id, err := w.FindPromised(a.ctx, c.ID)
		if err != nil {
			return err
		}
		reclaim := w.Reclaim
		if c.Accepted {
			reclaim = w.ReclaimAccepted
		}
		if err := reclaim(a.ctx, id); err != nil {
			return err
		}
		return a.out.Result(map[string]string{"reclaimed": id.String()}, func(o io.Writer) { fmt.Fprintln(o, "the coins are back, as new ones") })
	})
}
