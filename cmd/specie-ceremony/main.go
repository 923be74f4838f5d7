// Command specie-ceremony is the operators' tool on offline machines: it runs
// key ceremonies from plan files, does the supervisors' part of founding a
// group and of opening a double spend, and shows signed documents.
//
// It is thin: package ceremony runs plans, ceremony/officer and opening do the
// supervisors' work. Exit status: see package cli.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/speciecash/specie/cli"
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

// flags is the grammar. Its texts are the manual.
type flags struct {
	JSON bool `name:"json" help:"Print one JSON value instead of text."`

	Run   runCmd   `cmd:"" help:"Run a ceremony from its plan."`
	Check checkCmd `cmd:"" help:"Read a plan and its inputs, touch no token."`

	Supervisor supervisorCmd `cmd:"" help:"A supervisor's keys and his part in founding a group."`
	Opening    openingCmd    `cmd:"" help:"Name the payer of a coin that was spent twice."`

	Show       showCmd       `cmd:"" help:"Show a certificate or signed document."`
	Completion completionCmd `cmd:"" help:"Print a shell completion script."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], cli.Std("specie-ceremony")))
}

// run runs one command line and returns its exit status.
func run(ctx context.Context, args []string, out *cli.Out) int {
	var f flags
	asked := -1 // set when kong has answered by itself, as it does for --help
	parser, err := kong.New(&f, kong.Name(out.Program), kong.Description(description),
		kong.Writers(out.Stdout, out.Stderr), kong.Exit(func(code int) { asked = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		out.Fail(err, "")
		return cli.ExitFailed
	}
	command, err := parser.Parse(args)
	if asked >= 0 {
		return asked
	}
	if err != nil {
		out.Fail(err, `"specie-ceremony --help" lists the commands`)
		return cli.ExitUsage
	}
	out.JSON = f.JSON
	if err := command.Run(&app{ctx: ctx, out: out}, parser.Model); err != nil {
		out.Fail(err, hint(err))
		return cli.ExitFailed
	}
	return cli.ExitOK
}

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is shown below the flags.
func (completionCmd) Help() string {
	return `Example:
  specie-ceremony completion bash >~/.local/share/bash-completion/completions/specie-ceremony`
}

// Run implements the command.
func (c *completionCmd) Run(a *app, model *kong.Application) error {
	script, err := cli.Completion(model, c.Shell)
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.out.Stdout, script)
	return err
}
