package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/qr"
	"github.com/speciecash/specie/wallet"
)

type sendCmd struct {
	Amount string `arg:"" optional:"" help:"Amount, such as 5.00."`
	To     string `help:"Write it to this file." placeholder:"FILE" type:"path" xor:"how"`
	QR     string `name:"qr" help:"Draw it as a QR code into this PNG file; into several, FILE-1.png and so on, if it is too large for one." placeholder:"FILE" type:"path" xor:"how"`
	Show   bool   `help:"Draw it as a QR code here, one after the other if it is too large for one." xor:"how"`
	Link   bool   `help:"Print it as a specie: link (default)." xor:"how"`
	Again  string `help:"Hand over once more what was sent: its ID, or the beginning of it, from \"specie history\"." placeholder:"ID"`
}

func (sendCmd) Help() string {
	return `Bearer coins worth exactly the amount go into a file, a picture or a link: whoever has it first has the money, as with
notes in an envelope. Your friend takes them with "specie receive"; until then "specie reclaim ID" takes them back, and
"specie history" says whether he did. Where no coins are worth exactly that, some are exchanged at the bank first.
Bound coins can't be sent: they are your TPM's.

Example:
  specie send 5.00 --to gift.specie
  specie send 5.00 --qr gift.png
  specie send --again 0f3a5c --link`
}

// Errors of sending.
var (
	errSendWhat = errors.New("say an amount, or --again ID")
	errThere    = errors.New("the file is there already")
	errNotGiven = errors.New("the coins are set aside, but could not be handed over")
)

func (c sendCmd) Run(a *app) error {
	if (c.Amount == "") == (c.Again == "") {
		return cli.Usage(errSendWhat)
	}
	for _, path := range []string{c.To, c.QR} {
		if path == "" {
			continue
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", path, errThere)
		}
	}
	return a.withWallet(func(w *wallet.Wallet) error {
		k, err := w.Keyset(a.ctx)
		if err != nil {
			return err
		}
		s, err := c.send(a, w, k)
		if err != nil {
			return err
		}
		files, link, err := c.hand(a, s)
		if err != nil {
			return fmt.Errorf("%w, as %s: %w", errNotGiven, s.ID, err)
		}
		return c.tell(a, k, s, files, link)
	})
}

func (c sendCmd) send(a *app, w *wallet.Wallet, k *coin.Keyset) (*wallet.Sent, error) {
	if c.Again != "" {
		id, err := w.FindSent(a.ctx, c.Again)
		if err != nil {
			return nil, err
		}
		return w.SentBefore(a.ctx, id)
	}
	amount, err := coin.ParseAmount(c.Amount, k.Exponent)
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("amount %q: %w", c.Amount, err))
	}
	return w.Send(a.ctx, amount)
}

// hand writes the envelope where it was asked for.
func (c sendCmd) hand(a *app, s *wallet.Sent) (files []string, link string, err error) {
	if link, err = s.Envelope.Text(); err != nil {
		return nil, "", err
	}
	if c.To != "" {
		return []string{c.To}, "", writeNew(c.To, []byte(link+"\n"))
	}
	if c.QR == "" {
		return nil, link, nil
	}
	parts, err := envelopeParts(s)
	if err != nil {
		return nil, "", err
	}
	for i, part := range parts {
		data, err := qr.PNG(part, 6)
		if err != nil {
			return files, "", err
		}
		path := c.QR
		if len(parts) > 1 {
			ext := filepath.Ext(path)
			path = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, ext), i+1, ext)
		}
		if err := writeNew(path, data); err != nil {
			return files, "", err
		}
		files = append(files, path)
	}
	return files, "", nil
}

func envelopeParts(s *wallet.Sent) ([]string, error) {
	text, err := s.Envelope.QR()
	if err != nil {
		return nil, err
	}
	return qr.Split(text, qr.PartSize), nil
}

func (c sendCmd) tell(a *app, k *coin.Keyset, s *wallet.Sent, files []string, link string) error {
	if s.Exchanged > 0 {
		a.out.Note("no coins were worth exactly that: %s went to the bank for others first", cli.Count(s.Exchanged, "coin"))
	}
	a.out.Note("whoever has it first has the money; it can be received until %s", cli.When(s.Until))
	a.out.Note("\"specie reclaim %s\" takes it back until then", s.ID[:4])
	result := map[string]any{
		"id": s.ID, "amount": s.Amount, "currency": k.Currency, "coins": len(s.Coins), "exchanged": s.Exchanged,
		"until": s.Until, "files": files,
	}
	if link != "" {
		result["link"] = link
	}
	if a.out.JSON {
		return a.out.Result(result, nil)
	}
	if c.Show {
		return c.draw(a, s)
	}
	return a.out.Result(result, func(o io.Writer) {
		if link != "" {
			fmt.Fprintln(o, link)
			return
		}
		fmt.Fprintf(o, "%s %s for a friend: %s in %s\n", s.Amount.Format(k.Exponent), k.Currency, cli.Count(len(s.Coins), "coin"), strings.Join(files, " "))
	})
}

// draw shows the pictures, one after the other if somebody is there to turn them.
func (c sendCmd) draw(a *app, s *wallet.Sent) error {
	parts, err := envelopeParts(s)
	if err != nil {
		return err
	}
	for i, part := range parts {
		if err := a.out.Result(nil, func(o io.Writer) { _ = qr.Terminal(o, part) }); err != nil {
			return err
		}
		if i == len(parts)-1 || !a.out.CanAsk() {
			continue
		}
		for {
			next, err := a.out.Confirm(fmt.Sprintf("this is picture %d of %d; has your friend taken it?", i+1, len(parts)))
			if err != nil {
				return err
			}
			if next {
				break
			}
		}
	}
	return nil
}

type receiveCmd struct {
	handed
	Rest bool `help:"Take what is left, if some of the coins are spent already."`
}

func (receiveCmd) Help() string {
	return `The coins are verified and exchanged at once for new ones of your own: from then on whoever sent them can't spend them
any more. All of them come or none; with --rest those that are left.
A link in the command line can be seen by others on this machine while the command runs: there use a file or -.

Example:
  specie receive gift.specie
  specie receive photo1.jpg photo2.jpg
  specie receive --clipboard`
}

func (c receiveCmd) Run(a *app) error {
	text, err := c.text(a.ctx)
	if err != nil {
		return err
	}
	if _, err := coin.ParseLink(text); err == nil {
		return fmt.Errorf("%w: %w", wallet.ErrEnvelope, errIsOffer)
	}
	return a.withWallet(func(w *wallet.Wallet) error {
		k, err := w.Keyset(a.ctx)
		if err != nil {
			return err
		}
		w.Watch(a.barWhenBegun("receiving coins"))
		r, err := w.Receive(a.ctx, text, c.Rest)
		if err != nil {
			return err
		}
		if r.Gone > 0 {
			a.out.Note("coins worth %s %s were spent already", r.Gone.Format(k.Exponent), k.Currency)
		}
		return a.out.Result(r, func(o io.Writer) {
			fmt.Fprintf(o, "received %s %s, exchanged for coins of your own: %s\n", r.Amount.Format(k.Exponent), k.Currency, kindsAndValues(r.Coins, k.Exponent))
		})
	})
}
