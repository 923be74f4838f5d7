package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"github.com/speciecash/specie/issuer"
)

// supervised are the operator's routes that the scope "supervise" is enough
// for: cases and traces, and the books, which say what amounts are in.
func supervised() []string {
	return []string{
		"GET /admin/v1/cases", "GET /admin/v1/cases/:id",
		"GET /admin/v1/trace", "POST /admin/v1/trace", "GET /admin/v1/books",
	}
}

// issuerStaffRoutes is what the bank's staff can reach from elsewhere: the
// operator's routes, each for a token of staff.
func issuerStaffRoutes(bank *issuer.Bank) routes {
	table := issuerAdminRoutes()
	for path, r := range table {
		r.guard = staffGuard(bank, issuer.ScopeOperate)
		if slices.Contains(supervised(), path) {
			r.guard = staffGuard(bank, issuer.ScopeSupervise)
		}
		if path == "GET /admin/v1/figures" { // a screen on the wall needs no more
			r.guard = either(staffGuard(bank, issuer.ScopeObserve), r.guard)
		}
		table[path] = r
	}
	return table
}

// either lets pass whom one of two guards does. The refusal is the second's.
func either(a, b guard) guard {
	return func(ctx context.Context, token string) (context.Context, error) {
		if passed, err := a(ctx, token); err == nil {
			return passed, nil
		}
		return b(ctx, token)
	}
}

// staffGuard lets staff pass that may do what is of that scope and is not
// suspended.
func staffGuard(bank *issuer.Bank, s issuer.Scope) guard {
	account := accountGuard(bank, s)
	return func(ctx context.Context, token string) (context.Context, error) {
		ctx, err := account(ctx, token)
		if err != nil {
			return nil, err
		}
		if a, err := caller(ctx); err != nil || a.Suspended {
			return nil, errors.Join(err, issuer.ErrSuspended)
		}
		return ctx, nil
	}
}

// StaffTLS names the files, in PEM, by which a listener for staff is known and
// knows them. They are read at each connection, so that a certificate is renewed
// by replacing its file.
type StaffTLS struct {
	Certificate, Key string // the listener's chain, leaf first, and its key
	ClientCA         string // who certifies staff
}

// ListenStaff listens on an address for connections over TLS 1.3 whose client
// has a certificate under ClientCA. Who has one still needs a token: the
// certificate keeps strangers away from the interface, the token says who acts.
func ListenStaff(address string, files StaffTLS) (net.Listener, error) {
	if _, err := files.config(); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion:         tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return files.config() },
	}), nil
}

func (f *StaffTLS) config() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fmt.Errorf("server: admin certificate: %w", err)
	}
	ca, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("server: client authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("server: %s: no certificate in it", f.ClientCA)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair},
		ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		// No tickets: each connection shows its certificate to the files as they are.
		SessionTicketsDisabled: true,
	}, nil
}
