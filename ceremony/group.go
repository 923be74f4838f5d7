package ceremony

import (
	"context"
	"crypto/elliptic"
	"fmt"

	"github.com/speciecash/specie/trust"
)

// groupPlan makes a group manager's keys.
type groupPlan struct {
	common `yaml:",inline"`
	Group  string `yaml:"group"`
	// Key signs documents, Seal encrypts the secrets at rest.
	Key    uri       `yaml:"key"`
	Seal   uri       `yaml:"seal"`
	Valid  validity  `yaml:"valid"`
	Root   authority `yaml:"root"`
	Output struct {
		record      `yaml:",inline"`
		Certificate string `yaml:"certificate"`
		Sealed      string `yaml:"sealed"`
	} `yaml:"output"`
}

func (p *groupPlan) validate() error {
	return first(checkID("group", p.Group), p.Key.checkNewKey("key"), p.Seal.checkNewKey("seal"),
		p.Valid.validate("valid"), p.Root.validate("root"))
}

func (p *groupPlan) transcript() string { return p.Output.Transcript }
func (p *groupPlan) inputs() []input    { return []input{p.Root.input("root")} }
func (p *groupPlan) outputs() []product {
	return []product{{"certificate", p.Output.Certificate, false}, {"sealed", p.Output.Sealed, true}}
}
func (p *groupPlan) tokens() []named {
	return []named{p.Root.named("root"), {"key", p.Key}, {"seal", p.Seal}}
}
func (p *groupPlan) made() []newKey {
	return []newKey{{p.Key.URI, kindP256}, {p.Seal.URI, kindAES}}
}

func (p *groupPlan) prepare(d *desk) (act, error) {
	root, err := p.Root.asRoot(d, "root")
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, b *bench) (*signatory, error) { return p.perform(ctx, b, root) }, root.covers(p.Valid)
}

func (p *groupPlan) perform(ctx context.Context, b *bench, root *certified) (*signatory, error) {
	s, err := b.signatory(ctx, root)
	if err != nil {
		return nil, err
	}
	key, err := b.newEC(ctx, p.Key.URI, elliptic.P256())
	if err != nil {
		return nil, err
	}
	seal, err := b.newAES(ctx, p.Seal.URI)
	if err != nil {
		return nil, err
	}
	sealed, err := b.output("sealed", func() ([]byte, error) { return p.secrets(ctx, seal) })
	if err != nil {
		return nil, err
	}
	// Secrets that somebody else drew and left here would not open.
	if _, err := UnsealGroup(ctx, sealed, seal, p.Group); err != nil {
		return nil, fmt.Errorf("%w: self-test of key %s: %w", ErrSealed, keyName(p.Seal.Token, p.Seal.Object), err)
	}
	_, err = b.output("certificate", func() ([]byte, error) {
		return s.certify(trust.Name{Role: trust.RoleGroup, ID: p.Group}, key.Public(), p.Valid, false)
	})
	return s, err
}

// secrets draws the group's secrets and seals them.
func (p *groupPlan) secrets(ctx context.Context, seal Sealer) ([]byte, error) {
	s, err := GenerateGroupSecrets(p.Group)
	if err != nil {
		return nil, err
	}
	return s.Seal(ctx, seal)
}
