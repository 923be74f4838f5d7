package main

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/merchant"
)

type merchantCmd struct {
	Init      merchantInitCmd      `cmd:"" help:"Make a till."`
	Login     merchantLoginCmd     `cmd:"" help:"Store the account's access token in the till."`
	Token     merchantTokenCmd     `cmd:"" help:"Access tokens of the account: list, rotate, revoke."`
	Statement merchantStatementCmd `cmd:"" help:"Show the account's statement for a period."`
	ID        merchantIDCmd        `cmd:"" name:"id" help:"Print the merchant id."`
	Request   merchantRequestCmd   `cmd:"" help:"Print the signed request for an account at the bank."`
	Offer     merchantOfferCmd     `cmd:"" help:"Make an offer and print its payment link."`
	Check     merchantCheckCmd     `cmd:"" help:"Verify a payment file without any bank, or have the bank hold its coins."`
	Verify    merchantVerifyCmd    `cmd:"" help:"Verify a payment or its papers for a script, without any network."`
	Release   merchantReleaseCmd   `cmd:"" help:"Let go of coins that the bank holds for a payment."`
	Accept    merchantAcceptCmd    `cmd:"" help:"Verify and deposit a payment file."`
	Serve     merchantServeCmd     `cmd:"" help:"Take payments over HTTP."`
	Takings   merchantTakingsCmd   `cmd:"" help:"List the payments."`
	Refund    merchantRefundCmd    `cmd:"" help:"Give money of a payment back to its payer."`
	Refunds   merchantRefundsCmd   `cmd:"" help:"List what was given back, and what can be collected."`
	Resume    merchantResumeCmd    `cmd:"" help:"Repeat deposits and refunds whose outcome is unknown, and deposit what was kept."`
	Offline   merchantOfflineCmd   `cmd:"" help:"Show or set the limits for payments while the bank can't be reached, and show what is kept."`
	Webhook   merchantWebhookCmd   `cmd:"" help:"Tell a web shop what becomes of sales."`
	Key       merchantKeyCmd       `cmd:"" help:"Desk keys for web shops: make, list, revoke."`
	Receipt   merchantReceiptCmd   `cmd:"" help:"Keep the papers of a payment in one file."`
}

func (a *app) withTill(f func(t *merchant.Till) error) error {
	path := filepath.Join(a.home, "till.db")
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%s: %w", a.home, merchant.ErrNoTill)
	}
	t, err := merchant.Open(a.ctx, path, merchant.Options{HTTP: a.clock.HTTP(30 * time.Second), Now: a.now})
	if err != nil {
		return err
	}
	return errors.Join(f(t), t.Close())
}

type merchantInitCmd struct {
	Bank      string   `help:"The merchant's bank." required:"" placeholder:"URL"`
	Root      string   `help:"The root certificate to pin (PEM)." required:"" type:"existingfile" placeholder:"FILE"`
	Group     []string `help:"Group manager whose members' bound coins are taken." placeholder:"URL"`
	Name      string   `help:"Name that payers are shown." required:"" placeholder:"NAME"`
	Till      string   `help:"Name of this till." default:"till-1" placeholder:"NAME"`
	TokenFile string   `help:"File with the account's access token, mode 0600." type:"existingfile" placeholder:"FILE"`
}

func (merchantInitCmd) Help() string {
	return "Example:\n  specie merchant init --bank http://127.0.0.1:8080 --group http://127.0.0.1:8081 --root root.pem --name \"Café Central\""
}

func (c merchantInitCmd) Run(a *app) error {
	root, err := os.ReadFile(c.Root)
	if err != nil {
		return err
	}
	s := merchant.Settings{RootPEM: root, BankURL: c.Bank, GroupURLs: c.Group, Name: c.Name, TillName: c.Till}
	if c.TokenFile != "" {
		if s.Token, err = readToken(c.TokenFile); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(a.home, 0o700); err != nil {
		return err
	}
	if err := merchant.Create(a.ctx, filepath.Join(a.home, "till.db"), s); err != nil {
		return err
	}
	return merchantIDCmd{}.Run(a)
}

type merchantLoginCmd struct {
	TokenFile string `help:"File with the account's access token, mode 0600." required:"" type:"existingfile" placeholder:"FILE"`
}

func (merchantLoginCmd) Help() string {
	return "Example:\n  specie merchant login --token-file cafe.token"
}

func (c merchantLoginCmd) Run(a *app) error {
	token, err := readToken(c.TokenFile)
	if err != nil {
		return err
	}
	if err := a.withTill(func(t *merchant.Till) error { return t.SetToken(a.ctx, token) }); err != nil {
		return err
	}
	return a.stored()
}

type merchantIDCmd struct{}

func (merchantIDCmd) Help() string {
	return "It is the digest of the till's key: what the bank knows the account by.\n\nExample:\n  specie merchant id"
}

func (merchantIDCmd) Run(a *app) error {
	return a.withTill(func(t *merchant.Till) error {
		return a.out.Result(map[string]string{"merchant": t.MerchantID()}, func(w io.Writer) { fmt.Fprintln(w, t.MerchantID()) })
	})
}

type merchantRequestCmd struct{}

func (merchantRequestCmd) Help() string {
	return `The bank's operator opens the account with it. It is signed by the till's key, so
nobody else can open an account under this merchant's id.

Example:
  specie merchant request >cafe.jws`
}

func (merchantRequestCmd) Run(a *app) error {
	return a.withTill(func(t *merchant.Till) error {
		jws, err := t.AccountRequest(a.ctx)
		if err != nil {
			return err
		}
		return a.out.Result(map[string]string{"request": string(jws)}, func(w io.Writer) { fmt.Fprintf(w, "%s\n", jws) })
	})
}

type merchantOfferCmd struct {
	Amount  string        `arg:"" help:"Amount, such as 12.34."`
	Order   string        `help:"Your reference." placeholder:"TEXT"`
	Purpose string        `help:"What it is for." placeholder:"TEXT"`
	To      string        `help:"Address that the payer posts to." required:"" placeholder:"URL"`
	Valid   time.Duration `help:"How long the offer can be paid." default:"15m"`
}

func (merchantOfferCmd) Help() string {
	return "Example:\n  specie merchant offer 12.34 --order T-17 --to http://127.0.0.1:8090/pay"
}

func (c merchantOfferCmd) Run(a *app) error {
	return a.withTill(func(t *merchant.Till) error {
		k, err := t.Keyset(a.ctx)
		if err != nil {
			return err
		}
		amount, err := amountOf(c.Amount, k.Exponent)
		if err != nil {
			return err
		}
		offer, err := t.NewOffer(a.ctx, merchant.OfferRequest{Amount: amount, Order: c.Order, Purpose: c.Purpose, Lifetime: c.Valid})
		if err != nil {
			return err
		}
		link, err := offer.Link(c.To)
		if err != nil {
			return cli.Usage(fmt.Errorf("--to: %w", err))
		}
		text, err := link.Text()
		if err != nil {
			return err
		}
		digest := base64.RawURLEncoding.EncodeToString(offer.Digest[:])
		return a.out.Result(map[string]string{"link": text, "offer": digest}, func(w io.Writer) { fmt.Fprintln(w, text) })
	})
}

type merchantCheckCmd struct {
	File string `arg:"" help:"Payment file." type:"existingfile"`
	Hold bool   `help:"Have the bank hold the coins for you for a moment."`
}

func (merchantCheckCmd) Help() string {
	return `The till needs the bank's keyset and the group managers' documents, which it keeps, and nobody
else: the offer, the sums, the bank's signatures, the owners' and the TPM's are checked here.
Whether the coins are spent already, only the bank can say: with --hold it is asked, and keeps the coins from everybody
else until you accept the payment, or the hold ends.

Example:
  specie merchant check payment.json
  specie merchant check payment.json --hold`
}

func (c merchantCheckCmd) Run(a *app) error {
	spend, err := readSpend(c.File)
	if err != nil {
		return err
	}
	return a.withTill(func(t *merchant.Till) error {
		checked, err := t.Check(a.ctx, spend)
		if err != nil {
			return err
		}
		s := checked.Spend
		result := map[string]any{"amount": s.Amount, "coins": len(s.Coins), "bound": checked.Bound}
		held := "checking deposits nothing"
		if c.Hold {
			if held, err = holdCoins(a, t, s, result); err != nil {
				return err
			}
		}
		return a.out.Result(result, func(w io.Writer) {
			fmt.Fprintf(w, "good: %s, %d of them proven to be this payer's TPM's; %s\n", cli.Count(len(s.Coins), "coin"), checked.Bound, held)
		})
	})
}

// holdCoins has the bank hold a payment's coins, and says what came of it, also in
// result.
func holdCoins(a *app, t *merchant.Till, s *coin.Spend, result map[string]any) (string, error) {
	shown, err := coin.EncodeShown(s)
	if err != nil {
		return "", err
	}
	answer, err := t.Show(a.ctx, shown)
	if err != nil {
		return "", err
	}
	result["state"] = answer.State
	switch {
	case answer.Until != nil:
		result["held_until"] = answer.Until
		return "the bank holds them until " + cli.Moment(*answer.Until), nil
	case answer.State == merchant.StateChecked:
		return "the bank does not hold them", nil
	}
	return "the payment is " + answer.State, nil
}

type merchantAcceptCmd struct {
	File string `arg:"" help:"Payment file." type:"existingfile"`
}

func (merchantAcceptCmd) Help() string { return "Example:\n  specie merchant accept payment.json" }

func (c merchantAcceptCmd) Run(a *app) error {
	spend, err := readSpend(c.File)
	if err != nil {
		return err
	}
	return a.withTill(func(t *merchant.Till) error {
		answer, err := t.Accept(a.ctx, spend)
		if err != nil {
			return err
		}
		return a.out.Result(answer, func(w io.Writer) {
			if answer.Kept {
				fmt.Fprintln(w, "kept; the bank can't be reached, and the deposit follows")
				return
			}
			fmt.Fprintln(w, "deposited; the bank's receipt is stored")
		})
	})
}

func readSpend(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, coin.MaxSpendJSON+1))
}

type merchantTakingsCmd struct {
	Waiting bool   `help:"List the offers that wait to be paid instead."`
	Day     string `help:"The sales of one day and their sum: \"today\" or a date, by this machine's clock." placeholder:"DATE"`
	CSV     bool   `name:"csv" help:"The day for a spreadsheet."`
}

func (merchantTakingsCmd) Help() string {
	return `A payment is "checked" when its coins are good, "held" while the bank holds them, "submitted" when its deposit is on
the way, "kept" when it was accepted while the bank could not be reached, "deposited" or "refused".

Example:
  specie merchant takings
  specie merchant takings --day today
  specie merchant takings --waiting`
}

func (c merchantTakingsCmd) Run(a *app) error {
	return a.withTill(func(t *merchant.Till) error {
		if c.Day != "" || c.CSV {
			return dayOf(a, t, c.Day, c.CSV)
		}
		k, err := t.Keyset(a.ctx)
		if err != nil {
			return err
		}
		if c.Waiting {
			return waiting(a, t, k)
		}
		list, err := t.Takings(a.ctx)
		if err != nil {
			return err
		}
		return a.out.Result(list, func(w io.Writer) {
			rows := make([][]string, len(list))
			for i, x := range list {
				rows[i] = []string{cli.When(x.Created), x.Amount.Format(k.Exponent), x.State, cli.OneLine(x.Order), shortOp(x.Op)}
			}
			cli.Table(w, []string{"WHEN", ">" + k.Currency, "STATE", "ORDER", "PAYMENT"}, rows)
			for _, x := range list {
				if x.Proof {
					a.out.Note("the bank's proof why %s is refused is in its papers: specie merchant receipt save %s", cmp.Or(x.Order, "a payment"), shortOp(x.Op))
				}
			}
		})
	})
}

// waiting lists the offers that nobody has paid yet.
func waiting(a *app, t *merchant.Till, k *coin.Keyset) error {
	list, err := t.Waiting(a.ctx)
	if err != nil {
		return err
	}
	return a.out.Result(list, func(w io.Writer) {
		rows := make([][]string, len(list))
		for i, x := range list {
			rows[i] = []string{cli.When(x.Expires), x.Amount.Format(k.Exponent), "waiting", cli.OneLine(x.Order)}
		}
		cli.Table(w, []string{"UNTIL", ">" + k.Currency, "STATE", "ORDER"}, rows)
	})
}
