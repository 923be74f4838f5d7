// Command specie-ceremony is the operators' tool on offline machines: it runs
// key ceremonies from plan files, does the supervisors' part of founding a
// group, of warrants and of what is done on them, and shows signed documents.
//
// It is thin: package ceremony runs plans, ceremony/officer and opening do the
// supervisors' work. Exit status: see package cli.
package main

import (
	"context"
	"os"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/hsm"
)

// app is what every command gets.
type app struct {
	ctx context.Context
	out *cli.Out
}

const description = `Key ceremonies, the supervisors' tools, and a look at signed documents.

Every output is created once and never replaced; everything that can be
refused is refused before the first key is made. Times are UTC.

Exit status: 0 done, 1 refused or failed, 2 wrong usage.`

// overview is what is shown to who says only "specie-ceremony".
const overview = `specie-ceremony is for machines that are never on a network: there keys are made, and warrants signed.

Officers, who make a bank's keys (docs/ceremonies.md):
  specie-ceremony officer new --name ADAMS --out adams.key   an officer's own key
  specie-ceremony plan 01-root.yaml                          what a plan would do, and its digest; touches nothing
  specie-ceremony approve 01-root.yaml --as ADAMS --key adams.key
  specie-ceremony run 01-root.yaml                           rehearses it, then makes the keys
  specie-ceremony verify root.transcript --root root.pem     checks what was done, without any token

Supervisors, who open what a court allows (docs/supervision.md):
  specie-ceremony warrant sign draft.json --dir ./kahn --case case.json --keyset keyset.jws --group-document group.jws --root root.pem --out kahn.jws
  specie-ceremony opening verify evidence.json --root root.pem

  specie-ceremony practice --dir ./practice root bank        tokens in software, to practise with

All commands: specie-ceremony --help. An example of one: specie-ceremony COMMAND --help.
`

// flags is the grammar. Its texts are the manual.
type flags struct {
	JSON    bool        `name:"json" help:"Print one JSON value instead of text."`
	Version cli.Version `name:"version" help:"Print the version."`

	Plan    planCmd    `cmd:"" help:"Say what a plan would do, and its digest; touch nothing."`
	Approve approveCmd `cmd:"" help:"Approve a plan as an officer."`
	Run     runCmd     `cmd:"" help:"Rehearse and run a plan that enough officers approved."`
	Abandon abandonCmd `cmd:"" help:"Give up a ceremony that was interrupted."`
	Verify  verifyCmd  `cmd:"" help:"Check a ceremony from what it left, without any token."`

	Officer  officerCmd  `cmd:"" help:"Officers' keys, and the roster of those who approve."`
	Probe    probeCmd    `cmd:"" help:"Try what a token can do, and say what Specie can do with it."`
	Practice practiceCmd `cmd:"" help:"Make tokens in software, to practise with."`

	Supervisor supervisorCmd `cmd:"" help:"A supervisor's keys and his part in founding a group."`
	Warrant    warrantCmd    `cmd:"" help:"What supervisors allow: draft, sign, look."`
	Opening    openingCmd    `cmd:"" help:"Name the payer of a coin that was spent twice, on a warrant."`
	Trace      traceCmd      `cmd:"" help:"Find one member's payments, on a warrant."`
	Register   registerCmd   `cmd:"" help:"The public register of warrants."`

	Show       showCmd           `cmd:"" help:"Show a certificate or signed document."`
	Completion cli.CompletionCmd `cmd:"" help:"Print a shell completion script."`
}

func main() {
	// PINs, officers' passphrases and shares of secrets are to come.
	if err := hsm.HideMemory(); err != nil {
		cli.Std("specie-ceremony").Fail(err, "")
		os.Exit(cli.ExitFailed)
	}
	program().Main()
}

func program() *cli.Program {
	f := flags{Completion: cli.CompletionCmd{Program: "specie-ceremony"}}
	return &cli.Program{
		Name: "specie-ceremony", Description: description, Overview: overview, Flags: &f,
		Explain: func(err error) (string, int) { return hint(err), cli.ExitFailed },
		Ready: func(ctx context.Context, out *cli.Out) (any, error) {
			out.JSON = f.JSON
			return &app{ctx: ctx, out: out}, nil
		},
	}
}
