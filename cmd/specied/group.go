package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/groupclient"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/ledger/sqlite"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/server"
)

type groupCmd struct {
	Config         string `help:"Configuration file (YAML)." required:"" type:"existingfile" placeholder:"FILE"`
	AcceptRestored bool   `help:"Start on a database that was restored from a backup; for one start, see docs/group-manager.md."`
	Warrants       string `help:"With --accept-restored: the register of warrants as \"specied warrant save\" wrote it, to put lost ones back." type:"existingfile" placeholder:"FILE"`
}

func (groupCmd) Help() string {
	return "Examples:\n  specied group --config group.yaml\n  specied group --config group.yaml --accept-restored --warrants register.json"
}

// Run wires the group manager: his issuing secret unsealed by a signer or a
// token into this process's memory, his papers from files, his register from its own
// database.
func (c groupCmd) Run(a *app) (err error) {
	var cfg groupConfig
	dir, err := loadYAML(c.Config, &cfg)
	if err != nil {
		return err
	}
	k, err := dir.keys(a.ctx, cfg.Keys, a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	files, err := dir.policyFiles(&cfg)
	if err != nil {
		return err
	}
	watch := &policyWatch{files: files, log: a.log, results: newPolicyResults(), at: files.state()}
	mc, err := c.load(a.ctx, &cfg, dir, k)
	if err != nil {
		return err
	}
	if mc.Policy, err = files.load(); err != nil {
		return err
	}
	db, err := sqlite.OpenRegister(a.ctx, dir.path(cfg.Database), sqlite.Options{Logger: a.log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	last := dir.lastDocument(&cfg)
	mc.Register, mc.Logger, mc.Keeper = db, a.log, last
	if mc.Restored, err = c.restored(); err != nil {
		return err
	}
	manager, err := registration.New(a.ctx, *mc)
	if err != nil {
		return last.explain(err)
	}
	watch.manager = manager
	ctx, stop := context.WithCancel(a.ctx)
	wait := startWatch(ctx, watch.run)
	defer func() { stop(); wait() }()
	h := server.NewGroup(manager, server.GroupOptions{Logger: a.log, Metrics: append(k.metrics, watch.results)})
	more, err := monitoring(cfg.Metrics, h.Metrics)
	if err != nil {
		return err
	}
	return a.serve(cfg.Listen, h.Public, dir.path(cfg.AdminSocket), h.Admin, more...)
}

// monitoring listens for the operator's monitoring, unless the address is
// empty.
func monitoring(address string, h http.Handler) ([]server.Endpoint, error) {
	if address == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return []server.Endpoint{{Listener: l, Handler: h}}, nil
}

// load reads what the manager is made of.
func (c groupCmd) load(ctx context.Context, cfg *groupConfig, dir base, k *keys) (*registration.Config, error) {
	mc := &registration.Config{
		ID:       cfg.ID,
		Schedule: registration.Schedule{Start: cfg.Epoch.Start.UTC(), Length: cfg.Epoch.Length},
	}
	var err error
	if mc.Root, err = dir.root(cfg.Root); err != nil {
		return nil, err
	}
	if mc.Chain, err = dir.chain(cfg.Chain); err != nil {
		return nil, err
	}
	if mc.Signer, err = k.signing(ctx, mc.Chain[0].PublicKey); err != nil {
		return nil, err
	}
	for _, file := range cfg.Supervision {
		jws, err := dir.read(file)
		if err != nil {
			return nil, err
		}
		mc.Supervision = append(mc.Supervision, bytes.TrimSpace(jws))
	}
	secrets, err := c.unseal(ctx, cfg, dir, k)
	if err != nil {
		return nil, err
	}
	mc.Issuer, mc.FormKey = secrets.Issuer, secrets.Form
	mc.Opening, err = openings(mc)
	return mc, err
}

func (c groupCmd) unseal(ctx context.Context, cfg *groupConfig, dir base, k *keys) (*ceremony.GroupSecrets, error) {
	sealed, err := dir.read(cfg.Sealed)
	if err != nil {
		return nil, err
	}
	key, err := k.opener(ctx, cfg.SealKey)
	if err != nil {
		return nil, err
	}
	return ceremony.UnsealGroup(ctx, sealed, key, cfg.ID)
}

// openings lets the manager judge openings of his own group himself, before
// he names anybody.
func openings(mc *registration.Config) (registration.OpeningVerifier, error) {
	s, err := groupdoc.ParseSupervision(mc.Root, mc.Supervision, time.Now())
	if err != nil {
		return nil, err
	}
	p := group.Parameters{Name: mc.ID, W: mc.Issuer.Public(), O: s.Key.O(), O2: s.Key.O2()}
	root, id := mc.Root, p.ID()
	return func(_ context.Context, raw []byte, leaked [][]byte) ([33]byte, warrant.Entry, error) {
		return opening.TagFor(root, id, raw, leaked, time.Now())
	}, nil
}

func groupAdmin(socket string) (*groupclient.ClientWithResponses, error) {
	return groupclient.NewClientWithResponses("http://operator", groupclient.WithHTTPClient(onSocket(socket)))
}

type identifyCmd struct {
	Socket  string `help:"The group manager's admin socket." required:"" type:"path" placeholder:"SOCKET"`
	Opening string `arg:"" help:"What \"specie-ceremony opening combine\" wrote." type:"existingfile"`
	Out     string `help:"Where the signed statement goes; the file must be new." required:"" type:"path" placeholder:"FILE"`
}

func (identifyCmd) Help() string {
	return `The manager verifies the opening himself before he looks the member up, and
that its warrant stands in his register.

Example:
  specied identify opening.json --socket group.sock --out statement.jws`
}

func (c identifyCmd) Run(a *app) error {
	api, err := groupAdmin(c.Socket)
	if err != nil {
		return err
	}
	raw, err := readFile(c.Opening)
	if err != nil {
		return err
	}
	body := append(append([]byte(`{"opening":`), raw...), '}')
	r, err := api.IdentifyWithBodyWithResponse(a.ctx, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	if r.HTTPResponse.StatusCode != http.StatusOK || r.JSON200 == nil {
		return client.ReadProblem(r.HTTPResponse, r.Body)
	}
	if err := writeNew(c.Out, []byte(r.JSON200.Statement)); err != nil {
		return err
	}
	return a.out.Result(map[string]string{"statement": c.Out}, func(w io.Writer) { fmt.Fprintln(w, c.Out) })
}
