package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/gate"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/merchant/desk"
	"github.com/speciecash/specie/qr"
)

type merchantServeCmd struct {
	Listen      string   `help:"Address for payers." default:"127.0.0.1:8090" placeholder:"ADDRESS"`
	Desk        string   `help:"Address for the merchant's own page and web shop; \"\" for none." default:"127.0.0.1:8091" placeholder:"ADDRESS"`
	DeskInClear bool     `help:"Let other machines reach the page without https: only in a network of its own, as containers have."`
	DeskHost    []string `help:"Another name that the page is reached under." placeholder:"NAME"`
	DeskLink    string   `help:"Write the page's link, with its access code, to this file (mode 0600) and print none." type:"path" placeholder:"FILE"`
	To          string   `help:"Address that payment links carry, if payers reach the till under another one than it listens on: ends in /pay." placeholder:"URL"`
	TLSCert     string   `name:"tls-cert" help:"Certificate chain (PEM) for both addresses." type:"existingfile" placeholder:"FILE"`
	TLSKey      string   `name:"tls-key" help:"Its key (PEM)." type:"existingfile" placeholder:"FILE"`
	Ready       string   `help:"Write the payers' address to this file once it is open." hidden:"" type:"path"`
}

func (merchantServeCmd) Help() string {
	return `Payers post to /pay at --listen. At --desk is your own page: amounts, the code for payers to scan, sales as they go
on, receipts, refunds and the day's takings. Its link is printed with an access code, which is new each time; a web shop
uses a key instead ("specie merchant key new").
Payers on other machines need https, and so do browsers and shops at --desk: give a certificate, or put a proxy with one before the till and say --to. A
certificate that is renewed on the disk is used from the next connection on. Where its authority is your own, wallets
on Linux are told with SSL_CERT_FILE=ca.pem.
Meanwhile the till takes up what is open and deposits what it kept. Stop with Ctrl-C.

Example:
  specie merchant serve
  specie merchant serve --listen 0.0.0.0:8090 --to https://till.example/pay`
}

var (
	errTLSPair = errors.New("--tls-cert and --tls-key go together")
	// errPayersAddress: no payer could be given the address.
	errPayersAddress = errors.New("payers can't be sent to that address")
	// errDeskInClear: the access code and keys would pass a network in clear.
	errDeskInClear = errors.New("the desk's address can be reached from other machines, and has no https")
)

func (c merchantServeCmd) Run(a *app) error {
	log := slog.New(slog.NewTextHandler(a.out.Stderr, nil))
	secure, err := c.certificate(log)
	if err != nil {
		return err
	}
	return a.withTill(func(t *merchant.Till) (err error) {
		if !t.HasToken() {
			a.out.Note("this till has no account yet, and can deposit nothing: give what \"specie merchant request\" prints to the bank, then \"specie merchant login\", and open the till again")
		}
		s := &tillServer{t: t, log: log, tls: secure, done: make(chan error, 2)}
		defer func() { err = errors.Join(err, s.close()) }()
		payers, err := net.Listen("tcp", c.Listen)
		if err != nil {
			return err
		}
		s.serve(payers, t.Handler(log), nil)
		log.Info("till open", "address", payers.Addr().String())
		if c.Desk != "" {
			if err := c.openDesk(a, s, payers.Addr()); err != nil {
				return err
			}
		}
		if c.Ready != "" {
			if err := os.WriteFile(c.Ready, []byte(payers.Addr().String()), 0o600); err != nil {
				return err
			}
		}
		return s.run(a.ctx)
	})
}

// certificate is what https is served with, nil for http.
func (c merchantServeCmd) certificate(log *slog.Logger) (*tls.Config, error) {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return nil, cli.Usage(errTLSPair)
	}
	if c.TLSCert == "" {
		return nil, nil
	}
	r := &renewed{cert: c.TLSCert, key: c.TLSKey, log: log}
	if err := r.load(); err != nil {
		return nil, err
	}
	return &tls.Config{GetCertificate: r.get, MinVersion: tls.VersionTLS12}, nil
}

// payersAddress is what payment links carry.
func (c merchantServeCmd) payersAddress(listen net.Addr) (string, error) {
	to := c.To
	if to == "" {
		scheme := "http"
		if c.TLSCert != "" {
			scheme = "https"
		}
		host, _, err := net.SplitHostPort(listen.String())
		if ip := net.ParseIP(host); err != nil || ip == nil || ip.IsUnspecified() {
			return "", fmt.Errorf("%w: %s is every address of this machine", errPayersAddress, listen)
		}
		to = (&url.URL{Scheme: scheme, Host: listen.String(), Path: "/pay"}).String()
	}
	if err := merchant.CheckTo(to); err != nil {
		return "", fmt.Errorf("%w: %s: %w", errPayersAddress, to, err)
	}
	return to, nil
}

// openDesk opens the merchant's page and says where it is.
func (c merchantServeCmd) openDesk(a *app, s *tillServer, payers net.Addr) error {
	to, err := c.payersAddress(payers)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", c.Desk)
	if err != nil {
		return err
	}
	if at, ok := ln.Addr().(*net.TCPAddr); s.tls == nil && !c.DeskInClear && (!ok || !at.IP.IsLoopback()) {
		return errors.Join(fmt.Errorf("%w: %s", errDeskInClear, ln.Addr()), ln.Close())
	}
	door := gate.New(gate.Config{Cookie: gate.CookieAt(desk.Cookie(s.tls != nil), ln.Addr()), Hosts: gate.HostsOf(ln.Addr(), c.DeskHost...), Secure: s.tls != nil, Clock: a.now})
	d, err := desk.New(desk.Config{Till: s.t, To: to, Gate: door, Now: a.now, Log: s.log})
	if err != nil {
		return err
	}
	s.serve(ln, d.Handler(), d.Close)
	link := door.Link(deskAddress(ln.Addr(), c.DeskHost, s.tls != nil))
	if c.DeskLink != "" {
		return writeOver(c.DeskLink, []byte(link+"\n"))
	}
	return a.out.Result(map[string]string{"pay": to, "desk": link, "code": door.Code()}, func(w io.Writer) {
		fmt.Fprintf(w, "the till's page: %s\naccess code: %s\n", link, door.Code())
		if host, _, err := net.SplitHostPort(ln.Addr().String()); err == nil && !net.ParseIP(host).IsLoopback() {
			_ = qr.Terminal(w, link) // for a telephone; the link stands above
		}
	})
}

// deskAddress is where a browser finds the page.
func deskAddress(at net.Addr, names []string, secure bool) string {
	host, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return at.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
		if addresses, err := net.InterfaceAddrs(); err == nil {
			for _, x := range addresses {
				if n, ok := x.(*net.IPNet); ok && n.IP.IsPrivate() {
					host = n.IP.String()
				}
			}
		}
	}
	if len(names) > 0 {
		host = names[0]
	}
	scheme := "http"
	if secure {
		scheme = "https"
	}
	return (&url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port), Path: "/"}).String()
}

// writeOver writes a file that only its owner reads, in place of one of before.
func writeOver(path string, data []byte) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return writeNew(path, data)
}

// tillServer serves a till at its addresses until it is told to stop.
type tillServer struct {
	t       *merchant.Till
	log     *slog.Logger
	tls     *tls.Config
	servers []*http.Server
	done    chan error
	running sync.WaitGroup
}

// serve answers at an address; stopping is called when it is to end.
func (s *tillServer) serve(ln net.Listener, h http.Handler, stopping func()) {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 2 * time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelInfo),
	}
	if stopping != nil {
		srv.RegisterOnShutdown(stopping)
	}
	s.servers = append(s.servers, srv)
	s.running.Go(func() {
		if s.tls == nil {
			s.done <- srv.Serve(ln)
			return
		}
		srv.TLSConfig = s.tls.Clone()
		s.done <- srv.ServeTLS(ln, "", "") // with HTTP/2
	})
}

// run minds the till until ctx ends or an address fails.
func (s *tillServer) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.running.Go(func() { mind(ctx, s.t, s.log) })
	s.running.Go(func() { s.t.RefreshWhile(ctx) })
	s.running.Go(func() { s.t.DeliverWhile(ctx, s.log) })
	select {
	case err := <-s.done:
		return err
	case <-ctx.Done():
		return nil
	}
}

// close lets what runs come to its end; the till is closed after.
func (s *tillServer) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var errs []error
	for _, srv := range s.servers {
		errs = append(errs, srv.Shutdown(ctx))
	}
	s.running.Wait()
	return errors.Join(errs...)
}

const (
	// resumeEvery is how often a till takes up deposits whose outcome is unknown.
	resumeEvery = time.Minute
	// probeEvery is how often it sees whether its bank can be reached.
	probeEvery = 15 * time.Second
)

// mind takes up what is open, now and then and as soon as the bank is back.
func mind(ctx context.Context, t *merchant.Till, log *slog.Logger) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	var resumed time.Time
	for away := true; ; {
		brief, cancel := context.WithTimeout(ctx, probeEvery)
		down := t.Probe(brief, probeEvery) != nil
		cancel()
		if (away && !down) || time.Since(resumed) >= resumeEvery {
			resumed = time.Now()
			takeUp(ctx, t, log)
		}
		away = down
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func takeUp(ctx context.Context, t *merchant.Till, log *slog.Logger) {
	kept, err := t.DepositKept(ctx)
	for _, d := range kept {
		if d.State == merchant.StateRefused {
			log.Error("lost: a payment that was accepted without the bank is refused", "order", d.Order, "amount", int64(d.Amount), "code", d.Code, "why", d.Reason)
		}
	}
	if err = errors.Join(err, t.Resume(ctx)); err != nil && ctx.Err() == nil {
		log.Warn("some deposits are still open", "err", err)
	}
}
