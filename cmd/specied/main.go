// Command specied runs Specie's daemons: the issuer, the group manager, and,
// for a person who wants to play, both in one box with emulated devices. It
// also holds the operator's commands, which talk to a running daemon over its
// UNIX socket.
//
// Exit status: see package cli.
package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
)

// app is what every command gets.
type app struct {
	ctx context.Context
	out *cli.Out
	log *slog.Logger
}

type flags struct {
	JSON bool `name:"json" help:"Print one JSON value instead of text."`

	Issuer issuerCmd `cmd:"" help:"Run the bank."`
	Group  groupCmd  `cmd:"" help:"Run the group manager."`
	Dev    devCmd    `cmd:"" help:"Run a whole box with emulated HSM and TPM, to play with."`

	Account  accountCmd  `cmd:"" help:"Operator: open an account."`
	Fund     fundCmd     `cmd:"" help:"Operator: credit an account from the reserve."`
	Books    booksCmd    `cmd:"" help:"Operator: what the bank owes and holds."`
	Case     caseCmd     `cmd:"" help:"Operator: double spends of bound coins, for the supervisors."`
	Member   memberCmd   `cmd:"" help:"Group manager: show a member."`
	Expel    expelCmd    `cmd:"" help:"Group manager: expel a member."`
	Identify identifyCmd `cmd:"" help:"Group manager: name the member that the supervisors' opening points to."`

	Completion completionCmd `cmd:"" help:"Print a shell completion script."`
}

const description = `Daemons and operator's commands of the Specie electronic cash system.

Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 outcome open (repeat the command).`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], cli.Std("specied")))
}

func run(ctx context.Context, args []string, out *cli.Out) int {
	var f flags
	exit := -1
	parser, err := kong.New(&f, kong.Name("specied"), kong.Description(description),
		kong.Writers(out.Stdout, out.Stderr), kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		out.Fail(err, "")
		return cli.ExitFailed
	}
	k, err := parser.Parse(args)
	if exit >= 0 {
		return exit // --help was printed
	}
	if err != nil {
		out.Fail(err, `"specied --help" lists the commands`)
		return cli.ExitUsage
	}
	out.JSON = f.JSON
	a := &app{ctx: ctx, out: out, log: slog.New(slog.NewTextHandler(out.Stderr, nil))}
	if err := k.Run(a, parser.Model); err != nil {
		out.Fail(err, hint(err))
		var p *client.Problem
		if errors.As(err, &p) && !p.Final() && p.Status >= 500 {
			return cli.ExitOpen
		}
		return cli.ExitFailed
	}
	return cli.ExitOK
}

func hint(err error) string {
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return "is the daemon running, and is this its --socket?"
	case errors.Is(err, syscall.EACCES):
		return "the socket belongs to the daemon's user"
	}
	return ""
}

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (completionCmd) Help() string {
	return "Example:\n  specied completion bash >~/.local/share/bash-completion/completions/specied"
}

func (c completionCmd) Run(a *app, model *kong.Application) error {
	script, err := cli.Completion(model, c.Shell)
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.out.Stdout, script)
	return err
}
