package ceremony

import (
	"context"
	"crypto/elliptic"
	"errors"
	"fmt"

	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

// groupPlan makes a group manager's keys.
type groupPlan struct {
	head  `yaml:",inline"`
	Group string   `yaml:"group"`
	Token tokenRef `yaml:"token"`
	// Key signs documents, Seal encrypts the secrets at rest.
	Key    string    `yaml:"key"`
	Seal   string    `yaml:"seal"`
	Valid  validity  `yaml:"valid"`
	Root   authority `yaml:"root"`
	Output struct {
		Certificate string `yaml:"certificate"`
		Sealed      string `yaml:"sealed"`
	} `yaml:"output"`
}

func (p *groupPlan) validate() error {
	if err := first(checkID("group", p.Group), p.Token.validate("token"), checkLabel("key", p.Key), checkLabel("seal", p.Seal),
		p.Valid.validate(), p.Root.validate("root"), checkPaths(nil, p.outputs()...)); err != nil {
		return err
	}
	if p.Key == p.Seal {
		return fmt.Errorf("%w: key and seal have the same label", ErrPlan)
	}
	return nil
}

func (p *groupPlan) outputs() []string { return []string{p.Output.Certificate, p.Output.Sealed} }

func (p *groupPlan) prepare(d *desk) (act, error) {
	root, err := p.Root.asRoot(d)
	if err != nil {
		return nil, err
	}
	if err := root.covers(p.Valid); err != nil {
		return nil, err
	}
	return func(ctx context.Context, b *bench) error { return p.perform(ctx, b, root) }, nil
}

func (p *groupPlan) perform(ctx context.Context, b *bench, root *certified) error {
	signer, err := root.signer(ctx, b)
	if err != nil {
		return err
	}
	t, err := b.token(ctx, &p.Token)
	if err != nil {
		return err
	}
	// Both labels must be free before the first key is made.
	_, errKey := t.FindECDSA(ctx, p.Key)
	_, errSeal := t.FindAES(ctx, p.Seal)
	if err := first(unused(errKey, p.Key, t), unused(errSeal, p.Seal, t)); err != nil {
		return err
	}
	key, err := b.newECDSA(ctx, &p.Token, p.Key, elliptic.P256())
	if err != nil {
		return err
	}
	seal, err := t.GenerateAES(ctx, p.Seal)
	if err != nil {
		return err
	}
	b.made(t, p.Seal, "AES 256", "")
	sealed, err := p.secrets(ctx, seal)
	if err != nil {
		return err
	}
	certificate, _, err := root.issue(signer, trust.Name{Role: trust.RoleGroup, ID: p.Group}, key.Public(), p.Valid, false)
	if err != nil {
		return err
	}
	if err := b.write(p.Output.Sealed, sealed, true); err != nil {
		return err
	}
	return b.write(p.Output.Certificate, certificate, false)
}

// unused reads the answer to a search for a label that should be free.
func unused(err error, label string, t *hsm.Token) error {
	switch {
	case errors.Is(err, hsm.ErrKeyNotFound):
		return nil
	case err == nil:
		return duplicate(label, t)
	}
	return err
}

// secrets draws the group's secrets and seals them; what was sealed is opened
// again before it is all there is.
func (p *groupPlan) secrets(ctx context.Context, seal Sealer) ([]byte, error) {
	s, err := GenerateGroupSecrets(p.Group)
	if err != nil {
		return nil, err
	}
	sealed, err := s.Seal(ctx, seal)
	if err != nil {
		return nil, err
	}
	if _, err := UnsealGroup(ctx, sealed, seal, p.Group); err != nil {
		return nil, fmt.Errorf("self-test of key %q: %w", p.Seal, err)
	}
	return sealed, nil
}
