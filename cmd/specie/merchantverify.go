package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/evidence"
	"github.com/speciecash/specie/merchant"
)

type merchantVerifyCmd struct {
	File string `arg:"" help:"Payment file (\"specie pay --save\"), or papers of a payment (\"receipt save\")." type:"existingfile"`
}

func (merchantVerifyCmd) Help() string {
	return `For scripts: each claim on a line, exit status 0 if all is good, 1 if not, 2 for wrong usage. No network is used, by
the keys that the till has seen last, and nothing is recorded; whether the coins are spent already, only the bank can
say. "specie merchant check" is for who stands at the counter: it asks for newer keys, and has the bank hold the coins.

Example:
  specie merchant verify payment.json
  specie merchant verify receipt.json --json`
}

var errNotGood = errors.New("it is not good")

// noNetwork refuses every request.
type noNetwork struct{}

var errNoNetwork = errors.New("no network is used here")

// RoundTrip implements http.RoundTripper.
func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) { return nil, errNoNetwork }

func (c merchantVerifyCmd) Run(a *app) error {
	data, err := readBounded(c.File, evidence.MaxFile)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(a.home, "till.db")); err != nil {
		return fmt.Errorf("%s: %w", a.home, merchant.ErrNoTill)
	}
	t, err := merchant.Open(a.ctx, filepath.Join(a.home, "till.db"), merchant.Options{Now: a.now, HTTP: &http.Client{Transport: noNetwork{}}})
	if err != nil {
		return err
	}
	defer func() { _ = t.Close() }()
	kind, list, good := "papers", []merchant.Claim(nil), false
	if f, perr := evidence.Parse(data); perr == nil {
		report := t.VerifyPapers(f)
		for _, x := range report.Claims {
			list = append(list, merchant.Claim{Claim: x})
		}
		good = !report.Failed()
	} else {
		kind = "payment"
		if list, good, err = t.VerifyPayment(a.ctx, data); err != nil {
			return err
		}
	}
	err = a.out.Result(map[string]any{"kind": kind, "good": good, "claims": list}, func(w io.Writer) {
		for _, x := range list {
			fmt.Fprintf(w, "%s %s %s %s\n", x.Name, x.Status, x.Code, cli.OneLine(x.Says))
		}
	})
	if err == nil && !good {
		err = errNotGood
	}
	return err
}
