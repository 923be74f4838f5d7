package cli

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"
)

// ErrNoTerminal: a secret or an answer is needed from a person, and there is
// no terminal to ask on.
var ErrNoTerminal = errors.New("no terminal to ask on")

// MaxSecret bounds what AskSecret returns, in bytes.
const MaxSecret = 1 << 10

// Interactive says whether a person sits at standard input: then a secret that
// was not given may be asked for, and a script is not kept waiting.
func (o *Out) Interactive() bool { return term.IsTerminal(int(os.Stdin.Fd())) }

// AskSecret asks for a secret on the terminal of the process, whatever its
// standard streams are, and does not echo it. The prompt goes to the terminal
// too, never to a log. The caller overwrites the result after use. Errors:
// ErrNoTerminal, or that of reading.
func (o *Out) AskSecret(prompt string) ([]byte, error) {
	tty, err := openTerminal(prompt)
	if err != nil {
		return nil, err
	}
	defer tty.close()
	fmt.Fprintf(tty, "%s: %s: ", o.Program, OneLine(prompt))
	secret, err := term.ReadPassword(int(tty.in.Fd()))
	fmt.Fprintln(tty)
	if err != nil {
		return nil, fmt.Errorf("read from the terminal: %w", err)
	}
	if len(secret) > MaxSecret {
		clear(secret)
		return nil, fmt.Errorf("more than %d bytes", MaxSecret)
	}
	return secret, nil
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

// Confirm asks a question on the terminal; only "yes" is a yes. Errors:
// ErrNoTerminal, or that of reading.
func (o *Out) Confirm(question string) (bool, error) {
	tty, err := openTerminal(question)
	if err != nil {
		return false, err
	}
	defer tty.close()
	fmt.Fprintf(tty, "%s: %s (yes/no): ", o.Program, OneLine(question))
	var answer string
	if _, err := fmt.Fscanln(tty.in, &answer); err != nil && answer == "" {
		return false, nil
	}
	return answer == "yes", nil
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
