package main

import (
	"fmt"
	"io"

	"github.com/speciecash/specie/wallet"
)

type enrollCmd struct {
	Group string `help:"The group manager's address." required:"" placeholder:"URL"`
	Name  string `help:"Your name, for the registration form. Only the group manager can read it." required:""`
}

func (enrollCmd) Help() string {
	return `The TPM proves that it is genuine and that your key is inside it. Bound coins can
then be spent on this machine only.

Example:
  specie enroll --group http://127.0.0.1:8081 --name "Alice Example"`
}

func (c enrollCmd) Run(a *app) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		m, err := w.Enroll(a.ctx, c.Group, c.Name, a.tpm, a.out.Bar("enrolling"))
		if err != nil {
			return err
		}
		return a.out.Result(m, func(o io.Writer) {
			fmt.Fprintf(o, "enrolled with %s for epoch %d; the TPM's %s endorsement key was accepted, and a first presentation verifies\n", m.Group, m.Epoch, m.EK)
		})
	})
}
