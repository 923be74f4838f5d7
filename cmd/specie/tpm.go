package main

import (
	"fmt"
	"io"

	"github.com/speciecash/specie/wallet"
)

type tpmCmd struct {
	Doctor tpmDoctorCmd `cmd:"" help:"See whether this machine's TPM can be enrolled, and what to do if not."`
	PCRs   tpmPCRsCmd   `cmd:"" name:"pcrs" help:"Show the state in which this machine was started."`
	PIN    tpmPINCmd    `cmd:"" name:"pin" help:"Change the PIN of the member's key, or take it away."`
}

type tpmPINCmd struct {
	NewPINFile string `name:"new-pin-file" help:"File with the new PIN, mode 0600, instead of asking for it." type:"existingfile" placeholder:"FILE" xor:"new"`
	NoPIN      bool   `name:"no-pin" help:"The key has no PIN any more." xor:"new"`
}

func (tpmPINCmd) Help() string {
	return `The TPM makes the same key anew under another PIN; membership and coins stay as they
are. Destroy copies of the old key file: they open with the old PIN for ever.

Example:
  specie tpm pin`
}

func (c tpmPINCmd) Run(a *app) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		if !w.Enrolled() {
			return wallet.ErrNotEnrolled
		}
		ask, err := a.newPIN(c.NewPINFile, c.NoPIN)
		if err != nil {
			return err
		}
		if err := w.ChangePIN(a.ctx, a.device(), ask); err != nil {
			return err
		}
		if err := w.SetOnePIN(a.ctx, a.samePIN); err != nil {
			return err
		}
		pin, err := w.HasPIN()
		if err != nil {
			return err
		}
		return a.out.Result(map[string]any{"key_file": w.KeyPath(), "pin": pin}, func(o io.Writer) {
			if pin {
				fmt.Fprintf(o, "the key has a new PIN; copies of %s that you made before open with the old one\n", w.KeyPath())
			} else {
				fmt.Fprintln(o, "the key has no PIN any more")
			}
		})
	})
}
