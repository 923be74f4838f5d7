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
	// Overview is what somebody is shown who says nothing but the program's
	// name: the first steps, by who he is.
	Overview string
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

// ErrUsage is matched by errors about the command line: the exit status is
// ExitUsage.
var ErrUsage = errors.New("wrong usage")

// usageError is an error about the command line, in its own words.
type usageError struct{ error }

func (u usageError) Unwrap() []error { return []error{u.error, ErrUsage} }

// Usage marks an error as one about the command line, such as an argument that
// can be read only later; nil stays nil. Its text stays as it is.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// Grammar is the program's command line as kong has it, for Run and for those
// who look at it (package clitest). kong's own answers, as to --help, go to out,
// and asked is called with their exit status.
func (p *Program) Grammar(out *Out, asked func(code int)) (*kong.Kong, error) {
	return kong.New(p.Flags, kong.Name(p.Name), kong.Description(p.Description),
		kong.Writers(out.Stdout, out.Stderr), kong.Exit(asked),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Help(help), kong.ValueFormatter(describe), kong.Vars{"version": p.Name + " " + version()})
}

// Run runs one command line and returns its exit status. When ctx ends, so does
// every question to a person.
func (p *Program) Run(ctx context.Context, args []string, out *Out) int {
	out.interrupted = ctx.Done()
	if len(args) == 0 && p.Overview != "" {
		if err := out.Result(nil, func(w io.Writer) { _, _ = io.WriteString(w, p.Overview) }); err != nil {
			out.Fail(err, "")
			return ExitFailed
		}
		return ExitOK
	}
	asked := -1 // set when kong has answered by itself, as it does for --help
	parser, err := p.Grammar(out, func(code int) { asked = code })
	if err != nil {
		out.Fail(err, "")
		return ExitFailed
	}
	command, err := parser.Parse(withIDs(parser.Model.Node, args))
	if asked >= 0 {
		return asked
	}
	usage := `"` + usageOf(parser, args) + ` --help" says what there is`
	if err != nil {
		out.Fail(err, usage)
		return ExitUsage
	}
	bound, err := p.Ready(ctx, out)
	if err != nil {
		out.Fail(err, usage)
		return ExitUsage
	}
	return p.finish(ctx, out, command.Run(bound, parser.Model, out), usage)
}

// finish says how a command ended.
func (p *Program) finish(ctx context.Context, out *Out, err error, usage string) int {
	if err == nil {
		return ExitOK
	}
	if errors.Is(err, ErrInterrupted) {
		out.Fail(ErrInterrupted, "")
		return ExitInterrupted
	}
	hint, code := p.Explain(err)
	switch {
	case errors.Is(err, ErrUsage):
		code = ExitUsage
		if hint == "" {
			hint = usage
		}
	case ctx.Err() != nil && errors.Is(err, context.Canceled) && code == ExitFailed:
		// What stands in the error is only how the interruption was noticed.
		err, hint, code = ErrInterrupted, "", ExitInterrupted
	}
	out.Fail(err, hint)
	return code
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
	return out.Document("script", []byte(script))
}
