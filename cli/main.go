package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

// Program is a command-line program: its grammar and what it does with it.
type Program struct {
	Name string
	// Description stands under the usage line of --help.
	Description string
	// Flags points to the kong grammar.
	Flags any
	// Ready is called when the command line is read: it returns what kong
	// hands to the command's Run method besides the grammar's model, or an
	// error, which is one of usage.
	Ready func(ctx context.Context, out *Out) (any, error)
	// Explain gives an error's hint and exit status.
	Explain func(err error) (hint string, code int)
}

// Main runs the program on the process's command line until it ends or is
// interrupted, and exits. A second interruption ends it where it stands.
func (p *Program) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := p.Run(ctx, os.Args[1:], Std(p.Name))
	stop()
	os.Exit(code)
}

// Run runs one command line and returns its exit status. When ctx ends, so does
// every question to a person.
func (p *Program) Run(ctx context.Context, args []string, out *Out) int {
	out.interrupted = ctx.Done()
	asked := -1 // set when kong has answered by itself, as it does for --help
	parser, err := kong.New(p.Flags, kong.Name(p.Name), kong.Description(p.Description),
		kong.Writers(out.Stdout, out.Stderr), kong.Exit(func(code int) { asked = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Vars{"version": p.Name + " " + version()})
	if err != nil {
		out.Fail(err, "")
		return ExitFailed
	}
	command, err := parser.Parse(args)
	if asked >= 0 {
		return asked
	}
	if err != nil {
		out.Fail(err, `"`+usageOf(parser, args)+` --help" says what there is`)
		return ExitUsage
	}
	bound, err := p.Ready(ctx, out)
	if err != nil {
		out.Fail(err, "")
		return ExitUsage
	}
	if err := command.Run(bound, parser.Model, out); err != nil {
		if errors.Is(err, ErrInterrupted) {
			out.Fail(ErrInterrupted, "")
			return ExitInterrupted
		}
		hint, code := p.Explain(err)
		out.Fail(err, hint)
		return code
	}
	return ExitOK
}

// Version is the "--version" flag of every program.
type Version = kong.VersionFlag

// version is the module's, as the build recorded it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// usageOf is the command that a wrong command line was about.
func usageOf(parser *kong.Kong, args []string) string {
	node := parser.Model.Node
	path := node.Name
	for _, arg := range args {
		for _, child := range node.Children {
			if child.Type == kong.CommandNode && child.Name == arg {
				node, path = child, path+" "+child.Name
				break
			}
		}
	}
	return path
}

// CompletionCmd is the "completion" command of every program.
type CompletionCmd struct {
	// Program is whose command it is, for the example in its help.
	Program string `kong:"-"`
	Shell   string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is shown below the flags.
func (c CompletionCmd) Help() string {
	return "Example:\n  " + c.Program + " completion bash >~/.local/share/bash-completion/completions/" + c.Program
}

// Run implements the command.
func (c CompletionCmd) Run(out *Out, model *kong.Application) error {
	script, err := Completion(model, c.Shell)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out.Stdout, script)
	return err
}
