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

// device is the TPM that a command uses.
func (a *app) device() wallet.TPM { return wallet.TPM{Address: a.tpm} }

func (c enrollCmd) Run(a *app) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		e := wallet.Enrolment{ManagerURL: c.Group, Name: c.Name, Note: func(s string) { a.out.Note("%s", s) }}
		m, err := w.Enroll(a.ctx, a.device(), e, a.out.Bar("enrolling"))
		if err != nil {
			return err
		}
		return a.out.Result(m, func(o io.Writer) {
			fmt.Fprintf(o, "enrolled with %s for epoch %d; the TPM's %s endorsement key was accepted, and a first presentation verifies\n", m.Group, m.Epoch, m.EK)
		})
	})
}
