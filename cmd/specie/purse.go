package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/wallet"
)

func (a *app) pursePath() string { return filepath.Join(a.home, "purse.db") }

// withWallet opens the purse for one command.
func (a *app) withWallet(f func(w *wallet.Wallet) error) error {
	if _, err := os.Stat(a.pursePath()); err != nil {
		return fmt.Errorf("%s: %w", a.home, wallet.ErrNoPurse)
	}
	w, err := wallet.Open(a.ctx, a.pursePath(), wallet.Options{HTTP: a.clock.HTTP(time.Minute), Now: a.now, Unlock: a.unlock()})
	if err != nil {
		return err
	}
	if a.onePIN, err = w.OnePIN(a.ctx); err != nil {
		return errors.Join(err, w.Close())
	}
	return errors.Join(f(w), w.Close())
}

// withTPM also attaches the TPM that the wallet was enrolled with.
func (a *app) withTPM(f func(w *wallet.Wallet) error) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		if err := a.attach(w); err != nil {
			return err
		}
		return f(w)
	})
}

// attach attaches the TPM. Where the purse's PIN was taken for that of the key and
// is not, it is not taken again.
func (a *app) attach(w *wallet.Wallet) error {
	err := w.AttachTPM(a.ctx, a.device())
	if errors.Is(err, wallet.ErrPIN) && a.onePIN {
		err = errors.Join(err, w.SetOnePIN(a.ctx, false))
	}
	return err
}

// withAnyTPM attaches the TPM if the wallet is enrolled and the TPM is there.
// What can be done without it is done without it; where it was needed, the
// error says also why it could not be had.
func (a *app) withAnyTPM(f func(w *wallet.Wallet) error) error {
	return a.withWallet(func(w *wallet.Wallet) error { return a.attached(w, w.Enrolled(), f) })
}

// withFreeTPM is withAnyTPM for what may not need the TPM: where a person would
// have to be asked for the PIN, it is left to f to attach it.
func (a *app) withFreeTPM(f func(w *wallet.Wallet) error) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		pin, err := w.HasPIN()
		return a.attached(w, w.Enrolled() && (err != nil || !pin || a.pinFile != ""), f)
	})
}

func (a *app) attached(w *wallet.Wallet, attach bool, f func(w *wallet.Wallet) error) error {
	var missing error
	if attach {
		missing = a.attach(w)
	}
	if errors.Is(missing, wallet.ErrPIN) {
		return missing // who typed one meant to use the TPM
	}
	err := f(w)
	if errors.Is(err, wallet.ErrNoTPM) && missing != nil && !errors.Is(err, wallet.ErrOpen) {
		err = fmt.Errorf("this takes bound coins: %w", missing)
	}
	return err
}

type initCmd struct {
	Bank      string `help:"The bank's address." required:"" placeholder:"URL"`
	Root      string `help:"The root certificate to pin (PEM)." required:"" type:"existingfile" placeholder:"FILE"`
	TokenFile string `help:"File with the account's access token, mode 0600." type:"existingfile" placeholder:"FILE"`
	WordsFile string `help:"Write the purse's words to this new file, mode 0600, in place of showing them on the terminal." placeholder:"FILE"`
	lockFlags
}

func (initCmd) Help() string {
	return `The purse is encrypted. What opens it is this machine's TPM, with a PIN, or a passphrase. On a terminal you are shown words, once, from which it can be made again: have paper at hand.

Example:
  specie init --bank http://127.0.0.1:8080 --root root.pem --token-file token
  specie init --bank http://127.0.0.1:8080 --root root.pem --lock passphrase`
}

func (c initCmd) Run(a *app) error {
	root, err := os.ReadFile(c.Root)
	if err != nil {
		return err
	}
	s := wallet.Settings{RootPEM: root, BankURL: c.Bank}
	if c.TokenFile != "" {
		if s.Token, err = readToken(c.TokenFile); err != nil {
			return err
		}
	}
	if err := a.noPurse(); err != nil {
		return err
	}
	if err := wallet.CheckSettings(s); err != nil {
		return err // before anything is asked
	}
	m := wallet.Making{}
	if m.Lock, err = c.choose(a, a.passphraseFile); err != nil {
		return err
	}
	seed := wallet.NewSeed()
	defer clear(seed[:])
	m.Seed = &seed
	switch {
	case c.WordsFile != "":
		err, m.Written = writeWords(c.WordsFile, wallet.SeedWords(seed)), true
	case a.out.Interactive() && a.out.CanAsk():
		err, m.Written = a.showWords(wallet.SeedWords(seed)), true
	}
	if err != nil {
		return err
	}
	if err := wallet.Create(a.ctx, a.pursePath(), s, m); err != nil {
		return err
	}
	return a.out.Result(map[string]string{"purse": a.pursePath()}, func(w io.Writer) {
		fmt.Fprintf(w, "made %s; keep it as you keep your money\n", a.pursePath())
	})
}

type loginCmd struct {
	TokenFile string `help:"File with the account's access token, mode 0600." required:"" type:"existingfile" placeholder:"FILE"`
}

func (loginCmd) Help() string { return "Example:\n  specie login --token-file token" }

func (c loginCmd) Run(a *app) error {
	token, err := readToken(c.TokenFile)
	if err != nil {
		return err
	}
	if err := a.withWallet(func(w *wallet.Wallet) error { return w.SetToken(a.ctx, token) }); err != nil {
		return err
	}
	return a.stored()
}

// stored says that an access token is where it is used.
func (a *app) stored() error {
	return a.out.Result(map[string]bool{"stored": true}, func(w io.Writer) { fmt.Fprintln(w, "the access token is stored and in use") })
}

type withdrawCmd struct {
	Amount string `arg:"" help:"Amount, such as 20.00."`
	Bound  bool   `help:"Coins bound to this machine's TPM: of no use to a thief." xor:"kind"`
	Bearer bool   `help:"Coins that whoever holds the purse can spend (default)." xor:"kind"`
}

func (withdrawCmd) Help() string { return "Example:\n  specie withdraw 20.00 --bound" }

func (c withdrawCmd) Run(a *app) error {
	kind, with := coin.Bearer, a.withWallet
	if c.Bound {
		kind, with = coin.Bound, a.withTPM
	}
	return with(func(w *wallet.Wallet) error {
		k, err := w.Keyset(a.ctx)
		if err != nil {
			return err
		}
		amount, err := amountOf(c.Amount, k.Exponent)
		if err != nil {
			return err
		}
		coins, err := w.Withdraw(a.ctx, amount, kind, wallet.Steps{
			Verify: a.barWhenBegun("verifying coins"),
			Reused: func(e *wallet.ReusedError) { a.out.Note("%v; going on with other numbers", e) },
		})
		if err != nil {
			return err
		}
		a.noteRecoup(w)
		a.noteExpiring(w)
		return a.out.Result(coins, func(o io.Writer) {
			fmt.Fprintf(o, "withdrew %s %s in %s, each verified: %s\n",
				amount.Format(k.Exponent), k.Currency, cli.Count(len(coins), string(kind)+" coin"), values(coins, k.Exponent))
		})
	})
}

func values(coins []wallet.StoredCoin, exponent int) string {
	parts := make([]string, len(coins))
	for i, c := range coins {
		parts[i] = c.Value.Format(exponent)
	}
	return strings.Join(parts, " ")
}

type balanceCmd struct{}

func (balanceCmd) Help() string {
	return "What is in open payments comes back, or is paid: \"specie resume\" finds out.\n\nExample:\n  specie balance"
}

func (balanceCmd) Run(a *app) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		b, err := w.Balance(a.ctx)
		if err != nil {
			return err
		}
		return a.out.Result(b, func(o io.Writer) {
			rows := [][]string{{"bearer", b.ByKind[coin.Bearer].Format(b.Exponent)}, {"bound", b.ByKind[coin.Bound].Format(b.Exponent)}}
			if b.Committed > 0 {
				rows = append(rows, []string{"in open payments", b.Committed.Format(b.Exponent)})
			}
			if b.Sent > 0 {
				rows = append(rows, []string{"sent, not received yet", b.Sent.Format(b.Exponent)})
			}
			rows = append(rows, []string{"to spend", b.Total.Format(b.Exponent)})
			if b.Stranded > 0 {
				rows = append(rows, []string{"TPM gone: recover", b.Stranded.Format(b.Exponent)})
			}
			if b.Held > 0 {
				rows = append(rows, []string{"held: membership ended", b.Held.Format(b.Exponent)})
			}
			if b.Dormant > 0 {
				rows = append(rows, []string{"restored, asleep: resume later", b.Dormant.Format(b.Exponent)})
			}
			if b.Recoup > 0 {
				rows = append(rows, []string{"revoked: recoup", b.Recoup.Format(b.Exponent)})
			}
			cli.Table(o, []string{"KIND", ">" + b.Currency}, rows)
			a.noteWords(w)
			if b.Held > 0 {
				a.out.Note("%s", heldHint)
			}
			a.noteExpiring(w)
		})
	})
}

type coinsCmd struct{}

func (coinsCmd) Help() string { return "Example:\n  specie coins --json" }

func (coinsCmd) Run(a *app) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		k, err := w.Keyset(a.ctx)
		if err != nil {
			return err
		}
		coins, err := w.Coins(a.ctx)
		if err != nil {
			return err
		}
		for i := range coins {
			switch {
			case coins[i].Held:
				coins[i].State = "held"
			case coins[i].Stranded:
				coins[i].State = "stranded"
			}
		}
		return a.out.Result(coins, func(o io.Writer) {
			rows := make([][]string, len(coins))
			for i, c := range coins {
				state := c.State
				switch {
				case c.Held:
					state = "held: membership ended"
				case c.Stranded:
					state = "TPM gone: recover"
				case c.Recoup:
					state = "revoked: recoup"
				}
				rows[i] = []string{c.ID[:6].String(), c.Value.Format(k.Exponent), string(c.Kind), state, cli.When(c.Created)}
			}
			cli.Table(o, []string{"COIN", ">" + k.Currency, "KIND", "STATE", "SINCE"}, rows)
			a.noteExpiring(w)
		})
	})
}

type historyCmd struct{}

func (historyCmd) Help() string {
	return `The ID is what receipt, refund, reclaim and send --again take; its beginning will do.
Of coins that you sent, the bank is asked whether they were received.

Example:
  specie history`
}

func (historyCmd) Run(a *app) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		if err := w.CheckSent(a.ctx); err != nil {
			a.out.Note("whether what you sent was received is not known now: %v", err)
		}
		ops, err := w.History(a.ctx)
		if err != nil {
			return err
		}
		return a.printOps(w, ops)
	})
}

func (a *app) printOps(w *wallet.Wallet, ops []wallet.Operation) error {
	k, err := w.Keyset(a.ctx)
	if err != nil {
		return err
	}
	ops = slices.Clone(ops)
	for i := range ops {
		if ops[i].Kind == wallet.KindSend {
			ops[i].State = sentState(ops[i].State)
		}
	}
	return a.out.Result(ops, func(o io.Writer) {
		rows := make([][]string, len(ops))
		for i, op := range ops {
			amount := coin.Amount(max(op.Amount, -op.Amount)).Format(k.Exponent)
			if op.Amount < 0 {
				amount = "-" + amount
			}
			rows[i] = []string{cli.When(op.Created), op.Kind, amount, op.State, op.ID.String(), cli.OneLine(op.Note)}
		}
		cli.Table(o, []string{"WHEN", "WHAT", ">" + k.Currency, "STATE", "ID", "NOTE"}, rows)
	})
}

// sentState is what became of coins that were sent.
func sentState(state string) string {
	switch state {
	case wallet.OpDone:
		return "received"
	case wallet.OpRefused:
		return "taken back"
	}
	return "waiting"
}

type exchangeCmd struct {
	Kind     string `help:"Which coins: bearer or bound." enum:"bearer,bound" default:"bearer"`
	Expiring bool   `help:"Only those that can't be spent much longer, see --ahead."`
}

func (exchangeCmd) Help() string {
	return "Do this before coins expire (\"specie coins\"), or after somebody may have seen your purse.\n\nExample:\n  specie exchange --kind bearer\n  specie exchange --expiring"
}

func (c exchangeCmd) Run(a *app) error {
	with := a.withWallet
	if c.Kind == string(coin.Bound) {
		with = a.withTPM
	}
	return with(func(w *wallet.Wallet) error {
		w.Watch(a.barWhenBegun("exchanging coins"))
		exchange := w.Exchange
		if c.Expiring {
			exchange = func(ctx context.Context, kind coin.Kind) (int, error) { return w.ExchangeExpiring(ctx, kind, a.ahead) }
		}
		n, err := exchange(a.ctx, coin.Kind(c.Kind))
		if err != nil {
			return err
		}
		return a.out.Result(map[string]int{"exchanged": n}, func(o io.Writer) {
			fmt.Fprintf(o, "exchanged %s for new ones\n", cli.Count(n, "coin"))
		})
	})
}

type resumeCmd struct{}

func (resumeCmd) Help() string {
	return `What was sent is sent again, byte for byte; nothing is paid or drawn twice. The TPM is not needed.
Prints the operations that were open, as they are now. What you sent and nobody has received yet is not open: it waits,
and that is said besides.

Example:
  specie resume`
}

func (resumeCmd) Run(a *app) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		w.Watch(a.barWhenBegun("finishing operations"))
		ops, err := w.Resume(a.ctx)
		a.noteRecoup(w)
		ops, nerr := a.noteWaiting(w, ops)
		err = errors.Join(err, nerr)
		switch {
		case len(ops) == 0 && err != nil:
			return err
		case len(ops) == 0:
			return a.out.Result([]wallet.Operation{}, func(o io.Writer) { fmt.Fprintln(o, "nothing is open") })
		}
		return errors.Join(err, a.printOps(w, ops))
	})
}

// noteWaiting says what was sent and waits to be received, and returns the other
// operations: how long a friend takes is not for "resume" to settle, and who waits
// until nothing is open would wait for ever.
func (a *app) noteWaiting(w *wallet.Wallet, ops []wallet.Operation) (others []wallet.Operation, err error) {
	for _, op := range ops {
		if op.Kind != wallet.KindSend || op.State != wallet.OpSubmitted {
			others = append(others, op)
			continue
		}
		k, err := w.Keyset(a.ctx)
		if err != nil {
			return ops, err
		}
		a.out.Note("%s %s that you sent waits to be received; \"specie reclaim %s\" takes it back", coin.Amount(-op.Amount).Format(k.Exponent), k.Currency, op.ID[:4])
	}
	return others, nil
}
