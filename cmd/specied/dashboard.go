package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/dashboard"
	"github.com/speciecash/specie/gate"
	"github.com/speciecash/specie/server"
)

type dashboardCmd struct {
	officeFlags

	Listen         string   `help:"Address that the page is served at; any but a loopback address needs a certificate." default:"127.0.0.1:9090" placeholder:"ADDRESS"`
	TLSCertificate string   `help:"The page's own certificate (PEM)." name:"tls-certificate" type:"existingfile" placeholder:"FILE"`
	TLSKey         string   `help:"Its key (PEM), if it is not in the same file." name:"tls-key" type:"existingfile" placeholder:"FILE"`
	Host           []string `help:"Another name that the page answers to, without a port." placeholder:"HOST"`
	SignerMetrics  string   `help:"Where the signer's metrics are, to show its token's sessions; without it the issuer is asked, if it holds the token itself." placeholder:"URL"`
}

func (dashboardCmd) Help() string {
	return `Serves a page, to look at and nothing else: circulation, denominations, what moves,
how token and database are, and what wants a person. It prints the page's address
with an access code, new at each start.

From another machine a token of the scope "observe" is enough.

Example:
  specied dashboard --socket issuer.sock`
}

// Run serves the page until told to stop.
func (c dashboardCmd) Run(a *app) error {
	page, err := c.open(a)
	if err != nil {
		return err
	}
	err = a.out.Result(page.where(), func(w io.Writer) {
		fmt.Fprintf(w, "Open %s\nor %s and type the code %s\n", page.link(), page.url, page.gate.Code())
	})
	if err != nil {
		return errors.Join(err, page.listener.Close())
	}
	return page.serve(a.ctx, a)
}

// boardPage is a dashboard that listens.
type boardPage struct {
	listener net.Listener
	url      string
	gate     *gate.Gate
	handler  http.Handler
}

func (p *boardPage) link() string { return p.gate.Link(p.url) }

func (p *boardPage) where() map[string]string {
	return map[string]string{"url": p.url, "code": p.gate.Code(), "link": p.link()}
}

func (p *boardPage) serve(ctx context.Context, a *app) error {
	return server.Serve(ctx, a.log, server.Endpoint{Listener: p.listener, Handler: p.handler})
}

// open makes the page and its listener.
func (c *dashboardCmd) open(a *app) (*boardPage, error) {
	bank, err := c.api()
	if err != nil {
		return nil, err
	}
	l, err := c.listen()
	if err != nil {
		return nil, err
	}
	g := gate.New(gate.Config{Cookie: gate.CookieAt("specie-dashboard", l.Addr()), Hosts: gate.HostsOf(l.Addr(), c.Host...), Secure: c.TLSCertificate != ""})
	board, err := dashboard.New(dashboard.Config{Bank: bank, Token: c.tokenMetrics(), Gate: g, Socket: c.Socket, Logger: a.log})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	scheme, host := "http://", l.Addr().String()
	if c.TLSCertificate != "" {
		scheme = "https://"
	}
	if len(c.Host) > 0 {
		_, port, _ := net.SplitHostPort(host)
		host = net.JoinHostPort(c.Host[0], port)
	}
	return &boardPage{listener: l, url: scheme + host + "/", gate: g, handler: board.Handler()}, nil
}

// listen opens the page's address. What leaves the machine is a bank's figures
// and the code to see them: never without TLS.
func (c *dashboardCmd) listen() (net.Listener, error) {
	if c.TLSCertificate == "" {
		if c.TLSKey != "" {
			return nil, cli.Usage(errors.New("--tls-key goes with --tls-certificate"))
		}
		address, err := net.ResolveTCPAddr("tcp", c.Listen)
		if err != nil {
			return nil, cli.Usage(fmt.Errorf("--listen: %w", err))
		}
		if !address.IP.IsLoopback() {
			return nil, cli.Usage(fmt.Errorf("--listen %s is not this machine alone: give --tls-certificate, or use 127.0.0.1", c.Listen))
		}
		return net.ListenTCP("tcp", address)
	}
	pair, err := tls.LoadX509KeyPair(c.TLSCertificate, cmp.Or(c.TLSKey, c.TLSCertificate))
	if err != nil {
		return nil, fmt.Errorf("--tls-certificate: %w", err)
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}), nil
}

// tokenMetrics reads what the process that holds the token says of it.
func (c *dashboardCmd) tokenMetrics() func(context.Context) ([]byte, error) {
	hc, url := &http.Client{}, c.SignerMetrics
	switch {
	case url != "" && !strings.Contains(strings.TrimPrefix(strings.TrimPrefix(url, "http://"), "https://"), "/"):
		url += "/metrics"
	case url == "" && c.Socket != "":
		hc, url = onSocket(c.Socket), "http://operator/metrics"
	case url == "":
		return nil
	}
	return func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		resp, err := hc.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: status %d", url, resp.StatusCode)
		}
		return io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	}
}

// freeOr is an address, or one with a free port if that is taken.
func freeOr(address string) string {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		host, _, _ := net.SplitHostPort(address)
		return net.JoinHostPort(host, "0")
	}
	if err == nil {
		_ = l.Close()
	}
	return address
}
