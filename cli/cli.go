// Package cli owns how Specie's commands talk to people and to scripts.
//
// The rules: results go to standard output, everything else to standard
// error; with --json the result is one JSON value; an error is one line
// "PROGRAM: error: …", lower case, no full stop, with a "hint:" line where
// there is something to do; a progress bar is drawn only on a terminal and
// only for work that takes a while; NO_COLOR is honoured because there is no
// colour.
//
// Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 the outcome is
// open and the command should be repeated or resumed, 130 interrupted where a
// person was asked something.
//
// The package imports nothing of Specie.
package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

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

// Result prints v as JSON, or what text writes.
func (o *Out) Result(v any, text func(w io.Writer)) error {
	if o.JSON {
		e := json.NewEncoder(o.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	text(o.Stdout)
	return nil
}

// Table prints rows under headers, in columns. A column whose header begins
// with ">" is aligned to the right.
func Table(w io.Writer, headers []string, rows [][]string) {
	right := make([]bool, len(headers))
	width := make([]int, len(headers))
	for i, h := range headers {
		if right[i] = strings.HasPrefix(h, ">"); right[i] {
			headers[i] = h[1:]
		}
		width[i] = len([]rune(headers[i]))
		for _, r := range rows {
			width[i] = max(width[i], len([]rune(r[i])))
		}
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(cells []string) {
		for i, c := range cells {
			if right[i] {
				c = strings.Repeat(" ", width[i]-len([]rune(c))) + c
			}
			if i == len(cells)-1 {
				fmt.Fprintf(tw, "%s\n", c)
			} else {
				fmt.Fprintf(tw, "%s\t", c)
			}
		}
	}
	line(headers)
	for _, r := range rows {
		line(r)
	}
	_ = tw.Flush()
}

// Fail prints the error line, and the hint if there is one.
func (o *Out) Fail(err error, hint string) {
	o.endLine()
	fmt.Fprintf(o.Stderr, "%s: error: %s\n", o.Program, OneLine(err.Error()))
	if hint != "" {
		fmt.Fprintf(o.Stderr, "%s: hint: %s\n", o.Program, hint)
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

// OneLine makes a text safe to show: errors that were joined become one line,
// control characters and marks of writing direction become "?".
func OneLine(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\n", "; ")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '?'
		}
		return r
	}, s)
}

// Count is a number of things, in the singular where there is one: its plural
// has an s.
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Bar draws a progress bar on a terminal; elsewhere it draws nothing. The
// returned function takes how many of how many steps are done.
func (o *Out) Bar(label string) func(done, total int) {
	f, ok := o.Stderr.(*os.File)
	if !ok || o.JSON || !term.IsTerminal(int(f.Fd())) {
		return func(int, int) {}
	}
	return o.bar(label, f)
}

func (o *Out) bar(label string, f io.Writer) func(done, total int) {
	start := time.Now()
	drawn := false
	return func(done, total int) {
		// Work that is over at once needs no bar.
		if total == 0 || (!drawn && done < total && time.Since(start) < 150*time.Millisecond) {
			return
		}
		if done >= total && !drawn {
			return
		}
		drawn, o.line = true, f
		const cells = 30
		full := cells * done / total
		fmt.Fprintf(f, "\r%-24s [%s%s] %d/%d", label, strings.Repeat("=", full), strings.Repeat(" ", cells-full), done, total)
		if done >= total {
			fmt.Fprintf(f, "  %s\n", time.Since(start).Round(time.Millisecond))
			o.line = nil
		}
	}
}
