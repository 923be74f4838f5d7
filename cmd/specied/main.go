// Command specied runs Specie's daemons: the issuer, the group manager, and,
// for a person who wants to play, both in one box with emulated devices. It
// also holds the operator's commands, which talk to a running daemon over its
// UNIX socket.
//
// Exit status: see package cli, and 4 if a token refused the PIN: then nothing
// may start the program again by itself.
package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/hsm"
)

// app is what every command gets.
type app struct {
	ctx context.Context
	out *cli.Out
	log *slog.Logger
}

type flags struct {
	JSON    bool        `name:"json" help:"Print one JSON value instead of text."`
	Version cli.Version `name:"version" help:"Print the version."`

	Issuer    issuerCmd    `cmd:"" help:"Run the bank."`
	Group     groupCmd     `cmd:"" help:"Run the group manager."`
	Signer    signerCmd    `cmd:"" help:"Hold the keys' tokens for a bank or a group manager, in a process of its own."`
	Dashboard dashboardCmd `cmd:"" help:"Operator: serve a page that shows how the bank stands."`
	Dev       devCmd       `cmd:"" help:"Run a whole box with emulated HSM and TPM, to play with."`

	Account   accountCmd   `cmd:"" help:"Operator: open, list and show accounts."`
	Token     tokenCmd     `cmd:"" help:"Operator: access tokens of accounts."`
	Suspend   suspendCmd   `cmd:"" help:"Operator: suspend an account."`
	Reinstate reinstateCmd `cmd:"" help:"Operator: reinstate a suspended account."`
	Fund      fundCmd      `cmd:"" help:"Operator: credit an account from the reserve."`
	Payout    payoutCmd    `cmd:"" help:"Operator: debit an account to the reserve."`
	Statement statementCmd `cmd:"" help:"Operator: show an account's statement for a period."`
	Drain     drainCmd     `cmd:"" help:"Operator: have the bank redeem only, or end that."`
	Books     booksCmd     `cmd:"" help:"Operator: show what the bank owes and holds."`
	Audit     auditCmd     `cmd:"" help:"Operator: recompute the ledger from its rows, and look for keys that leaked."`
	Backup    backupCmd    `cmd:"" help:"Operator: copy the ledger into a file, while the bank works."`
	Restore   restoreCmd   `cmd:"" help:"Operator: fill an empty database from a backup."`
	Reconcile reconcileCmd `cmd:"" help:"Operator: after a restoration, find out what is missing, and let the bank work again."`
	Trace     traceCmd     `cmd:"" help:"Find a traced member's payments, on a warrant."`
	Case      caseCmd      `cmd:"" help:"Operator: list double spends of bound coins, and write one out for the supervisors."`
	Strikes   strikesCmd   `cmd:"" help:"List merchants' wrong authorisations, suspensions and reinstatements."`

	Members    membersCmd    `cmd:"" help:"Group manager: list or count members."`
	Member     memberCmd     `cmd:"" help:"Group manager: show a member."`
	Readmit    readmitCmd    `cmd:"" help:"Group manager: let a person begin again whose TPM was cleared or is gone."`
	Expel      expelCmd      `cmd:"" help:"Group manager: expel a member for good."`
	Warrant    warrantCmd    `cmd:"" help:"Group manager: the public register of supervisors' warrants."`
	Identify   identifyCmd   `cmd:"" help:"Group manager: name the member that the supervisors' opening points to."`
	Transcript transcriptCmd `cmd:"" help:"Group manager: hand a member's join transcript to the supervisors, on their warrant."`
	EKRoots    ekRootsCmd    `cmd:"" name:"ek-roots" help:"Group manager: draft or check a list of TPM manufacturers."`

	Completion cli.CompletionCmd `cmd:"" help:"Print a shell completion script."`
}

const description = `Daemons and operator's commands of the Specie electronic cash system.

Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 outcome open (repeat the command), 4 a token refused the PIN (do not repeat it).`

// overview is what is shown to who says only "specied".
const overview = `specied runs the daemons of a Specie bank and its group manager, and is how their operators talk to them.

To look at everything at once, on a box of emulated devices:
  specied dev                                              a bank, a group manager, a holder and a till, with what to try

A bank (docs/operator.md; its keys come from specie-ceremony, docs/ceremonies.md):
  specied signer --config signer.yaml                      holds the keys' tokens
  specied issuer --config issuer.yaml                      runs the bank
  specied account create --socket issuer.sock --name "Alice Example" --token-out alice.token
  specied books --socket issuer.sock                       what the bank owes and holds
  specied dashboard --socket issuer.sock                   a page that shows how it stands

A group manager (docs/group-manager.md):
  specied group --config group.yaml                        runs the group manager
  specied members --socket group.sock                      lists the members

All commands: specied --help. An example of one: specied COMMAND --help.
`

// exitPIN is the status after a refused login. A token locks itself after a
// few, so a supervisor must be able to tell.
const exitPIN = 4

func main() { program().Main() }

func program() *cli.Program {
	f := flags{Completion: cli.CompletionCmd{Program: "specied"}}
	return &cli.Program{
		Name: "specied", Description: description, Overview: overview, Flags: &f, Explain: explain,
		Ready: func(ctx context.Context, out *cli.Out) (any, error) {
			out.JSON = f.JSON
			return &app{ctx: ctx, out: out, log: slog.New(slog.NewTextHandler(out.Stderr, nil))}, nil
		},
	}
}

// explain gives the hint and the exit status of an error.
func explain(err error) (string, int) {
	var p *client.Problem
	if errors.As(err, &p) && !p.Final() && p.Status >= 500 {
		return "repeat the command", cli.ExitOpen
	}
	code := cli.ExitFailed
	if errors.Is(err, hsm.ErrPIN) {
		code = exitPIN
	}
	return hint(err), code
}
