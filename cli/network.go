package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// plainly is an error's text, in which a request that had no answer reads as a
// person would say it, and not as a call of a library.
func plainly(err error) string {
	text := err.Error()
	var failed *url.Error
	if !errors.As(err, &failed) || errors.Is(err, context.Canceled) {
		return text
	}
	return strings.ReplaceAll(text, failed.Error(), noAnswer(failed))
}

func noAnswer(failed *url.Error) string {
	who := "the server"
	if u, err := url.Parse(failed.URL); err == nil && u.Host != "" {
		who = u.Host
	}
	var op *net.OpError
	if errors.As(failed, &op) && op.Addr != nil && op.Addr.Network() == "unix" {
		who = op.Addr.String()
	}
	why := failed.Err.Error()
	var errno syscall.Errno
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(failed, &certificate):
		return who + " has no certificate that this machine accepts: " + certificate.Err.Error()
	case errors.As(failed, &dns) && dns.IsNotFound:
		why = "there is no such host"
	case failed.Timeout():
		why = "it takes too long"
	case errors.As(failed, &errno):
		why = errno.Error()
	case errors.Is(failed, io.EOF), errors.Is(failed, io.ErrUnexpectedEOF):
		why = "the connection broke"
	}
	return "no answer from " + who + ": " + why
}
