package ceremony

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

// destroyPlan erases a token with all keys in it.
type destroyPlan struct {
	common `yaml:",inline"`
	Bank   string `yaml:"bank"`
	Token  uri    `yaml:"token"`
	// SOPIN says where the security officer's PIN is, like pin-source in a
	// URI; empty asks for it.
	SOPIN string `yaml:"so_pin,omitempty"`
	// Keyset says of each denomination key whether it is still needed.
	Keyset string `yaml:"keyset"`
	// Also are the labels of objects on the token that the keyset says nothing
	// about and that go with it: a signing key that ran out, a key that an
	// abandoned ceremony left.
	Also   []string  `yaml:"also,omitempty"`
	Root   string    `yaml:"root"`
	Master authority `yaml:"master"`
	Output struct {
		record `yaml:",inline"`
	} `yaml:"output"`
}

func (p *destroyPlan) validate() error {
	if err := first(checkID("bank", p.Bank), p.Token.checkToken("token"), p.Master.validate("master")); err != nil {
		return err
	}
	if p.Token.Token == p.Master.Key.Token {
		return fmt.Errorf("%w: the master key is in the token that is to be destroyed", ErrPlan)
	}
	source := hsm.URI{Token: p.Token.Token, PINSource: p.SOPIN}
	if _, err := hsm.ParseURI(source.String()); err != nil {
		return fmt.Errorf("%w: so_pin: %w", ErrPlan, err)
	}
	for i, label := range p.Also {
		if slices.Contains(p.Also[:i], label) {
			return fmt.Errorf("%w: also: %q stands twice", ErrPlan, label)
		}
	}
	return nil
}

func (p *destroyPlan) transcript() string { return p.Output.Transcript }

func (p *destroyPlan) inputs() []input {
	return []input{{"root", p.Root, maxCertificate}, p.Master.input("master"), {"keyset", p.Keyset, trust.MaxJWS}}
}

func (p *destroyPlan) outputs() []product { return nil }
func (p *destroyPlan) made() []newKey     { return nil }
func (p *destroyPlan) tokens() []named {
	return []named{p.Master.named("master"), {"token", p.Token}}
}

// erasure is a token to be erased.
type erasure struct {
	uri   *hsm.URI
	soPIN string // source
	// judge refuses while something is on the token that is still needed.
	judge func([]hsm.Item) error
}

func (p *destroyPlan) prepare(d *desk) (act, error) {
	master, err := p.Master.asMaster(d, p.Bank)
	if err != nil {
		return nil, err
	}
	jws, err := d.read("keyset")
	if err != nil {
		return nil, err
	}
	set, err := parseKeyset(d, "keyset", jws, master.root)
	if err != nil {
		return nil, err
	}
	if set.Bank != p.Bank {
		return nil, fmt.Errorf("%w: keyset: of %s", ErrInput, set.Bank)
	}
	at := d.at
	return func(ctx context.Context, b *bench) (*signatory, error) {
		s, err := b.signatory(ctx, master)
		if err != nil {
			return nil, err
		}
		return s, b.erase(ctx, &erasure{uri: p.Token.URI, soPIN: p.SOPIN, judge: func(items []hsm.Item) error {
			return p.judge(items, set, at)
		}})
	}, nil
}

// judge goes through all that is on the token. A list of what else may go does
// not help a denomination key that is still good.
func (p *destroyPlan) judge(items []hsm.Item, set *coin.Keyset, at time.Time) error {
	var unused = make(map[string]bool)
	for _, label := range p.Also {
		unused[label] = true
	}
	for _, item := range items {
		known, err := p.known(item, items, set, at)
		if err != nil {
			return err
		}
		if listed := slices.Contains(p.Also, item.Label); !known && !listed {
			return fmt.Errorf("%w: %s %s %q in token %q; list it under also if it is to go", ErrStranger, item.Class, item.Type, item.Label, p.Token.Token)
		}
		delete(unused, item.Label)
	}
	for label := range unused {
		return fmt.Errorf("%w: also: nothing in token %q is labelled %q", ErrInput, p.Token.Token, label)
	}
	return nil
}

// known says whether the keyset knows of the item and gives it up.
func (p *destroyPlan) known(item hsm.Item, all []hsm.Item, set *coin.Keyset, at time.Time) (bool, error) {
	switch {
	case item.Class == hsm.ClassPublic:
		// The other half of a key that is looked at itself.
		return slices.ContainsFunc(all, func(o hsm.Item) bool {
			return o.Class == hsm.ClassPrivate && o.Label == item.Label && slices.Equal(o.ID, item.ID)
		}), nil
	case item.Class != hsm.ClassPrivate:
		return false, nil
	}
	switch pub := item.Public.(type) {
	case *rsa.PublicKey:
		kid, err := coin.NewKeyID(pub)
		if err != nil {
			return false, nil
		}
		d, err := set.Find(kid)
		if err != nil {
			return false, nil
		}
		if !d.Revoked && !d.Lost && at.Before(d.SpendUntil) {
			return true, fmt.Errorf("%w: %q in token %q is spent until %s, and neither revoked nor lost",
				ErrNeeded, item.Label, p.Token.Token, d.SpendUntil.Format(instantLayout))
		}
		return true, nil
	case *ecdsa.PublicKey:
		spki, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			return false, nil
		}
		return slices.Contains(set.RevokedSigners, sha256.Sum256(spki)), nil
	}
	return false, nil
}
