package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/ledger/sqlite"
	"github.com/speciecash/specie/server"
	"github.com/speciecash/specie/trust"
)

type issuerCmd struct {
	Config string `help:"Configuration file (YAML)." required:"" type:"existingfile"`
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
	db, err := sqlite.OpenLedger(a.ctx, dir.path(cfg.Database), sqlite.Options{Logger: a.log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	bc.Ledger = db
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
	wait := watch.start(ctx)
	defer wait()
	defer stop()
	h := server.NewIssuer(bank, server.IssuerOptions{Logger: a.log, Groups: cfg.groups(), Metrics: k.metrics})
	defer h.Stop() // before the ledger is closed
	var more []server.Endpoint
	if cfg.Metrics != "" {
		l, err := net.Listen("tcp", cfg.Metrics)
		if err != nil {
			return err
		}
		more = append(more, server.Endpoint{Listener: l, Handler: h.Metrics})
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
	return &issuer.Config{
		Root: root, Keyset: keyset, Signer: k.blind, Receipts: receipts, Logger: a.log,
		Groups: newGroupSources(root, c.Groups),
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

// groupSources are the group managers whose members' bound coins the bank
// redeems. Documents are fetched when needed and again when an epoch ends.
type groupSources struct {
	root    *trust.Root
	sources []groupSource

	mu    sync.Mutex
	known map[string]*knownGroup // by URL
}

// knownGroup is a manager's document and the verifier made from it.
type knownGroup struct {
	doc      *groupdoc.Document
	fetched  time.Time
	verifier *group.Verifier
	made     time.Time
}

func newGroupSources(root *trust.Root, sources []groupSource) *groupSources {
	return &groupSources{root: root, sources: sources, known: map[string]*knownGroup{}}
}

// documentAge is how long a document is used before the manager is asked for
// a newer one: it may name leaked keys. verifierAge is how long a verifier
// with its prepared pairings is used; it is far below groupdoc.EpochSkew.
const (
	documentAge = time.Minute
	verifierAge = 10 * time.Second
)

// Verifier implements issuer.Groups.
func (g *groupSources) Verifier(ctx context.Context, id [32]byte) (coin.PresentationVerifier, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var last error
	for _, s := range g.sources {
		k, err := g.group(ctx, s)
		if err != nil {
			last = err
			continue
		}
		if k.doc.GroupID() != id {
			continue
		}
		if now := time.Now(); k.verifier == nil || now.Sub(k.made) > verifierAge {
			if k.verifier, err = k.doc.Verifier(now); err != nil {
				return nil, fmt.Errorf("%w: %w", issuer.ErrUnavailable, err)
			}
			k.made = now
		}
		return coin.NewPresentationVerifier(k.verifier), nil
	}
	if last != nil {
		return nil, fmt.Errorf("%w: %w", issuer.ErrUnavailable, last)
	}
	return nil, fmt.Errorf("%w: not a group of this bank", coin.ErrBinding)
}

// group returns what is known of a manager: his fresh document if he answers,
// the one seen last if he doesn't.
func (g *groupSources) group(ctx context.Context, s groupSource) (*knownGroup, error) {
	k := g.known[s.URL]
	now := time.Now()
	if k != nil && now.Sub(k.fetched) < documentAge {
		return k, nil
	}
	jws, err := client.GroupDocument(ctx, client.NewHTTP(5*time.Second), s.URL)
	if err != nil {
		if k == nil {
			return nil, err
		}
		k.fetched = now // ask again in a minute, not at every deposit
		return k, nil
	}
	d, err := groupdoc.Parse(g.root, jws, now)
	if err != nil {
		return nil, err
	}
	if d.ID != s.ID {
		return nil, fmt.Errorf("%w: group manager at %s is %s, not %s", errConfig, s.URL, d.ID, s.ID)
	}
	k = &knownGroup{doc: d, fetched: now}
	g.known[s.URL] = k
	return k, nil
}
