package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/wallet"
)

type enrollCmd struct {
	Group              string `help:"The group manager's address." required:"" placeholder:"URL"`
	Name               string `help:"Your name, for the registration form. Only the group manager can read it." required:"" placeholder:"NAME"`
	NoPIN              bool   `name:"no-pin" help:"The TPM's key gets no PIN. Otherwise you are asked for one, or it is in --pin-file."`
	Again              bool   `help:"Continue an earlier membership, with the code that the group manager gave you: its TPM was cleared, or is gone."`
	Anew               bool   `help:"Give up the key of an attempt to enrol that was not finished, whose PIN is forgotten. A member's key is never given up."`
	Yes                bool   `help:"With --again: don't ask whether to leave a key that works."`
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
		e := wallet.Enrolment{ManagerURL: c.Group, Name: c.Name, Anew: c.Anew, Note: func(s string) { a.out.Note("%s", s) }}
		if w.Enrolled() && !c.Again {
			return wallet.ErrEnrolled
		}
		err := enrol.CheckName(c.Name)
		if err != nil {
			return err
		}
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
			if err := c.leave(a, w); err != nil {
				return err
			}
			if e.Code, err = c.code(a); err != nil {
				return err
			}
		}
		m, err := w.Enroll(a.ctx, a.device(), e, a.out.Bar("enrolling"))
		if err != nil {
			return c.refused(err)
		}
		if err := w.SetOnePIN(a.ctx, a.samePIN); err != nil {
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

var (
	errKeyWorks  = errors.New("the old key still works here")
	errCodeSpent = errors.New("the code does not count for this TPM")
	errNoManager = errors.New("there is no group manager at that address")
)

// leave says what is lost for a while by leaving a key that works, and asks.
func (c enrollCmd) leave(a *app, w *wallet.Wallet) error {
	if !w.Enrolled() || w.TryKey(a.ctx, a.tpm) != nil {
		return nil
	}
	until, err := w.CredentialEnds(a.ctx)
	if err != nil || until.IsZero() {
		return err
	}
	b, err := w.Balance(a.ctx)
	if err != nil || b.ByKind[coin.Bound] == 0 {
		return err
	}
	works := fmt.Errorf("%w: %s %s in bound coins can be spent until %s; enrolling again makes them recoverable only after that",
		errKeyWorks, b.ByKind[coin.Bound].Format(b.Exponent), b.Currency, cli.When(until))
	if c.Yes {
		a.out.Note("%v", works)
		return nil
	}
	if !a.out.CanAsk() {
		return works
	}
	a.out.Note("%v", works)
	yes, err := a.out.Confirm("enrol again all the same?")
	if err == nil && !yes {
		err = errNotConfirmed
	}
	return err
}

// refused puts to a refusal what only this command knows of it.
func (c enrollCmd) refused(err error) error {
	var manager *wallet.ManagerError
	if c.Again && errors.As(err, &manager) && manager.Code == "ek-registered" {
		return fmt.Errorf("%w: %w", errCodeSpent, err)
	}
	return notManager(err)
}

// notManager says of an answer that no group manager gives that there is none.
func notManager(err error) error {
	var manager *wallet.ManagerError
	var p *client.Problem
	if !errors.As(err, &manager) && errors.As(err, &p) && (p.Status == http.StatusNotFound || p.Status == http.StatusUnauthorized) {
		return fmt.Errorf("%w: %w", errNoManager, err)
	}
	return err
}

// code gets the code that continues a membership.
func (c enrollCmd) code(a *app) (enrol.Code, error) {
	var text string
	if c.CodeFile != "" {
		var err error
		if text, err = cli.ReadSecretFile(c.CodeFile); err != nil {
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
