package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/signer"
)

// keys are a daemon's private keys, wherever they are.
type keys struct {
	blind   issuer.BlindSigner
	where   string // for the log
	metrics []prometheus.Collector
	// signing finds the ECDSA key that belongs to a public key.
	signing func(ctx context.Context, public crypto.PublicKey) (crypto.Signer, error)
	// opener finds an AES key by its label.
	opener func(ctx context.Context, label string) (ceremony.Opener, error)
	close  func() error
}

// keys opens what a configuration names. It waits for nothing: a signer that
// is not there yet shows at the first use.
func (b base) keys(ctx context.Context, c keysConfig, a *app) (*keys, error) {
	switch {
	case c.SignerUser != "" && c.Signer == "":
		return nil, fmt.Errorf("%w: signer_user without signer", errConfig)
	case c.Signer != "" && c.HSM == nil:
		cfg, err := b.client(c)
		if err != nil {
			return nil, err
		}
		cfg.Logger = a.log
		return remoteKeys(signer.NewClient(cfg), cfg.Socket), nil
	case c.Signer == "" && c.HSM != nil:
		t, err := b.openTokens(ctx, []tokenConfig{*c.HSM}, a)
		if err != nil {
			return nil, err
		}
		return localKeys(t), nil
	}
	return nil, fmt.Errorf("%w: give either signer (a socket) or hsm (a token), not both", errConfig)
}

// client says where the signer is and whom to believe there.
func (b base) client(c keysConfig) (signer.ClientConfig, error) {
	cfg := signer.ClientConfig{Socket: b.path(c.Signer)}
	if c.SignerUser == "" {
		return cfg, nil
	}
	id, err := userID(c.SignerUser)
	if err != nil {
		return cfg, fmt.Errorf("signer_user: %w", err)
	}
	cfg.Users = []uint32{id}
	return cfg, nil
}

// remoteKeys are behind a signer's socket: neither module nor PIN is in this
// process.
func remoteKeys(c *signer.Client, socket string) *keys {
	return &keys{
		blind: remoteBlind{c},
		where: "signer at " + socket,
		signing: func(ctx context.Context, public crypto.PublicKey) (crypto.Signer, error) {
			return c.Signer(ctx, public)
		},
		opener: func(_ context.Context, label string) (ceremony.Opener, error) { return c.Box(label), nil },
		close:  c.Close,
	}
}

// remoteBlind gives what ends a call while the signer is away its name in the
// bank's rules: a caller whose time is over gets "repeat the request", like
// one who was told at once.
type remoteBlind struct{ *signer.Client }

func (r remoteBlind) BlindSign(ctx context.Context, kid coin.KeyID, blinded []byte) ([]byte, error) {
	s, err := r.Client.BlindSign(ctx, kid, blinded)
	return s, r.named(err)
}

// BlindSignBatch implements issuer.BatchSigner.
func (r remoteBlind) BlindSignBatch(ctx context.Context, outputs []coin.Output) ([][]byte, error) {
	s, err := r.Client.BlindSignBatch(ctx, outputs)
	return s, r.named(err)
}

func (remoteBlind) named(err error) error {
	if errors.Is(err, signer.ErrUnavailable) {
		return fmt.Errorf("%w: %w", issuer.ErrUnavailable, err)
	}
	return err
}

// localKeys are on one token that this process has opened.
func localKeys(t *tokens) *keys {
	token := t.open[0].token
	return &keys{
		blind:   issuer.NewKeyring(token.RSAKeys, token.BlindSignBatch),
		where:   "token " + token.Info().Label,
		metrics: t.metrics(),
		signing: func(ctx context.Context, public crypto.PublicKey) (crypto.Signer, error) {
			return findSigning(ctx, token, public)
		},
		opener: func(ctx context.Context, label string) (ceremony.Opener, error) { return token.FindAES(ctx, label) },
		close:  t.close,
	}
}

func findSigning(ctx context.Context, token *hsm.Token, public crypto.PublicKey) (crypto.Signer, error) {
	all, err := token.ECDSAKeys(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		if p, ok := k.Public().(*ecdsa.PublicKey); ok && p.Equal(public) {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%w: the token has no key for the certificate", hsm.ErrKeyNotFound)
}
