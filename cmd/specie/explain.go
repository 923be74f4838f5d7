package main

import (
	"errors"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/sqlitefile"
	"github.com/speciecash/specie/wallet"
)

// explain gives the hint and the exit status of an error.
func explain(err error) (hint string, code int) {
	var p *client.Problem
	var r *merchant.Refusal
	switch {
	case errors.Is(err, wallet.ErrNoPurse):
		return `make one with "specie init"`, cli.ExitFailed
	case errors.Is(err, wallet.ErrNotEnrolled):
		return `register this machine's TPM with "specie enroll"`, cli.ExitFailed
	case errors.Is(err, wallet.ErrNoTPM):
		return "name the TPM with --tpm", cli.ExitFailed
	case errors.Is(err, wallet.ErrWrongTPM):
		return "pay on the machine that withdrew these coins", cli.ExitFailed
	case errors.Is(err, wallet.ErrFunds):
		return `draw more with "specie withdraw"`, cli.ExitFailed
	case errors.Is(err, merchant.ErrNoTill):
		return `make one with "specie merchant init"`, cli.ExitFailed
	case errors.Is(err, sqlitefile.ErrBusy):
		return "wait until the other specie has finished", cli.ExitFailed
	case errors.As(err, &p) && p.Final():
		return "", cli.ExitFailed
	case errors.As(err, &p):
		return refusalHint(p)
	case errors.As(err, &r) && r.Code != "unavailable":
		return "", cli.ExitFailed
	case errors.As(err, &r), errors.Is(err, client.ErrAnswer), isNetwork(err):
		return `the outcome is open; nothing is lost: run "specie resume"`, cli.ExitOpen
	}
	return "", cli.ExitFailed
}

func refusalHint(p *client.Problem) (string, int) {
	switch p.Code {
	case "unauthorized":
		return `store the account's token with "specie login"`, cli.ExitFailed
	case "forbidden", "not-found":
		return "", cli.ExitFailed
	}
	return `the outcome is open; nothing is lost: run "specie resume"`, cli.ExitOpen
}

// isNetwork says that a request may or may not have arrived.
func isNetwork(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t)
}
