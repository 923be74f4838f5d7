package main

import (
	"errors"
	"io"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/tpm"
)

type tpmDoctorCmd struct{}

func (tpmDoctorCmd) Help() string {
	return `Looks at everything that a member's key needs of this machine's TPM, and says of each
thing that is not as it should be what to do about it. It changes nothing, and asks
nobody. The exit status is 1 if something is in the way of enrolling.

Example:
  specie tpm doctor
  specie tpm doctor --json`
}

// errUnfit: something that was found is in the way.
var errUnfit = errors.New("this TPM can't be enrolled as it is")

func (tpmDoctorCmd) Run(a *app) error {
	e := tpm.Examine(a.ctx, a.tpm)
	if err := a.out.Result(e, func(o io.Writer) { cli.Table(o, []string{"STATE", "WHAT", "FOUND"}, findings(e)) }); err != nil {
		return err
	}
	if e.State() == tpm.Fail {
		return errUnfit
	}
	return nil
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
