// Package cli owns how Specie's commands talk to people and to scripts.
//
// The rules: results go to standard output, everything else to standard
// error; with --json the result is one JSON value; an error is one line
// "PROGRAM: error: …", lower case, no full stop, with a "hint:" line where
// there is something to do; a progress bar is drawn only on a terminal that
// can, and only for work that takes a while; NO_COLOR is honoured because there
// is no colour. Times are UTC, written by When and Moment, and amounts stand in
// major units beside their currency; JSON has RFC 3339 and minor units.
//
// Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 the outcome is
// open and the command should be repeated or resumed, 130 interrupted by the
// person. docs/cli.md is the whole of it; package clitest holds the programs to
// these rules.
//
// The package imports nothing of Specie.
package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// Exit statuses.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2
	ExitOpen   = 3
	// ExitInterrupted is what shells give for SIGINT.
	ExitInterrupted = 130
)

// Out is where a command's words go.
type Out struct {
	// Program is the name in error lines.
	Program string
	// JSON asks for one JSON value instead of text.
	JSON bool
	// Stdout takes results, Stderr the rest.
	Stdout, Stderr io.Writer

	// interrupted is closed when nobody is to be asked any more; nil is never.
	interrupted <-chan struct{}
	// line is where a progress bar stands whose line has no end yet.
	line io.Writer
}

// Std is standard output and standard error.
func Std(program string) *Out {
	return &Out{Program: program, Stdout: os.Stdout, Stderr: os.Stderr}
}

// Result prints v as JSON, or what text writes. The error is that of writing: a
// result that did not arrive is none.
func (o *Out) Result(v any, text func(w io.Writer)) error {
	sink := &sticky{w: o.Stdout}
	w := &safe{w: sink, json: o.JSON}
	if o.JSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil && sink.err == nil {
			return err
		}
	} else {
		text(w)
	}
	if sink.err != nil {
		return fmt.Errorf("write the result: %w", sink.err)
	}
	return nil
}

// Document prints a result that is a file by itself, byte for byte unless it goes
// to a terminal; as JSON it is the text under that name.
func (o *Out) Document(name string, data []byte) error {
	f, ok := o.Stdout.(*os.File)
	if o.JSON || (ok && term.IsTerminal(int(f.Fd()))) {
		return o.Result(map[string]string{name: string(data)}, func(w io.Writer) { _, _ = w.Write(data) })
	}
	if _, err := o.Stdout.Write(data); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// Beside is an Out whose results are shown to a person beside the real one: as
// text, on standard error.
func (o *Out) Beside() *Out {
	beside := *o
	beside.Stdout, beside.JSON = o.Stderr, false
	return &beside
}

// sticky remembers the first error of writing.
type sticky struct {
	w   io.Writer
	err error
}

func (s *sticky) Write(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.w.Write(b)
	s.err = err
	return n, err
}

// Fail prints the error line, and the hint if there is one.
func (o *Out) Fail(err error, hint string) {
	o.endLine()
	fmt.Fprintf(o.Stderr, "%s: error: %s\n", o.Program, OneLine(plainly(err)))
	if hint != "" {
		fmt.Fprintf(o.Stderr, "%s: hint: %s\n", o.Program, OneLine(hint))
	}
}

// endLine ends the line of a progress bar that did not come to its end, so that
// what is said next stands on a line of its own.
func (o *Out) endLine() {
	if o.line != nil {
		fmt.Fprintln(o.line)
		o.line = nil
	}
}

// Note prints a line for a person.
func (o *Out) Note(format string, args ...any) {
	o.endLine()
	fmt.Fprintf(o.Stderr, "%s: %s\n", o.Program, OneLine(fmt.Sprintf(format, args...)))
}

// Count is a number of things, in the singular where there is one: its plural
// has an s.
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
