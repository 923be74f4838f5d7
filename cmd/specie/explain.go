package main

import (
	"context"
	"errors"
	"net/url"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/sqlitefile"
	"github.com/speciecash/specie/wallet"
)

// advice is what a person can do about an error, and the exit status.
type advice struct {
	err  error
	hint string
	code int
}

// advices in order: the first that matches counts.
func advices() []advice {
	return []advice{
		{wallet.ErrNoPurse, `make one with "specie init"`, cli.ExitFailed},
		{merchant.ErrNoTill, `make one with "specie merchant init"`, cli.ExitFailed},
		{sqlitefile.ErrBusy, "wait until the other specie has finished", cli.ExitFailed},
		{sqlitefile.ErrNewer, "use the newer specie", cli.ExitFailed},
		{wallet.ErrAccount, `the outcome is open: "specie login" with the token of that account, then "specie resume"`, cli.ExitOpen},
		{wallet.ErrOpen, `nothing is lost: run "specie resume"`, cli.ExitOpen},
		{merchant.ErrOpen, `nothing is lost: run "specie merchant resume"`, cli.ExitOpen},
		{wallet.ErrPromised, `find the payment in "specie history" and take its coins back with "specie reclaim ID"`, cli.ExitFailed},
		{wallet.ErrSpent, "whoever has a copy of your purse can do that again: \"specie exchange\" what is left", cli.ExitFailed},
		{wallet.ErrRecoup, `have them made good with "specie recoup"`, cli.ExitFailed},
		{wallet.ErrNotEnrolled, `register this machine's TPM with "specie enroll"`, cli.ExitFailed},
		{wallet.ErrWrongTPM, "pay on the machine that withdrew these coins", cli.ExitFailed},
		{wallet.ErrNoTPM, "name the TPM with --tpm", cli.ExitFailed},
		{wallet.ErrFunds, `draw more with "specie withdraw"`, cli.ExitFailed},
		{coin.ErrOfferExpired, "ask the merchant for a new offer", cli.ExitFailed},
	}
}

// explain gives the hint and the exit status of an error.
func explain(err error) (hint string, code int) {
	var p *client.Problem
	if errors.As(err, &p) && p.Code == "unauthorized" {
		code = cli.ExitFailed
		if errors.Is(err, wallet.ErrOpen) || errors.Is(err, merchant.ErrOpen) {
			code = cli.ExitOpen
		}
		return `store the account's token with "specie login" or "specie merchant login"`, code
	}
	for _, a := range advices() {
		if errors.Is(err, a.err) {
			return a.hint, a.code
		}
	}
	var r *merchant.Refusal
	if errors.As(err, &r) && r.Code == "unavailable" {
		return "nothing was begun; try again", cli.ExitFailed
	}
	var u *url.Error
	if errors.As(err, &u) && !errors.Is(err, context.Canceled) {
		return "nothing was begun; is the address right, and the server running?", cli.ExitFailed
	}
	return "", cli.ExitFailed
}
