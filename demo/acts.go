package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/speciecash/specie/devbox"
	"github.com/speciecash/specie/tpm/swtpm"
)

// cast is who and what the acts pass on to each other.
type cast struct {
	ca       *swtpm.CA
	aliceTPM string
	cafeURL  string
	bookURL  string
}

const (
	alice  = "alice"
	cafe   = "cafe"
	book   = "bookshop"
	laptop = "laptop"
)

func (s *stage) ceremonies() error {
	return s.timed("ceremonies", "26 RSA keys made in the token, 3 supervisors", func() error {
		return s.box.Found(s.ctx, s.say)
	})
}

func (s *stage) daemons() (err error) {
	if s.ca, err = s.box.CA(s.ctx, "vendor-ca"); err != nil {
		return err
	}
	err = s.timed("start", "both daemons; every key audited", func() error { return s.box.Start(s.ctx, s.ca) })
	if err != nil {
		return err
	}
	s.say("specied issuer at %s, specied group at %s", s.box.IssuerURL, s.box.GroupURL)
	for _, m := range []struct {
		name string
		url  *string
	}{{cafe, &s.cafeURL}, {book, &s.bookURL}} {
		if *m.url, err = s.box.OpenTill(s.ctx, m.name); err != nil {
			return err
		}
	}
	s.say("two merchants have accounts and tills: a café and a bookshop")
	return nil
}

func (s *stage) enrol() (err error) {
	if s.aliceTPM, err = s.box.TPM(s.ctx, laptop, s.ca); err != nil {
		return err
	}
	if _, err := s.box.OpenHolder(s.ctx, alice, "100.00"); err != nil {
		return err
	}
	var out string
	err = s.timed("enrol", "EK chain, join proof, credential activation, one presentation", func() error {
		out, err = s.specie(alice, "--tpm", s.aliceTPM, "enroll", "--no-pin", "--group", s.box.GroupURL, "--name", "Alice Example")
		return err
	})
	s.echo(out)
	return err
}

func (s *stage) withdrawBound() error {
	var out string
	err := s.timed("withdraw 20.00 bound", "a tag from the TPM and an HSM signature per coin", func() (err error) {
		out, err = s.specie(alice, "--tpm", s.aliceTPM, "withdraw", "20.00", "--bound")
		return err
	})
	s.echo(out)
	// A copy of the purse as it is now, for act 7.
	if err == nil {
		err = s.copyPurse(alice, "alice-copy")
	}
	return err
}

// payBound goes through a file, so that the till's own check can be shown
// with the bank and the group manager stopped.
func (s *stage) payBound() error {
	link, err := s.box.Offer(s.ctx, cafe, s.cafeURL, "12.34", "table 7")
	if err != nil {
		return err
	}
	file := s.box.Path("run", "payment-bound.json")
	out, err := s.specie(alice, "--tpm", s.aliceTPM, "pay", "--yes", link, "--kind", "bound", "--save", file)
	if err != nil {
		return err
	}
	s.echo(out)
	if err := s.box.Pause(); err != nil {
		return err
	}
	s.say("bank and group manager are stopped (SIGSTOP); the café checks the payment on its own:")
	err = s.timed("till checks alone, bound", "no contact; includes starting the program", func() (err error) {
		out, err = s.specie(cafe, "merchant", "check", file)
		return err
	})
	if err := errors.Join(err, s.box.Continue()); err != nil {
		return err
	}
	s.echo(out)
	s.say("they go on; Alice sends the same bytes, the café deposits:")
	err = s.timed("pay 12.34 bound", "check, deposit, two receipts, change; includes starting the program", func() (err error) {
		_, err = s.specie(alice, "--tpm", s.aliceTPM, "resume")
		return err
	})
	if err != nil {
		return err
	}
	return s.expectPaid()
}

func (s *stage) payBearer() error {
	out, err := s.specie(alice, "withdraw", "20.00", "--bearer")
	if err != nil {
		return err
	}
	s.echo(out)
	link, err := s.box.Offer(s.ctx, cafe, s.cafeURL, "12.34", "table 8")
	if err != nil {
		return err
	}
	err = s.timed("pay 12.34 bearer", "one command: check, deposit, two receipts, change", func() (err error) {
		out, err = s.specie(alice, "pay", "--yes", link, "--kind", "bearer")
		return err
	})
	if err != nil {
		return err
	}
	s.echo(out)
	return s.expectPaid()
}

// expectPaid checks that every payment is closed with both receipts, and
// shows the purse.
func (s *stage) expectPaid() error {
	out, err := s.specie(alice, "--json", "history")
	if err != nil {
		return err
	}
	var ops []struct{ Kind, State string }
	if err := json.Unmarshal([]byte(out), &ops); err != nil {
		return err
	}
	for _, op := range ops {
		if op.State != "done" {
			return fmt.Errorf("operation %s is %s", op.Kind, op.State)
		}
	}
	s.say("deposited; Alice holds the café's receipt and the bank's, the café the bank's; each change coin is verified")
	balance, err := s.specie(alice, "balance")
	s.echo(balance)
	return err
}

func (s *stage) books() error {
	out, err := s.box.Run(s.ctx, "specied", "books", "--socket", s.box.IssuerSocket())
	s.echo(out)
	return err
}

// specie runs the tool for a person of the box.
func (s *stage) specie(who string, args ...string) (string, error) {
	return s.box.Run(s.ctx, "specie", append([]string{"--home", s.box.Home(who)}, args...)...)
}

// echo shows a program's own words.
func (s *stage) echo(out string) {
	for _, l := range strings.Split(strings.TrimRight(out, "\n"), "\n") {
		if l != "" {
			s.say("| %s", l)
		}
	}
}

// reason is what a program said when it refused.
func reason(err error) string {
	var c *devbox.CommandError
	if errors.As(err, &c) {
		return c.Reason()
	}
	return err.Error()
}

func (s *stage) copyPurse(from, to string) error {
	if err := os.MkdirAll(s.box.Home(to), 0o700); err != nil {
		return err
	}
	return os.CopyFS(s.box.Home(to), os.DirFS(s.box.Home(from)))
}
