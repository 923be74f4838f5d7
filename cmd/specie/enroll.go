package main

import (
	"fmt"
	"io"
	"os"

	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/wallet"
)

type enrollCmd struct {
	Group              string `help:"The group manager's address." required:"" placeholder:"URL"`
	Name               string `help:"Your name, for the registration form. Only the group manager can read it." required:""`
	NoPIN              bool   `name:"no-pin" help:"The TPM's key gets no PIN. Otherwise you are asked for one, or it is in --pin-file."`
	Again              bool   `help:"Continue an earlier membership, with the code that the group manager gave you: its TPM was cleared, or is gone."`
	EKCertificate      string `name:"ek-certificate" help:"File with the TPM's endorsement certificate, DER or PEM, where the TPM stores none." type:"existingfile" placeholder:"FILE" xor:"ek"`
	FetchEKCertificate bool   `name:"fetch-ek-certificate" help:"Ask the TPM's maker for the certificate, where the TPM stores none. The address is shown; it tells him which TPM it is." xor:"ek"`
	CodeFile           string `help:"With --again: the file that the code is in, mode 0600, instead of asking for it." type:"existingfile" placeholder:"FILE"`
}

func (enrollCmd) Help() string {
	return `The TPM proves that it is genuine and that your key is inside it. Bound coins can
then be spent on this machine only. The key may have a PIN: after a few wrong ones
the TPM takes none for a while, so a thief can't try them all.

Example:
  specie enroll --group http://127.0.0.1:8081 --name "Alice Example"
  specie enroll --group http://127.0.0.1:8081 --name "Alice Example" --again`
}

func (c enrollCmd) Run(a *app) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		e := wallet.Enrolment{ManagerURL: c.Group, Name: c.Name, Note: func(s string) { a.out.Note("%s", s) }}
		if w.Enrolled() && !c.Again {
			return wallet.ErrEnrolled
		}
		var err error
		if e.NewPIN, err = a.newPIN(a.pinFile, c.NoPIN); err != nil {
			return err
		}
		e.FetchEKCertificate = c.FetchEKCertificate
		if c.EKCertificate != "" {
			text, err := os.ReadFile(c.EKCertificate)
			if err != nil {
				return err
			}
			if e.EKCertificates, err = wallet.ParseEKCertificates(text); err != nil {
				return fmt.Errorf("%s: %w", c.EKCertificate, err)
			}
		}
		if c.Again {
			if e.Code, err = c.code(a); err != nil {
				return err
			}
		}
		m, err := w.Enroll(a.ctx, a.device(), e, a.out.Bar("enrolling"))
		if err != nil {
			return err
		}
		return a.out.Result(m, func(o io.Writer) {
			fmt.Fprintf(o, "enrolled with %s for epoch %d; the TPM's %s endorsement key was accepted, and a first presentation verifies\n", m.Group, m.Epoch, m.EK)
			fmt.Fprintf(o, "the key's file is %s; it works in this TPM only, and nothing works without it\n", m.KeyFile)
			if m.Succeeds != "" {
				fmt.Fprintf(o, "the earlier membership %s is continued; have its bound coins repaid with \"specie recover\"\n", m.Succeeds)
			}
		})
	})
}

// code gets the code that continues a membership.
func (c enrollCmd) code(a *app) (enrol.Code, error) {
	var text string
	if c.CodeFile != "" {
		var err error
		if text, err = readSecretFile(c.CodeFile); err != nil {
			return enrol.Code{}, err
		}
	} else {
		typed, err := a.out.AskSecret("the code that the group manager gave you")
		if err != nil {
			return enrol.Code{}, err
		}
		text = string(typed)
	}
	code, err := enrol.ParseCode(text)
	if err == nil && code.IsZero() {
		err = fmt.Errorf("%w: no code", enrol.ErrMalformed)
	}
	return code, err
}
