package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/server"
	"github.com/speciecash/specie/signer"
	"github.com/speciecash/specie/signer/hsmtoken"
)

// defaultSessions is how many operations a token does at a time if its
// configuration does not say.
const defaultSessions = 8

// tokens are open tokens and the modules they are reached through.
type tokens struct {
	open    []openToken
	modules map[string]*hsm.Module // by path
}

type openToken struct {
	token    *hsm.Token
	sessions int
}

// parse checks what can be checked without a token.
func (c *tokenConfig) parse() (*hsm.URI, error) {
	u, err := hsm.ParseURI(c.URI)
	switch {
	case err != nil:
		return nil, err
	case u.Object != "" || len(u.ID) > 0 || u.Type != "":
		return nil, fmt.Errorf("%w: uri: names a key; a daemon opens the token and finds the keys", errConfig)
	case u.ModulePath == "":
		return nil, fmt.Errorf("%w: uri: names no module (module-path)", errConfig)
	}
	return u, nil
}

// openTokens opens the tokens, tokens of one library through one module, and
// asks for a PIN on the terminal where the URI says nothing of it. From here
// on this process's memory holds PINs.
func (b base) openTokens(ctx context.Context, configs []tokenConfig, a *app) (_ *tokens, err error) {
	if err := hsm.HideMemory(); err != nil {
		return nil, err
	}
	t := &tokens{modules: make(map[string]*hsm.Module)}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close())
		}
	}()
	for _, c := range configs {
		u, err := c.parse()
		if err != nil {
			return nil, err
		}
		m, ok := t.modules[u.ModulePath]
		if !ok {
			if m, err = hsm.OpenModule(u.ModulePath); err != nil {
				return nil, err
			}
			t.modules[u.ModulePath] = m
		}
		if err := t.add(ctx, m, u, c, b, a); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *tokens) add(ctx context.Context, m *hsm.Module, u *hsm.URI, c tokenConfig, b base, a *app) error {
	pin, err := u.ReadPIN(string(b), a.askPIN)
	if err != nil {
		return err
	}
	defer pin.Destroy()
	cfg := u.Config(pin)
	if cfg.Sessions = c.Sessions; cfg.Sessions == 0 {
		cfg.Sessions = defaultSessions
	}
	cfg.Absent, cfg.Logger = c.Absent, a.log
	token, err := m.Token(ctx, cfg)
	if err != nil {
		return err
	}
	t.open = append(t.open, openToken{token, cfg.Sessions})
	return nil
}

// askPIN asks whoever sits at the terminal.
func (a *app) askPIN(prompt string) (hsm.PIN, error) {
	secret, err := a.out.AskSecret(prompt)
	if err != nil {
		return hsm.PIN{}, err
	}
	defer clear(secret)
	return hsm.NewPIN(secret)
}

// close closes all tokens and unloads all modules: some crash the process in
// their destructors if they are not.
func (t *tokens) close() error {
	var errs []error
	for _, m := range t.modules {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

// served are the tokens as a signer serves them.
func (t *tokens) served() []signer.Token {
	var out []signer.Token
	for _, o := range t.open {
		out = append(out, hsmtoken.New(o.token, o.sessions))
	}
	return out
}

// metrics count what the tokens do.
func (t *tokens) metrics() []prometheus.Collector {
	var out []prometheus.Collector
	for _, o := range t.open {
		out = append(out, server.NewHSMMetrics(o.token.Info(), o.token.Stats))
	}
	return out
}
