package main

import (
	"errors"
	"fmt"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/groupclient"
)

var errNotConfirmed = errors.New("not confirmed; nothing was done")

// consent shows whom a command is about to put out and what that means, and
// asks. Without a terminal only yes, from the command line, is a yes.
func (a *app) consent(api *groupclient.ClientWithResponses, id, meaning, question string, yes bool) error {
	r, err := api.GetMemberWithResponse(a.ctx, id)
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return client.ReadProblem(r.HTTPResponse, r.Body)
	}
	m := r.JSON200
	a.out.Note("%s: %s, %s", m.Id, or(m.Name, "no name"), m.State)
	a.out.Note("%s", meaning)
	if yes {
		return nil
	}
	ok, err := a.out.Confirm(fmt.Sprintf("%s %s, %s?", question, or(m.Name, "no name"), m.Id))
	if err != nil {
		return fmt.Errorf("%w %s (--yes is an answer too)", err, meaning)
	}
	if !ok {
		return errNotConfirmed
	}
	return nil
}
