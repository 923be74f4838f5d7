package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/sqlitefile"
	"github.com/speciecash/specie/trust"
)

// troubles are advices about what surrounds the program: addresses, papers that
// are somebody else's, and disks.
func troubles() []advice {
	foreign := "is the address right, and the root certificate the one that this bank or manager is under? --root names it when a purse or a till is made"
	return []advice{
		{client.ErrAddress, "say https://…: tokens and coins are never sent in the open", cli.ExitFailed},
		{trust.ErrChain, foreign, cli.ExitFailed},
		{trust.ErrSignature, foreign, cli.ExitFailed},
		{trust.ErrRole, foreign, cli.ExitFailed},
		{trust.ErrExpired, "is this machine's clock right? If it is, the bank or the manager must renew the certificate: tell him", cli.ExitFailed},
		{coin.ErrFuture, "is this machine's clock right? If it is, the bank's is not: tell it", cli.ExitFailed},
		{client.ErrAnswer, "is the address that of a bank or a group manager, without a path?", cli.ExitFailed},
		{sqlitefile.ErrReadOnly, "make the disk and the directory writable for you; nothing was changed", cli.ExitFailed},
		{syscall.EADDRINUSE, "another program has that address, a second till perhaps: end it, or name others with --listen and --desk", cli.ExitFailed},
		{syscall.EROFS, "make the disk writable, or name another place with --home", cli.ExitFailed},
		{fs.ErrPermission, "whose are the file and its directory? They must be yours", cli.ExitFailed},
	}
}

// amountOf reads an amount of a bank's currency as a person types it. What is
// none is wrong usage.
func amountOf(text string, exponent int) (coin.Amount, error) {
	amount, err := coin.ParseAmount(text, exponent)
	switch {
	case errors.Is(err, coin.ErrOverflow):
		return 0, cli.Usage(fmt.Errorf("%q is more than there is: %s at most", text, coin.MaxAmount.Format(exponent)))
	case err != nil:
		return 0, cli.Usage(fmt.Errorf("%q is no amount: write it like %s", text, coin.Amount(1234).Format(exponent)))
	case amount == 0:
		return 0, cli.Usage(fmt.Errorf("%q is no amount: it is nothing", text))
	}
	return amount, nil
}

// errNoToken: a file with something else than an access token.
var errNoToken = errors.New("this is no access token: one is a single word, as the bank's operator gave it out")

// readToken reads an access token (RFC 6750, section 2.1) from a file that nobody
// else can read.
func readToken(path string) (string, error) {
	token, err := cli.ReadSecretFile(path)
	if err != nil {
		return "", err
	}
	const marks = "-._~+/="
	other := func(r rune) bool {
		return !('0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || strings.ContainsRune(marks, r))
	}
	if token == "" || len(token) > 512 || strings.ContainsFunc(token, other) {
		return "", fmt.Errorf("%s: %w", path, errNoToken)
	}
	return token, nil
}
