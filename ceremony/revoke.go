package ceremony

import (
	"context"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

// revokePlan takes something back: keys, in the next keyset; or a member's
// anonymity, by an order. It has one of the two forms.
type revokePlan struct {
	common `yaml:",inline"`
	Root   string `yaml:"root"`

	Bank     string `yaml:"bank,omitempty"`
	Sequence uint64 `yaml:"sequence,omitempty"`
	Previous string `yaml:"previous,omitempty"`
	// Revoke and Lost are denomination keys by their key ids, RevokeSigners
	// online signing keys by the files of their certificates, with the chain
	// as the ceremony left it: a key is revoked by what it is, not by a number
	// that somebody typed.
	Revoke        []string   `yaml:"revoke,omitempty"`
	Lost          []string   `yaml:"lost,omitempty"`
	RevokeSigners []string   `yaml:"revoke_signers,omitempty"`
	Master        *authority `yaml:"master,omitempty"`

	Member  *traced    `yaml:"member,omitempty"`
	Manager *authority `yaml:"manager,omitempty"`

	Output struct {
		record `yaml:",inline"`
		Keyset string `yaml:"keyset,omitempty"`
		Order  string `yaml:"order,omitempty"`
	} `yaml:"output"`
}

func (p *revokePlan) validate() error {
	keys := p.Bank != "" || p.Sequence != 0 || p.Previous != "" || p.Master != nil || p.Output.Keyset != "" ||
		len(p.Revoke)+len(p.Lost)+len(p.RevokeSigners) > 0
	member := p.Member != nil || p.Manager != nil || p.Output.Order != ""
	if keys == member {
		return fmt.Errorf("%w: it revokes either keys (bank, sequence, previous, master, keyset) or a member (member, manager, order)", ErrPlan)
	}
	if member {
		return p.validateMember()
	}
	return p.validateKeys()
}

func (p *revokePlan) validateKeys() error {
	if p.Master == nil {
		return fmt.Errorf("%w: master is missing", ErrPlan)
	}
	if err := first(checkID("bank", p.Bank), p.Master.validate("master")); err != nil {
		return err
	}
	if p.Sequence < 2 {
		return fmt.Errorf("%w: what is revoked stands in a keyset before: sequence is 2 or more", ErrPlan)
	}
	if len(p.Revoke)+len(p.Lost)+len(p.RevokeSigners) == 0 {
		return fmt.Errorf("%w: nothing to revoke or to declare lost", ErrPlan)
	}
	for field, list := range map[string][]string{"revoke": p.Revoke, "lost": p.Lost} {
		if _, err := keyIDs(field, list); err != nil {
			return err
		}
	}
	for i, path := range p.RevokeSigners {
		same := func(other string) bool { return filepath.Clean(other) == filepath.Clean(path) }
		if slices.ContainsFunc(p.RevokeSigners[:i], same) {
			return fmt.Errorf("%w: revoke_signers: %s stands twice", ErrPlan, path)
		}
	}
	return nil
}

func (p *revokePlan) transcript() string { return p.Output.Transcript }

func (p *revokePlan) inputs() []input {
	root := input{"root", p.Root, maxCertificate}
	if p.Member != nil {
		return []input{root, p.Manager.input("manager")}
	}
	all := []input{root, p.Master.input("master"), {"previous", p.Previous, trust.MaxJWS}}
	for i, path := range p.RevokeSigners {
		all = append(all, input{revokedSigner(i), path, maxCertificate})
	}
	return all
}

func revokedSigner(i int) string { return fmt.Sprintf("revoke_signers.%d", i+1) }

func (p *revokePlan) outputs() []product {
	if p.Member != nil {
		return []product{{"order", p.Output.Order, false}}
	}
	return []product{{"keyset", p.Output.Keyset, false}}
}

func (p *revokePlan) tokens() []named {
	if p.Member != nil {
		return []named{p.Manager.named("manager")}
	}
	return []named{p.Master.named("master")}
}

func (p *revokePlan) made() []newKey { return nil }

func (p *revokePlan) prepare(d *desk) (act, error) {
	if p.Member != nil {
		return p.prepareMember(d)
	}
	master, err := p.Master.asMaster(d, p.Bank)
	if err != nil {
		return nil, err
	}
	n := &succession{bank: p.Bank, sequence: p.Sequence, master: master}
	if err := n.readPrevious(d); err != nil {
		return nil, err
	}
	n.currency, n.exponent = n.previous.Currency, n.previous.Exponent
	// What is planned is planned to change something: a key that is not there,
	// or revoked already, is a slip of the pen.
	signers, err := p.signers(d, master.root)
	if err != nil {
		return nil, err
	}
	if err := p.change(n.draft(d.at), signers); err != nil {
		return nil, err
	}
	return func(ctx context.Context, b *bench) (*signatory, error) {
		s, err := b.signatory(ctx, master)
		if err != nil {
			return nil, err
		}
		set := n.draft(b.at)
		if err := p.change(set, signers); err != nil {
			return nil, err
		}
		return s, n.publish(b, s, set)
	}, nil
}

// signers are the keys of the certificates that are to be revoked.
func (p *revokePlan) signers(d *desk, root *trust.Root) ([][32]byte, error) {
	var out [][32]byte
	for i := range p.RevokeSigners {
		data, err := d.read(revokedSigner(i))
		if err != nil {
			return nil, err
		}
		cert, err := readSigner(root, p.Bank, data)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrInput, revokedSigner(i), err)
		}
		out = append(out, coin.SignerKey(cert))
	}
	return out, nil
}

// readSigner reads the certificate of a bank's signing key, leaf first. One
// that has run out may be revoked too: receipts of its time are still shown.
func readSigner(root *trust.Root, bank string, data []byte) (*x509.Certificate, error) {
	chain, err := readChain(data)
	if err != nil {
		return nil, err
	}
	name, err := root.CheckChain(chain, chain[0].NotBefore)
	if err != nil {
		return nil, err
	}
	if want := (trust.Name{Role: trust.RoleSigning, ID: bank}); name != want {
		return nil, fmt.Errorf("%w: it is the certificate of %s, not of %s", trust.ErrRole, name, want)
	}
	return chain[0], nil
}

// change makes the planned changes to the next keyset.
func (p *revokePlan) change(set *coin.Keyset, signers [][32]byte) error {
	if err := p.mark(set, "revoke", p.Revoke, func(d *coin.Denomination) *bool { return &d.Revoked }); err != nil {
		return err
	}
	if err := p.mark(set, "lost", p.Lost, func(d *coin.Denomination) *bool { return &d.Lost }); err != nil {
		return err
	}
	for i, id := range signers {
		if slices.Contains(set.RevokedSigners, id) {
			return fmt.Errorf("%w: revoke_signers: %s is revoked already", ErrInput, p.RevokeSigners[i])
		}
		set.RevokedSigners = append(set.RevokedSigners, id)
	}
	return nil
}

// mark sets a flag of the listed keys.
func (p *revokePlan) mark(set *coin.Keyset, field string, list []string, flag func(*coin.Denomination) *bool) error {
	ids, err := keyIDs(field, list)
	if err != nil {
		return err
	}
	for _, kid := range ids {
		i := slices.IndexFunc(set.Denominations, func(d coin.Denomination) bool { return d.KeyID == kid })
		if i < 0 {
			return fmt.Errorf("%w: %s: %s: %w", ErrInput, field, kid, coin.ErrUnknownKey)
		}
		on := flag(&set.Denominations[i])
		if *on {
			return fmt.Errorf("%w: %s: %s is so already", ErrInput, field, kid)
		}
		*on = true
	}
	return nil
}

func keyIDs(field string, list []string) ([]coin.KeyID, error) {
	var out []coin.KeyID
	for _, text := range list {
		kid, err := coin.ParseKeyID(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: not a key id", ErrPlan, field)
		}
		if slices.Contains(out, kid) {
			return nil, fmt.Errorf("%w: %s: %s stands twice", ErrPlan, field, kid)
		}
		out = append(out, kid)
	}
	return out, nil
}
