package ceremony

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
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

// judge goes through all that is on the token, and names everything that
// stands in the way at once. A list of what else may go does not help a
// denomination key that is still good.
func (p *destroyPlan) judge(items []hsm.Item, set *coin.Keyset, at time.Time) error {
	var unused = make(map[string]bool)
	for _, label := range p.Also {
		unused[label] = true
	}
	var needed, strangers []string
	for _, item := range items {
		known, good := p.known(item, items, set, at)
		if good != nil {
			needed = append(needed, fmt.Sprintf("%q until %s", item.Label, good.SpendUntil.Format(instantLayout)))
		}
		if !known && !slices.Contains(p.Also, item.Label) {
			strangers = append(strangers, fmt.Sprintf("%q", item.Label))
		}
		delete(unused, item.Label)
	}
	if len(needed) > 0 {
		return fmt.Errorf("%w: in token %q, neither revoked nor lost, and spent: %s", ErrNeeded, p.Token.Token, list(needed))
	}
	if len(strangers) > 0 {
		return fmt.Errorf("%w: in token %q: %s; what is to go is listed in the plan under also:", ErrStranger, p.Token.Token, list(strangers))
	}
	for label := range unused {
		return fmt.Errorf("%w: also: nothing in token %q is labelled %q", ErrInput, p.Token.Token, label)
	}
	return nil
}

// list is an enumeration for people: in order, nothing twice.
func list(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// known says whether the keyset knows of the item, and returns the
// denomination that it does not give up yet.
func (p *destroyPlan) known(item hsm.Item, all []hsm.Item, set *coin.Keyset, at time.Time) (known bool, good *coin.Denomination) {
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
			return true, d
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
