package main

import (
	"fmt"
	"io"
	"os"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/wallet"
)

type backupCmd struct {
	File string `arg:"" help:"File to write; must not exist."`
}

func (backupCmd) Help() string {
	return `What is written is as good as the bearer coins in the purse: whoever reads it can spend them. Keep it where no one else does. Coins that are drawn later need no new backup; make one after an enrolment. The account's token is not in it.

Example:
  specie backup /media/stick/purse.backup`
}

func (c backupCmd) Run(a *app) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		data, err := w.Backup(a.ctx)
		if err != nil {
			return err
		}
		if err := writeNew(c.File, data); err != nil {
			return err
		}
		return a.out.Result(map[string]string{"file": c.File}, func(o io.Writer) {
			fmt.Fprintf(o, "wrote %s; keep it as you keep your money\n", c.File)
		})
	})
}

type restoreCmd struct {
	File      string `arg:"" optional:"" help:"File that \"specie backup\" wrote; without it, the purse that is there is completed." type:"existingfile"`
	TokenFile string `help:"File with the account's access token, mode 0600." type:"existingfile" placeholder:"FILE"`
	Settled   bool   `help:"No payment of the lost purse was open, I know it: bound coins need not wait."`
	Gap       int    `help:"How many coin numbers in a row must be unknown to the bank before the search under a key ends." placeholder:"N"`
	lockFlags
}

func (restoreCmd) Help() string {
	return `The bank is asked what it ever signed for this purse, key by key, and whether it is spent since. Bound coins need the TPM that they are bound to. They sleep for a day, since the lost purse may have promised them to a merchant; "specie resume" wakes them.
Interrupted, it goes on where it was when it is run again.

What was paid is not in a backup: refunds and receipts of payments made before are lost with the old purse, unless
they were saved ("specie receipt save").

The bank sees that all these coins are one person's. When they are there, exchange them: "specie exchange".

Example:
  specie restore /media/stick/purse.backup --token-file token
  specie restore`
}

func (c restoreCmd) Run(a *app) error {
	if c.File != "" {
		if err := c.create(a); err != nil {
			return err
		}
	}
	return a.withAnyTPM(func(w *wallet.Wallet) error {
		if c.TokenFile != "" {
			token, err := cli.ReadSecretFile(c.TokenFile)
			if err != nil {
				return err
			}
			if err := w.SetToken(a.ctx, token); err != nil {
				return err
			}
		}
		k, err := w.Keyset(a.ctx)
		if err != nil {
			return err
		}
		found, err := w.Restore(a.ctx, wallet.RestoreOptions{Gap: c.Gap, Settled: c.Settled, Progress: a.out.Bar("asking the bank, key by key")})
		if err != nil {
			return fmt.Errorf("%w; found so far: %s", err, cli.Count(found.Coins, "coin"))
		}
		c.notes(a, w, found)
		return a.out.Result(found, func(o io.Writer) {
			fmt.Fprintf(o, "found %s that %s not here, worth %s %s; spent: %d\n", cli.Count(found.Coins, "coin"),
				map[bool]string{true: "was", false: "were"}[found.Coins == 1], found.Worth.Format(k.Exponent), k.Currency, found.Spent)
		})
	})
}

// create makes the purse anew.
func (c restoreCmd) create(a *app) error {
	data, err := readBounded(c.File, wallet.MaxBackup)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(a.home, 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(a.pursePath()); err == nil {
		return fmt.Errorf("%s: %w", a.pursePath(), wallet.ErrExists) // before anything is asked
	}
	lock, err := c.choose(a)
	if err != nil {
		return err
	}
	return wallet.CreateFromBackup(a.ctx, a.pursePath(), data, lock)
}

// notes say what is left to do.
func (c restoreCmd) notes(a *app, w *wallet.Wallet, found *wallet.Restored) {
	switch {
	case found.Skipped > 0 && w.Enrolled():
		a.out.Note("bound coins were not looked for, since the TPM is not there: run it again on the machine that they are bound to; if that is gone, ask the group manager to readmit you")
	case found.Skipped > 0:
		a.out.Note("bound coins were not looked for: the backup is of before the enrolment, or there never was one")
	}
	if found.Dormant > 0 {
		a.out.Note("%s may be in a payment that the lost purse made: run \"specie resume\" after %s",
			cli.Count(found.Dormant, "coin"), cli.When(a.now().Add(wallet.DormantFor)))
	}
	if found.Coins > found.Spent {
		a.out.Note("the bank has seen that these coins are one person's: \"specie exchange\" makes it forget")
	}
}
