package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/wallet"
)

var (
	errNoPINGiven = errors.New("there is no terminal to ask for a PIN on: name its file with --pin-file, or do without one by --no-pin")
	errPINsDiffer = errors.New("the two PINs are not the same")
	errEmptyPIN   = errors.New("there is no PIN in that file")
	errPINWanted  = errors.New("no PIN was chosen; nothing was changed")
)

// device is the TPM that a command uses, and who knows the PIN of its key: a
// file, or the person at the terminal.
func (a *app) device() wallet.TPM {
	return wallet.TPM{
		Address: a.tpm, PIN: a.askPIN,
		Opening: a.barWhenBegun("opening the TPM"), Tags: a.barWhenBegun("binding to the TPM"),
	}
}

func (a *app) askPIN(context.Context) (tpm.Auth, error) {
	if a.pinFile != "" {
		return readPIN(a.pinFile)
	}
	if pin := a.pinOfBoth(); pin != nil {
		return pin, nil
	}
	pin, err := a.out.AskSecret("PIN of the TPM's key")
	if errors.Is(err, cli.ErrNoTerminal) {
		return nil, fmt.Errorf("%w, and there is no terminal to ask on", wallet.ErrPINNeeded)
	}
	return pin, err
}

// barWhenBegun is a progress bar whose time runs from the first report on, for
// work that begins later or more than once.
func (a *app) barWhenBegun(label string) wallet.Progress {
	var bar func(done, total int)
	return func(done, total int) {
		if bar == nil {
			bar = a.out.Bar(label)
		}
		bar(done, total)
		if done >= total {
			bar = nil
		}
	}
}

// newPIN is where the PIN of a new key comes from: a file, the terminal, or
// nowhere if there is to be none. It fails at once where nobody could be asked.
func (a *app) newPIN(file string, none bool) (wallet.AskPIN, error) {
	switch {
	case none:
		return func(context.Context) (tpm.Auth, error) { return nil, nil }, nil
	case file != "":
		return func(context.Context) (tpm.Auth, error) { return readPIN(file) }, nil
	case !a.out.CanAsk():
		return nil, errNoPINGiven
	}
	return func(context.Context) (tpm.Auth, error) { return a.chooseNewPIN() }, nil
}

// chooseNewPIN asks twice. Who chooses none is told first what that means.
func (a *app) chooseNewPIN() (tpm.Auth, error) {
	if a.pursePIN && len(a.purseSecret) > 0 {
		same, err := a.out.Confirm("use the PIN of the purse for the TPM's key, too?")
		if err != nil {
			return nil, err
		}
		if a.samePIN = same; same {
			return bytes.Clone(a.purseSecret), nil
		}
	}
	first, err := a.out.AskSecret(fmt.Sprintf("choose a PIN for the TPM's key, %d to %d characters, or none with Enter", wallet.MinPIN, wallet.MaxPIN))
	if err != nil {
		return nil, err
	}
	if len(first) == 0 {
		a.out.Note("without a PIN, any program that runs under your account on this machine can spend the coins bound to it")
		yes, err := a.out.Confirm("go on without a PIN?")
		if err == nil && !yes {
			err = errPINWanted
		}
		return nil, err
	}
	if err := wallet.CheckPIN(first); err != nil {
		return nil, err
	}
	second, err := a.out.AskSecret("the same PIN again")
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(first, second) != 1 {
		return nil, errPINsDiffer
	}
	return first, nil
}

// readPIN reads a PIN from a file that nobody else can read.
func readPIN(path string) (tpm.Auth, error) {
	text, err := cli.ReadSecretFile(path)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, fmt.Errorf("%s: %w", path, errEmptyPIN)
	}
	return tpm.Auth(text), nil
}
