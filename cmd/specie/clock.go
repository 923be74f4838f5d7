package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/trust"
)

// explainBy is explain, but where papers look expired or not valid yet and the
// servers' clocks say why, that is the hint. The exit status stays what it is.
func explainBy(clock *client.Clock, now func() time.Time, err error) (hint string, code int) {
	hint, code = explain(err)
	if !timely(err) {
		return hint, code
	}
	var certificate x509.CertificateInvalidError
	if skew, off := clock.Off(); off {
		return fmt.Sprintf("%v: set it, and run the command again", skew), code
	} else if errors.As(err, &certificate) {
		// There was no answer that could tell the time.
		return fmt.Sprintf("is this machine's clock right? It shows %s; if it is, the server's certificate has to be renewed", cli.When(now())), code
	}
	return hint, code
}

// timely says whether an error is one that a wrong clock makes.
func timely(err error) bool {
	for _, e := range []error{
		trust.ErrExpired, coin.ErrFuture, coin.ErrKeyNotYet, coin.ErrKeyExpired, coin.ErrOfferExpired, coin.ErrDate, coin.ErrTooEarly, groupdoc.ErrEpoch,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	var certificate x509.CertificateInvalidError
	if errors.As(err, &certificate) && certificate.Reason == x509.Expired {
		return true
	}
	code := ""
	var p *client.Problem
	var r *merchant.Refusal
	if errors.As(err, &p) {
		code = p.Code
	} else if errors.As(err, &r) {
		code = r.Code
	}
	switch code {
	case "wrong-date", "epoch", "key-expired", "key-not-yet", "offer-expired", "expired", "too-early":
		return true
	}
	return false
}
