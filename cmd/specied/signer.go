package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/server"
	"github.com/speciecash/specie/signer"
)

type signerCmd struct {
	Config string `help:"Configuration file (YAML)." required:"" type:"existingfile" placeholder:"FILE"`
	Worker bool   `hidden:"" help:"Be the process that holds the module; started by the signer itself."`
}

func (signerCmd) Help() string {
	return `Holds the PKCS#11 modules and their PINs for a bank or a group manager, whose
daemon names this one's socket as "signer" in its configuration. The module
lives in a second process, which is started again when it ends.

Exit status 4: a token refused the PIN. It is not tried again until somebody
starts the signer anew: a token locks itself after a few wrong ones.

Example:
  specied signer --config signer.yaml`
}

// Run is the parent, or, with --worker, the child.
func (c signerCmd) Run(a *app) error {
	var cfg signerConfig
	dir, err := loadYAML(c.Config, &cfg)
	if err != nil {
		return err
	}
	users, err := cfg.check()
	if err != nil {
		return err
	}
	if c.Worker {
		return cfg.work(a, dir, users)
	}
	return c.parent(a, &cfg, dir)
}

// check refuses what can be seen to be wrong before a token is touched, and
// returns the ids of the users to serve.
func (c *signerConfig) check() (users []uint32, err error) {
	if len(c.Tokens) == 0 || c.Socket == "" {
		return nil, fmt.Errorf("%w: a signer needs tokens and a socket", errConfig)
	}
	for i := range c.Tokens {
		if _, err := c.Tokens[i].parse(); err != nil {
			return nil, err
		}
	}
	for _, name := range c.Allow {
		id, err := userID(name)
		if err != nil {
			return nil, fmt.Errorf("allow: %w", err)
		}
		users = append(users, id)
	}
	return users, nil
}

func userID(name string) (uint32, error) {
	id := name
	if u, err := user.Lookup(name); err == nil {
		id = u.Uid
	}
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: no user %q", errConfig, name)
	}
	return uint32(n), nil
}

// groupID is -1 for no group.
func groupID(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	id := name
	if g, err := user.LookupGroup(name); err == nil {
		id = g.Gid
	}
	n, err := strconv.ParseUint(id, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%w: no group %q", errConfig, name)
	}
	return int(n), nil
}

// parent holds the listening sockets, so that clients wait in the kernel
// while a worker is replaced, and neither a module nor a PIN.
func (c signerCmd) parent(a *app, cfg *signerConfig, dir base) (err error) {
	gid, err := groupID(cfg.Group)
	if err != nil {
		return err
	}
	socket, err := signer.Listen(dir.path(cfg.Socket), gid)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, socket.Remove()) }()
	f, err := socket.File()
	if err != nil {
		return err
	}
	defer f.Close()
	inherit := []*os.File{f}
	if cfg.Metrics != "" {
		m, err := listenFile(cfg.Metrics)
		if err != nil {
			return err
		}
		defer m.Close()
		inherit = append(inherit, m)
	}
	s := newSupervisor([]string{"signer", "--config", c.Config, "--worker"}, inherit, a)
	a.log.Info("signer", "socket", dir.path(cfg.Socket), "tokens", len(cfg.Tokens))
	return s.run(a.ctx)
}

// listenFile is a TCP listener as something to inherit.
func listenFile(address string) (*os.File, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	f, err := l.(*net.TCPListener).File()
	return f, errors.Join(err, l.Close())
}

// work is the worker: it opens the tokens, audits their keys, says that it is
// ready, and serves until its parent ends or wants it to.
func (c *signerConfig) work(a *app, dir base, users []uint32) (err error) {
	// Calls of the module hold a processor each until the runtime takes it
	// back. One more, and the socket is served meanwhile: measured.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.NumCPU() + 1)
	}
	ctx, stop := context.WithCancel(a.ctx)
	defer stop()
	in := inherited()
	go func() {
		_, _ = io.Copy(io.Discard, in.life) // ends with the parent
		stop()
	}()
	socket, err := in.listener(0)
	if err != nil {
		return err
	}
	unix, ok := socket.(*net.UnixListener)
	if !ok {
		return fmt.Errorf("%w: the worker was not started by a signer", errConfig)
	}
	t, err := dir.openTokens(ctx, c.Tokens, a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	srv, err := signer.NewServer(ctx, signer.ServerConfig{Tokens: t.served(), Users: users, Logger: a.log})
	if err != nil {
		return err
	}
	metrics := make(chan error, 1)
	if c.Metrics != "" {
		l, err := in.listener(1)
		if err != nil {
			return err
		}
		h := server.NewSigner(server.SignerOptions{
			Ready: srv.Check, Logger: a.log,
			Metrics: append([]prometheus.Collector{server.NewSignerMetrics(srv.Stats)}, t.metrics()...),
		})
		go func() {
			defer stop() // half a signer is none
			metrics <- server.Serve(ctx, a.log, server.Endpoint{Listener: l, Handler: h})
		}()
	} else {
		metrics <- nil
	}
	if err := in.announce(); err != nil {
		return err
	}
	a.log.Info("serving", "socket", c.Socket, "metrics", cmp.Or(c.Metrics, "none"))
	err = srv.Serve(ctx, unix)
	stop()
	return errors.Join(err, <-metrics)
}
