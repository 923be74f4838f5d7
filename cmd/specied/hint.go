package main

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"syscall"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/signer"
	"github.com/speciecash/specie/trust"
)

// dialled says whether the error is one of reaching a daemon.
func dialled(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && (errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED))
}

// hint is what an operator can do about an error: the first that matches counts.
func hint(err error) string {
	for _, h := range []struct {
		is   error
		text string
	}{
		{errWorker, "what it said of that stands above"},
		{hsm.ErrPIN, "find out why before you try again: a token locks itself after a few wrong PINs"},
		{signer.ErrForbidden, "name this process's user under allow in the signer's configuration"},
		{signer.ErrImpostor, "if it is the signer's own user, name it as signer_user in this daemon's configuration"},
		{signer.ErrUnavailable, `does "specied signer" run, and is "signer" in this daemon's configuration its socket?`},
		{ledger.ErrCorrupt, "keep the damaged database, and restore it from a backup: docs/restoring.md"},
		{ledger.ErrSchema, "it is of a newer version, or of something else: is it the right one?"},
		{ledger.ErrUnavailable, "see whether the disk has room and the directory is there and yours; of PostgreSQL, whether the server runs"},
	} {
		if errors.Is(err, h.is) {
			return h.text
		}
	}
	if dialled(err) {
		return "is the daemon running, and is this its --socket?"
	}
	if errors.As(err, new(x509.UnknownAuthorityError)) {
		return "name who certifies the bank's address with --server-ca"
	}
	for _, h := range []struct {
		is   error
		text string
	}{
		{errConfig, "docs/operator.md and docs/group-manager.md show each key of the configurations"},
		{errLeaked, "if the ledger was restored since, read docs/restoring.md first: what the backup lacked looks the same"},
		{errDrafted, "without --write it is checked; to have it drafted anew, move it away"},
		{issuer.ErrFenced, `read docs/restoring.md, then "specied reconcile begin"`},
		{fs.ErrExist, "nothing is written over: name a file that is not there"},
		{hsm.ErrTokenNotFound, "is it there, and for SoftHSM, is SOFTHSM2_CONF set?"},
		{hsm.ErrModule, "is module-path the PKCS#11 library of the token's maker? Of SoftHSM, is SOFTHSM2_CONF set?"},
		{trust.ErrExpired, "is this machine's clock right? If it is, certify that key again: docs/ceremonies.md"},
		{coin.ErrFuture, "is this machine's clock right?"},
		{syscall.EADDRINUSE, "another program has that address, or this daemon runs already: end it, or name another in the configuration"},
		{syscall.ENOSPC, "make room, and start it again: what was recorded is whole"},
		{syscall.EACCES, "the socket belongs to the daemon's user"},
		{fs.ErrNotExist, "is the path right, and its disk mounted?"},
	} {
		if errors.Is(err, h.is) {
			return h.text
		}
	}
	return ""
}
