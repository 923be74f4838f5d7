package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/opening"
)

// A case's id is 32 bytes in base64url. It may be given by its beginning.
const (
	caseIDLength = 43
	minCaseID    = 6
)

var errWhichCase = errors.New("not one case")

type caseCmd struct {
	officeFlags
	ID  string `arg:"" optional:"" help:"Case to write, by its id or the beginning of it, 6 characters at least; without it the cases are listed."`
	Out string `help:"File to write the case to." type:"path" placeholder:"FILE"`
}

func (caseCmd) Help() string {
	return `The subject that is printed is the case's digest: what a warrant to open it has as
its subject.

Examples:
  specied case --socket issuer.sock
  specied case --socket issuer.sock --out case.json ID`
}

func (c caseCmd) Run(a *app) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	if c.ID == "" {
		return c.list(a, api)
	}
	id, err := findCase(a.ctx, api, c.ID)
	if err != nil {
		return err
	}
	r, err := api.GetCaseWithResponse(a.ctx, id)
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return client.ReadProblem(r.HTTPResponse, r.Body)
	}
	file, err := opening.ParseCase(r.Body)
	if err != nil {
		return err
	}
	if c.Out == "" {
		a.out.Note("subject of a warrant to open it: %s", file.Subject())
		return a.out.Result(json.RawMessage(r.Body), func(w io.Writer) { fmt.Fprintf(w, "%s\n", r.Body) })
	}
	if err := writeNew(c.Out, r.Body); err != nil {
		return err
	}
	return a.out.Result(map[string]string{"case": id, "file": c.Out, "subject": string(file.Subject())}, func(w io.Writer) {
		fmt.Fprintf(w, "%s\nsubject of a warrant to open it: %s\n", c.Out, file.Subject())
	})
}

// findCase returns the id that begins so. A whole id is not looked up.
func findCase(ctx context.Context, api *issuerclient.ClientWithResponses, beginning string) (string, error) {
	if len(beginning) >= caseIDLength {
		return beginning, nil
	}
	if len(beginning) < minCaseID {
		return "", fmt.Errorf("%w: give at least %d characters of its id", errWhichCase, minCaseID)
	}
	all, err := fetchCases(ctx, api)
	if err != nil {
		return "", err
	}
	found := ""
	for _, x := range all.Cases {
		if !strings.HasPrefix(x.Id, beginning) {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("%w: the ids of several cases begin with %q: give more of it", errWhichCase, beginning)
		}
		found = x.Id
	}
	if found == "" {
		return "", fmt.Errorf("%w: no case's id begins with %q; without an id the cases are listed", errWhichCase, beginning)
	}
	return found, nil
}

// fetchCases returns all cases, newest first.
func fetchCases(ctx context.Context, api *issuerclient.ClientWithResponses) (*issuerclient.Cases, error) {
	all := &issuerclient.Cases{Cases: []issuerclient.CaseHead{}}
	var next *string
	for {
		r, err := api.GetCasesWithResponse(ctx, &issuerclient.GetCasesParams{After: next})
		if err != nil {
			return nil, err
		}
		if r.JSON200 == nil {
			return nil, client.ReadProblem(r.HTTPResponse, r.Body)
		}
		all.Cases = append(all.Cases, r.JSON200.Cases...)
		if next = r.JSON200.Next; next == nil {
			return all, nil
		}
	}
}

func (c caseCmd) list(a *app, api *issuerclient.ClientWithResponses) error {
	all, err := fetchCases(a.ctx, api)
	if err != nil {
		return err
	}
	return a.out.Result(all, func(w io.Writer) {
		rows := make([][]string, len(all.Cases))
		for i, x := range all.Cases {
			rows[i] = []string{cli.When(x.At), x.Id}
		}
		cli.Table(w, []string{"WHEN", "CASE"}, rows)
	})
}
