package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

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
			return a.askPurse("PIN", wallet.ErrPursePINNeeded)
		},
	}
}

func (a *app) askPurse(what string, needed error) ([]byte, error) {
	if a.passphraseFile != "" {
		return readPassphrase(a.passphraseFile)
	}
	secret, err := a.out.AskSecret(what + " of the purse")
	if errors.Is(err, cli.ErrNoTerminal) {
		return nil, fmt.Errorf("%w, and there is no terminal to ask on", needed)
	}
	return secret, err
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

// lockFlags say how a purse is to be locked.
type lockFlags struct {
	Lock         string `help:"What locks the purse: tpm, passphrase or plain, which is nothing. By default the TPM where there is one, else a passphrase." enum:",tpm,passphrase,plain" default:"" placeholder:"KIND"`
	NoPassphrase bool   `name:"no-passphrase" help:"With the TPM: no PIN. Otherwise you are asked for one, or it is in --passphrase-file."`
}

// choose makes a lock of the flags, and asks for what it takes.
func (l lockFlags) choose(a *app) (wallet.Lock, error) {
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
		lock.Passphrase, err = a.newSecret(fmt.Sprintf("choose a passphrase for the purse, %d characters or more", wallet.MinPassphrase), wallet.CheckPassphrase)
	case l.NoPassphrase:
	default:
		lock.PIN, err = a.newPursePIN()
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
func (a *app) newPursePIN() (tpm.Auth, error) {
	pin, err := a.newSecret(fmt.Sprintf("choose a PIN for the purse, %d to %d characters, or none with Enter", wallet.MinPIN, wallet.MaxPIN),
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
func (a *app) newSecret(prompt string, check func([]byte) error) ([]byte, error) {
	if a.passphraseFile != "" {
		secret, err := readPassphrase(a.passphraseFile)
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
