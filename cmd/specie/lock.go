package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/wallet"
)

var (
	errNoPassphraseGiven = cli.Usage(errors.New("there is no terminal to ask for a new passphrase or PIN on: name its file with --passphrase-file, or do without one by --no-passphrase or --lock plain"))
	errPassphrasesDiffer = errors.New("the two are not the same")
	errNothingInFile     = errors.New("there is nothing in that file")
	errNoneTakes         = cli.Usage(errors.New("a passphrase can't be none: --no-passphrase is for --lock tpm"))
)

// unlock opens the purse's lock: with a file, or by asking the person at the
// terminal.
func (a *app) unlock() wallet.Unlock {
	return wallet.Unlock{
		TPM:        a.tpm,
		Passphrase: func(context.Context) ([]byte, error) { return a.askPurse("passphrase", wallet.ErrPassphraseNeeded) },
		PIN: func(context.Context) (tpm.Auth, error) {
			a.pursePIN = true
			return a.askPurse("PIN", wallet.ErrPursePINNeeded)
		},
	}
}

// askPurse gets the secret that opens the purse, once for a command.
func (a *app) askPurse(what string, needed error) ([]byte, error) {
	if len(a.purseSecret) > 0 {
		return bytes.Clone(a.purseSecret), nil
	}
	var err error
	if a.passphraseFile != "" {
		a.purseSecret, err = readPassphrase(a.passphraseFile)
	} else {
		a.purseSecret, err = a.out.AskSecret(what + " of the purse")
	}
	if errors.Is(err, cli.ErrNoTerminal) {
		err = fmt.Errorf("%w, and there is no terminal to ask on", needed)
	}
	return bytes.Clone(a.purseSecret), err
}

func readPassphrase(path string) ([]byte, error) {
	text, err := cli.ReadSecretFile(path)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, fmt.Errorf("%s: %w", path, errNothingInFile)
	}
	return []byte(text), nil
}

// pinOfBoth is the purse's PIN where the member's key has the same.
func (a *app) pinOfBoth() tpm.Auth {
	if !a.onePIN || len(a.purseSecret) == 0 {
		return nil
	}
	return bytes.Clone(a.purseSecret)
}

type lockCmd struct {
	lockFlags
	NewPassphraseFile string `name:"new-passphrase-file" help:"File with the new passphrase or PIN, mode 0600, instead of asking for it." type:"existingfile" placeholder:"FILE"`
	Words             bool   `help:"Open the purse with its words: the passphrase is forgotten, or the TPM is gone."`
	WordsFile         string `help:"File with the words, mode 0600, instead of asking for them." type:"existingfile" placeholder:"FILE"`
}

func (lockCmd) Help() string {
	return `Shows what locks the purse, or changes it. The purse is encrypted under a key of its own; what changes is what that key is kept under. A copy of the old purse.lock opens the purse as it did: destroy those that you have made.
A purse of an earlier version, which is not encrypted, is encrypted.

Example:
  specie lock
  specie lock --lock passphrase
  specie lock --words`
}

func (c lockCmd) Run(a *app) error {
	state, err := wallet.LockOf(a.pursePath())
	if err != nil {
		return fmt.Errorf("%s: %w", a.home, err)
	}
	byWords := c.Words || c.WordsFile != ""
	switch {
	case state.Kind == "":
		err = c.seal(a)
	case c.Lock != "" || byWords:
		err = c.relock(a, byWords)
	default:
		return c.show(a, state, "the purse is locked by %s\n")
	}
	if err != nil {
		return err
	}
	if state, err = wallet.LockOf(a.pursePath()); err != nil {
		return err
	}
	return c.show(a, state, "the purse is locked by %s now\n")
}

func (lockCmd) show(a *app, state wallet.LockState, line string) error {
	return a.out.Result(state, func(o io.Writer) {
		what := map[wallet.LockKind]string{
			wallet.LockTPM: "this machine's TPM, without a PIN", wallet.LockPassphrase: "a passphrase",
			wallet.LockPlain: "nothing: its key lies beside it",
		}[state.Kind]
		if state.PIN {
			what = "this machine's TPM, with a PIN"
		}
		fmt.Fprintf(o, line, what)
	})
}

// seal encrypts a purse of before.
func (c lockCmd) seal(a *app) error {
	lock, err := c.choose(a, cmp.Or(c.NewPassphraseFile, a.passphraseFile))
	if err != nil {
		return err
	}
	if err := wallet.Seal(a.ctx, a.pursePath(), lock); err != nil {
		return err
	}
	a.out.Note("the purse is encrypted; what lay on the disk before may be found there for a while: \"specie exchange\" makes that worthless")
	return nil
}

func (c lockCmd) relock(a *app, byWords bool) error {
	u := a.unlock()
	if byWords {
		seed, err := a.readWords(c.WordsFile)
		if err != nil {
			return err
		}
		defer clear(seed[:])
		u.Seed = &seed
	}
	// The two PINs part here; and who can't open the purse is not asked for more.
	w, err := wallet.Open(a.ctx, a.pursePath(), wallet.Options{Now: a.now, Unlock: u})
	if err != nil {
		return err
	}
	if err := errors.Join(w.SetOnePIN(a.ctx, false), w.Close()); err != nil {
		return err
	}
	return wallet.Relock(a.ctx, a.pursePath(), u, func(context.Context) (wallet.Lock, error) { return c.choose(a, c.NewPassphraseFile) })
}

// noPurse refuses where there is one, before anything is asked.
func (a *app) noPurse() error {
	if _, err := os.Stat(a.pursePath()); err == nil {
		return fmt.Errorf("%s: %w", a.pursePath(), wallet.ErrExists)
	}
	return os.MkdirAll(a.home, 0o700)
}

// lockFlags say how a purse is to be locked.
type lockFlags struct {
	Lock         string `help:"What locks the purse: tpm, passphrase or plain, which is nothing. By default the TPM where there is one, else a passphrase." enum:",tpm,passphrase,plain" default:"" placeholder:"KIND"`
	NoPassphrase bool   `name:"no-passphrase" help:"With the TPM: no PIN. Otherwise you are asked for one, or it is in --passphrase-file."`
}

// choose makes a lock of the flags, and asks for what it takes.
func (l lockFlags) choose(a *app, file string) (wallet.Lock, error) {
	lock := wallet.Lock{Kind: wallet.LockKind(l.Lock), TPM: a.tpm}
	if lock.Kind == "" {
		lock.Kind = wallet.LockPassphrase
		if a.tpmAnswers() {
			lock.Kind = wallet.LockTPM
		}
	}
	var err error
	switch {
	case lock.Kind == wallet.LockPlain:
		a.out.Note("the purse's key will lie beside it: whoever can read both files can spend the bearer coins")
	case lock.Kind == wallet.LockPassphrase && l.NoPassphrase:
		err = errNoneTakes
	case lock.Kind == wallet.LockPassphrase:
		lock.Passphrase, err = a.newSecret(file, fmt.Sprintf("choose a passphrase for the purse, %d characters or more", wallet.MinPassphrase), wallet.CheckPassphrase)
	case l.NoPassphrase:
	default:
		lock.PIN, err = a.newPursePIN(file)
	}
	return lock, err
}

// tpmAnswers says whether there is a TPM to lock a purse with.
func (a *app) tpmAnswers() bool {
	dev, err := tpm.Open(a.ctx, a.tpm)
	if err != nil {
		return false
	}
	return dev.Close() == nil
}

// newPursePIN asks for the PIN of a purse that the TPM locks.
func (a *app) newPursePIN(file string) (tpm.Auth, error) {
	pin, err := a.newSecret(file, fmt.Sprintf("choose a PIN for the purse, %d to %d characters, or none with Enter", wallet.MinPIN, wallet.MaxPIN),
		func(pin []byte) error { return wallet.CheckPIN(pin) })
	if err != nil || len(pin) > 0 {
		return pin, err
	}
	a.out.Note("without a PIN, any program that runs under your account on this machine can open the purse")
	yes, err := a.out.Confirm("go on without a PIN?")
	if err == nil && !yes {
		err = errPINWanted
	}
	return nil, err
}

// newSecret gets a new passphrase or PIN: from the file, or from the terminal,
// twice.
func (a *app) newSecret(file, prompt string, check func([]byte) error) ([]byte, error) {
	if file != "" {
		secret, err := readPassphrase(file)
		if err != nil {
			return nil, err
		}
		return secret, check(secret)
	}
	first, err := a.out.AskSecret(prompt)
	if errors.Is(err, cli.ErrNoTerminal) {
		return nil, errNoPassphraseGiven
	}
	if err != nil {
		return nil, err
	}
	if err := check(first); err != nil || len(first) == 0 {
		return nil, err
	}
	second, err := a.out.AskSecret("the same again")
	if err != nil {
		return nil, err
	}
	defer clear(second)
	if subtle.ConstantTimeCompare(first, second) != 1 {
		return nil, errPassphrasesDiffer
	}
	return first, nil
}
