package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// ErrNoTerminal: a secret or an answer is needed from a person, and there is
// no terminal to ask on.
var ErrNoTerminal = errors.New("no terminal to ask on")

// ErrInterrupted: the person ended the program instead of answering.
var ErrInterrupted = errors.New("interrupted")

// MaxSecret bounds what AskSecret returns, in bytes.
const MaxSecret = 1 << 10

// Interactive says whether a person sits at standard input: then a secret that
// was not given may be asked for, and a script is not kept waiting.
func (o *Out) Interactive() bool { return term.IsTerminal(int(os.Stdin.Fd())) }

// AskSecret asks for a secret on the terminal of the process, whatever its
// standard streams are, and does not echo it. The prompt goes to the terminal
// too, never to a log. The caller overwrites the result after use. Errors:
// ErrNoTerminal, ErrInterrupted, or that of reading.
func (o *Out) AskSecret(prompt string) ([]byte, error) {
	var secret []byte
	err := o.ask(prompt, ": ", func(tty console) (err error) {
		secret, err = term.ReadPassword(int(tty.in.Fd()))
		fmt.Fprintln(tty)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(secret) > MaxSecret {
		clear(secret)
		return nil, fmt.Errorf("more than %d bytes", MaxSecret)
	}
	return secret, nil
}

// ask shows a question and waits until the answer is read or the program is
// interrupted. A read from a terminal can't be taken back: in the latter case it
// is left behind with the terminal, which has its echo again, and the program
// is about to end.
func (o *Out) ask(question, end string, read func(console) error) error {
	select {
	case <-o.interrupted:
		return ErrInterrupted
	default:
	}
	tty, err := openTerminal(question)
	if err != nil {
		return err
	}
	o.endLine()
	before, err := term.GetState(int(tty.in.Fd()))
	if err != nil {
		tty.close()
		return fmt.Errorf("terminal: %w", err)
	}
	fmt.Fprintf(tty, "%s: %s%s", o.Program, OneLine(question), end)
	done := make(chan error, 1)
	go func() { done <- read(tty) }()
	select {
	case err := <-done:
		tty.close()
		if err != nil {
			return fmt.Errorf("read from the terminal: %w", err)
		}
		return nil
	case <-o.interrupted:
		err := term.Restore(int(tty.in.Fd()), before)
		fmt.Fprintln(tty)
		return errors.Join(ErrInterrupted, err)
	}
}

// CanAsk says whether there is a terminal to ask on.
func (o *Out) CanAsk() bool {
	tty, err := openTerminal("")
	if err != nil {
		return false
	}
	tty.close()
	return true
}

// Confirm asks a question on the terminal; only "yes" is a yes. What is neither
// yes nor no is asked once more: a "y" meant something. Errors:
// ErrNoTerminal, ErrInterrupted, or that of reading.
func (o *Out) Confirm(question string) (bool, error) {
	answer, err := o.yesOrNo(question)
	if err == nil && answer != "" && answer != "yes" && answer != "no" {
		answer, err = o.yesOrNo(`type "yes" or "no" in full: ` + question)
	}
	return err == nil && answer == "yes", err
}

// yesOrNo is the word that is typed, in small letters, "" for nothing or for
// more than a word.
func (o *Out) yesOrNo(question string) (string, error) {
	var answer string
	err := o.ask(question, " (yes/no): ", func(tty console) error {
		if _, err := fmt.Fscanln(tty.in, &answer); err != nil {
			answer = ""
		}
		return nil
	})
	return strings.ToLower(answer), err
}

// AskLine asks a question on the terminal and returns the line that is typed,
// which is shown while it is. Errors: ErrNoTerminal, ErrInterrupted, or that of
// reading.
func (o *Out) AskLine(prompt string) (string, error) {
	var line []byte
	err := o.ask(prompt, ": ", func(tty console) error {
		for b := make([]byte, 1); len(line) <= MaxSecret; {
			n, err := tty.in.Read(b)
			if n == 1 && b[0] == '\n' {
				return nil
			}
			line = append(line, b[:n]...)
			if errors.Is(err, io.EOF) && len(line) > 0 {
				return nil
			}
			if err != nil {
				return err
			}
		}
		return fmt.Errorf("more than %d bytes", MaxSecret)
	})
	return strings.TrimSpace(string(line)), err
}

// eraseScreen takes what was shown from a terminal, and from what can be scrolled
// back to.
const eraseScreen = "\x1b[H\x1b[2J\x1b[3J"

// Reveal shows lines on the terminal of the process, whatever its standard streams
// are, until Enter is typed; then it erases them. Errors: those of AskLine.
func (o *Out) Reveal(lines []string, prompt string) error {
	tty, err := openTerminal(prompt)
	if err != nil {
		return err
	}
	defer tty.close()
	o.endLine()
	for _, line := range lines {
		fmt.Fprintln(tty, OneLine(line))
	}
	_, err = o.AskLine(prompt)
	if os.Getenv("TERM") != "dumb" {
		fmt.Fprint(tty, eraseScreen)
	}
	return err
}

// console is the terminal of this process: what is typed, and what is shown.
type console struct{ in, out *os.File }

// Write shows something.
func (c console) Write(b []byte) (int, error) { return c.out.Write(b) }

func (c console) close() {
	_ = c.in.Close()
	if c.out != c.in {
		_ = c.out.Close()
	}
}

func openTerminal(what string) (console, error) {
	in, out, err := terminal()
	if err != nil {
		return console{}, fmt.Errorf("%w: %s", ErrNoTerminal, OneLine(what))
	}
	return console{in, out}, nil
}
