package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/server"
)

type issuerCmd struct {
	Config string `help:"Configuration file (YAML)." required:"" type:"existingfile" placeholder:"FILE"`
}

func (issuerCmd) Help() string { return "Example:\n  specied issuer --config issuer.yaml" }

// Run wires the bank: keyset and certificates from files, keys from a signer
// or a token, the ledger from its database, and serves until told to stop.
func (c issuerCmd) Run(a *app) (err error) {
	var cfg issuerConfig
	dir, err := loadYAML(c.Config, &cfg)
	if err != nil {
		return err
	}
	k, err := dir.keys(a.ctx, cfg.Keys, a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	bc, err := cfg.bank(a, dir, k)
	if err != nil {
		return err
	}
	db, err := dir.openStore(a.ctx, cfg.Store, a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	out, err := newExpelled(bc.Root, expelledDirs(dir, cfg.Groups), a.log)
	if err != nil {
		return err
	}
	bc.Reconciled = func(ctx context.Context) { db.reconciled(ctx, a) }
	bc.Ledger, bc.Groups = db, newGroupSources(bc.Root, cfg.Groups, db, out, a.log)
	bank, err := issuer.New(a.ctx, *bc)
	if err != nil {
		return err
	}
	a.log.Info("keys found", "where", k.where, "denominations", len(bank.Keyset().Denominations), "keyset", bank.Keyset().Seq)
	watch := &keysetWatch{
		bank: bank, keyset: dir.path(cfg.Keyset), chain: dir.path(cfg.SigningChain), log: a.log,
		key: func(ctx context.Context, chain []*x509.Certificate) (crypto.Signer, error) {
			return k.signing(ctx, chain[0].PublicKey)
		},
	}
	ctx, stop := context.WithCancel(a.ctx)
	defer watch.start(ctx)()
	defer startWatch(ctx, out.watch)()
	defer stop()
	rate, err := cfg.Rate.rate()
	if err != nil {
		return err
	}
	h := server.NewIssuer(bank, server.IssuerOptions{Logger: a.log, Root: bc.Root, Groups: cfg.groups(), Metrics: k.metrics, Rate: rate})
	defer h.Stop() // before the ledger is closed
	var more []server.Endpoint
	if cfg.Metrics != "" {
		l, err := net.Listen("tcp", cfg.Metrics)
		if err != nil {
			return err
		}
		more = append(more, server.Endpoint{Listener: l, Handler: h.Metrics})
	}
	if cfg.AdminTLS != nil {
		staff, err := cfg.AdminTLS.endpoint(dir, h)
		if err != nil {
			for _, e := range more {
				err = errors.Join(err, e.Listener.Close())
			}
			return err
		}
		a.log.Info("serving staff over TLS", "address", staff.Listener.Addr().String())
		more = append(more, staff)
	}
	return a.serve(cfg.Listen, h.Public, dir.path(cfg.AdminSocket), h.Admin, more...)
}

// bank reads what the bank is made of, but for its ledger.
func (c *issuerConfig) bank(a *app, dir base, k *keys) (*issuer.Config, error) {
	root, err := dir.root(c.Root)
	if err != nil {
		return nil, err
	}
	keyset, err := dir.read(c.Keyset)
	if err != nil {
		return nil, err
	}
	receipts := issuer.ReceiptSigner{}
	if receipts.Chain, err = dir.chain(c.SigningChain); err != nil {
		return nil, err
	}
	if receipts.Key, err = k.signing(a.ctx, receipts.Chain[0].PublicKey); err != nil {
		return nil, err
	}
	parsed, err := coin.ParseKeyset(root, keyset, time.Now())
	if err != nil {
		return nil, err
	}
	limits, err := c.Limits.limits(parsed.Exponent)
	if err != nil {
		return nil, err
	}
	return &issuer.Config{
		Root: root, Keyset: keyset, Signer: k.blind, Receipts: receipts, Limits: limits, Logger: a.log,
	}, nil
}

// serve serves the world on an address and the operator on a UNIX socket, and
// more besides, until the context ends. It closes all listeners.
func (a *app) serve(listen string, world http.Handler, socket string, operator http.Handler, more ...server.Endpoint) error {
	endpoints := more
	fail := func(err error) error {
		for _, e := range endpoints {
			err = errors.Join(err, e.Listener.Close())
		}
		return err
	}
	public, err := net.Listen("tcp", listen)
	if err != nil {
		return fail(err)
	}
	endpoints = append(endpoints, server.Endpoint{Listener: public, Handler: world})
	admin, err := server.ListenUnix(socket)
	if err != nil {
		return fail(err)
	}
	a.log.Info("serving", "address", public.Addr().String(), "admin", socket)
	return server.Serve(a.ctx, a.log, append(endpoints, server.Endpoint{Listener: admin, Handler: operator})...)
}

// groups is what /v1/info says of the managers.
func (c *issuerConfig) groups() []server.GroupLink {
	var out []server.GroupLink
	for _, g := range c.Groups {
		out = append(out, server.GroupLink{ID: g.ID, URL: g.URL})
	}
	return out
}
