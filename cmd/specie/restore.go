package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/wallet"
)

type backupCmd struct {
	File                 string `arg:"" help:"File to write; must not exist."`
	Plain                bool   `help:"Do not encrypt it." xor:"how"`
	BackupPassphraseFile string `help:"File with a passphrase for the backup, mode 0600, instead of asking for one." type:"existingfile" placeholder:"FILE" xor:"how"`
}

func (backupCmd) Help() string {
	return `What is in it is as good as the bearer coins in the purse: whoever reads it can spend them. It is encrypted with a passphrase ("age -d" opens it, too). Coins that are drawn later need no new backup; make one after an enrolment. The account's token is not in it.

Example:
  specie backup /media/stick/purse.backup`
}

func (c backupCmd) Run(a *app) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		data, err := w.Backup(a.ctx)
		if err != nil {
			return err
		}
		defer clear(data)
		advice := "keep it as you keep your money"
		if !c.Plain {
			p, err := a.newSecret(c.BackupPassphraseFile, fmt.Sprintf("choose a passphrase for the backup, %d characters or more", wallet.MinPassphrase), wallet.CheckPassphrase)
			if errors.Is(err, errNoPassphraseGiven) {
				err = errNoBackupPassphrase
			}
			if err != nil {
				return err
			}
			defer clear(p)
			if data, err = wallet.SealBackup(data, p); err != nil {
				return err
			}
			advice = "it opens with its passphrase only"
		}
		if err := writeNew(c.File, data); err != nil {
			return err
		}
		return a.out.Result(map[string]any{"file": c.File, "encrypted": !c.Plain}, func(o io.Writer) {
			fmt.Fprintf(o, "wrote %s; %s\n", c.File, advice)
		})
	})
}

var (
	errNoBackupPassphrase     = cli.Usage(errors.New("there is no terminal to ask for a passphrase on: name its file with --backup-passphrase-file, or write the backup as it is with --plain"))
	errNoBackupPassphraseHere = cli.Usage(errors.New("the backup has a passphrase, and there is no terminal to ask on: name its file with --backup-passphrase-file"))
	errTwoSources             = cli.Usage(errors.New("a purse is made again from one thing: a backup file, the words (--words, with --bank and --root), or an old purse (--purse, with its words)"))
	errWordsAlone             = cli.Usage(errors.New("words say nothing of the bank: name it with --bank and --root"))
)

type restoreCmd struct {
	File                 string `arg:"" optional:"" help:"File that \"specie backup\" wrote; without it, the purse that is there is completed." type:"existingfile"`
	Words                bool   `help:"Make the purse again from its words, which are asked for."`
	WordsFile            string `help:"File with the words, mode 0600, instead of asking for them." type:"existingfile" placeholder:"FILE"`
	Purse                string `help:"Make the purse again from the purse.db of another machine, with purse.lock and keys beside it, and its words." type:"existingfile" placeholder:"FILE"`
	Bank                 string `help:"With words: the bank's address." placeholder:"URL"`
	Root                 string `help:"With words: the root certificate to pin (PEM)." type:"existingfile" placeholder:"FILE"`
	BackupPassphraseFile string `help:"File with the backup's passphrase, mode 0600, instead of asking for it." type:"existingfile" placeholder:"FILE"`
	TokenFile            string `help:"File with the account's access token, mode 0600." type:"existingfile" placeholder:"FILE"`
	Settled              bool   `help:"No payment of the lost purse was open, I know it: bound coins need not wait."`
	Gap                  int    `help:"How many coin numbers in a row must be unknown to the bank before the search under a key ends." placeholder:"N"`
	lockFlags
}

func (restoreCmd) Help() string {
	return `The bank is asked what it ever signed for this purse, key by key, and whether it is spent since. Bound coins need the TPM that they are bound to. They sleep for a day, since the lost purse may have promised them to a merchant; "specie resume" wakes them.
Interrupted, it goes on where it was when it is run again: "specie restore".

A lost purse is made again from a backup; or from its words, which bring back every bearer coin; or from its own files, copied from a machine that is gone, and its words. Of these, only the files know what is bound to a TPM that is gone, which the bank repays: "specie recover".

What was paid is not in a backup, nor in the words: refunds and receipts of payments made before are lost with the old purse, unless they were saved ("specie receipt save").

The bank sees that all these coins are one person's. When they are there, exchange them: "specie exchange".

Example:
  specie restore /media/stick/purse.backup --token-file token
  specie restore --words --bank http://127.0.0.1:8080 --root root.pem
  specie restore --purse old/purse.db --words
  specie restore`
}

func (c restoreCmd) Run(a *app) error {
	if err := c.create(a); err != nil {
		return err
	}
	return a.withAnyTPM(func(w *wallet.Wallet) error {
		if c.TokenFile != "" {
			token, err := readToken(c.TokenFile)
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

// create makes the purse anew, if it is told of what.
func (c restoreCmd) create(a *app) error {
	byWords := c.Words || c.WordsFile != ""
	switch {
	case c.File == "" && c.Purse == "" && !byWords:
		return nil
	case c.File != "" && (byWords || c.Purse != ""):
		return errTwoSources
	case c.File == "" && c.Purse == "" && (c.Bank == "" || c.Root == ""):
		return errWordsAlone
	}
	if err := a.noPurse(); err != nil {
		return err
	}
	if c.File != "" {
		return c.fromBackup(a)
	}
	s := wallet.Settings{BankURL: c.Bank}
	if c.Purse == "" {
		var err error
		if s.RootPEM, err = os.ReadFile(c.Root); err != nil {
			return err
		}
		if err := wallet.CheckSettings(s); err != nil {
			return err // before anything is asked
		}
	}
	seed, err := a.readWords(c.WordsFile)
	if err != nil {
		return err
	}
	defer clear(seed[:])
	lock, err := c.choose(a, a.passphraseFile)
	if err != nil {
		return err
	}
	if c.Purse != "" {
		err = wallet.Adopt(a.ctx, c.Purse, a.pursePath(), seed, lock)
	} else {
		err = wallet.Create(a.ctx, a.pursePath(), s, wallet.Making{Lock: lock, Seed: &seed, Written: true, Restoring: true})
	}
	a.opened(lock)
	return err
}

// opened spares the person to type once more what was chosen for a new lock.
func (a *app) opened(l wallet.Lock) {
	if l.Kind == wallet.LockPassphrase {
		a.purseSecret = l.Passphrase
	} else {
		a.purseSecret = l.PIN
	}
}

func (c restoreCmd) fromBackup(a *app) error {
	data, err := readBounded(c.File, 2*wallet.MaxBackup)
	if err != nil {
		return err
	}
	if wallet.IsSealedBackup(data) {
		if data, err = c.openBackup(a, data); err != nil {
			return err
		}
	}
	defer clear(data)
	if err := wallet.CheckBackup(data); err != nil {
		return err // before anything is asked
	}
	lock, err := c.choose(a, a.passphraseFile)
	if err != nil {
		return err
	}
	a.opened(lock)
	return wallet.CreateFromBackup(a.ctx, a.pursePath(), data, lock)
}

func (c restoreCmd) openBackup(a *app, data []byte) (_ []byte, err error) {
	var p []byte
	if c.BackupPassphraseFile != "" {
		p, err = readPassphrase(c.BackupPassphraseFile)
	} else {
		p, err = a.out.AskSecret("passphrase of the backup")
	}
	if errors.Is(err, cli.ErrNoTerminal) {
		err = errNoBackupPassphraseHere
	}
	if err != nil {
		return nil, err
	}
	defer clear(p)
	return wallet.OpenBackup(data, p)
}

// notes say what is left to do.
func (c restoreCmd) notes(a *app, w *wallet.Wallet, found *wallet.Restored) {
	switch {
	case found.Skipped > 0 && w.Enrolled():
		c.noteElsewhere(a, w)
	case found.Skipped > 0 && c.Words:
		a.out.Note("bound coins were not looked for: the words know no TPM. If you have the old machine's files, \"specie restore --purse\" brings them in another --home")
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

// noteElsewhere says what is bound to a TPM that is not here, and how it comes back.
func (c restoreCmd) noteElsewhere(a *app, w *wallet.Wallet) {
	a.out.Note("bound coins were not looked for, since the TPM is not there: run it again on the machine that they are bound to; if that is gone, ask the group manager to readmit you")
	e, err := w.Elsewhere(a.ctx)
	if err != nil || e.Coins == 0 {
		return
	}
	k, err := w.Keyset(a.ctx)
	if err != nil {
		return
	}
	of := "another TPM"
	if e.TPM != "" {
		of = "the TPM whose name ends in " + e.TPM
	}
	a.out.Note("%s worth %s %s in this purse can be spent with %s only; if it is gone: \"specie enroll --again\" with the code of the readmission, then \"specie recover\"",
		cli.Count(e.Coins, "bound coin"), e.Worth.Format(k.Exponent), k.Currency, of)
}
