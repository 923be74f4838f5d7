package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/wallet"
)

type tpmDoctorCmd struct{}

func (tpmDoctorCmd) Help() string {
	return `Looks at everything that a member's key needs of this machine's TPM, and says of each
thing that is not as it should be what to do about it. If there is an enrolled purse,
its own key is looked at too. It changes nothing, and asks nobody. The exit status is
1 if something is in the way of enrolling, or of using the key.

Example:
  specie tpm doctor
  specie tpm doctor --json`
}

// errUnfit: something that was found is in the way.
var errUnfit = errors.New("this TPM can't be enrolled as it is")

// errKeyUnfit: the member's key can't be used in this TPM.
var errKeyUnfit = errors.New("this wallet's key does not work here")

func (tpmDoctorCmd) Run(a *app) error {
	e := tpm.Examine(a.ctx, a.tpm)
	unfit := errUnfit
	if f, ok := a.memberKey(e.State() == tpm.Fail); ok {
		if f.State == tpm.Fail && e.State() != tpm.Fail {
			unfit = errKeyUnfit
		}
		e.Findings = append(e.Findings, f)
	}
	if err := a.out.Result(e, func(o io.Writer) { cli.Table(o, []string{"STATE", "WHAT", "FOUND"}, findings(e)) }); err != nil {
		return err
	}
	if e.State() == tpm.Fail {
		return unfit
	}
	if e.Findings[len(e.Findings)-1].Name != memberKeyName {
		a.out.Note(`nothing is in the way: "specie enroll" registers this TPM with a group manager`)
	}
	return nil
}

// memberKeyName is the finding about the purse's own key.
const memberKeyName = "member-key"

// memberKey looks at the key of the purse's owner, if he has one. What keeps a TPM
// that is not well from being looked at stands there already.
func (a *app) memberKey(ill bool) (tpm.Finding, bool) {
	if _, err := os.Stat(a.pursePath()); err != nil {
		return tpm.Finding{}, false
	}
	none := true
	err := a.withWallet(func(w *wallet.Wallet) error {
		if none = !w.Enrolled(); none {
			return nil
		}
		return w.TryKey(a.ctx, a.tpm)
	})
	f := tpm.Finding{Name: memberKeyName, State: tpm.Fail}
	switch known := errors.Is(err, wallet.ErrCleared) || errors.Is(err, wallet.ErrWrongTPM) || errors.Is(err, wallet.ErrKeyFile); {
	case err == nil:
		f.State, f.Found = tpm.OK, "the key of this wallet's member can be loaded"
	case ill && !known || errors.Is(err, context.Canceled):
		return f, false
	default:
		f.Found = err.Error()
		f.Cure, _ = explain(err)
	}
	return f, !none || err != nil
}

// findings are one row each, and one more with the cure where there is one.
func findings(e *tpm.Examination) [][]string {
	var rows [][]string
	for _, f := range e.Findings {
		rows = append(rows, []string{string(f.State), f.Name, cli.OneLine(f.Found)})
		if f.Cure != "" {
			rows = append(rows, []string{"", "", "to do: " + cli.OneLine(f.Cure)})
		}
	}
	return rows
}
