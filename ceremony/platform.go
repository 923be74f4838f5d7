package ceremony

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

// platformPlan approves states of members' machines: the policy key signs a
// policy for each. The first ceremony makes the key; every later one has the
// file of the one before, keeps its states but those withdrawn, and adds its own.
type platformPlan struct {
	common `yaml:",inline"`
	Group  string `yaml:"group"`
	// Key is the policy key.
	Key      uri             `yaml:"key"`
	Previous string          `yaml:"previous,omitempty"`
	Policies []platformState `yaml:"policies,omitempty"`
	// Withdraw are names of states that are not to be published any more.
	Withdraw []string  `yaml:"withdraw,omitempty"`
	Root     string    `yaml:"root"`
	Manager  authority `yaml:"manager"`
	Output   struct {
		record   `yaml:",inline"`
		Platform string `yaml:"platform"`
	} `yaml:"output"`
}

// platformState is a state as "specie tpm pcrs" prints it.
type platformState struct {
	Name   string `yaml:"name"`
	PCRs   []int  `yaml:"pcrs"`
	Digest string `yaml:"digest"` // hex
	// Values are those of the PCRs, hex, if members are to be told in which
	// their machines differ.
	Values []string `yaml:"values,omitempty"`
}

// policy is the state before it is signed.
func (s *platformState) policy() (groupdoc.PlatformPolicy, error) {
	p := groupdoc.PlatformPolicy{Name: s.Name, PCRs: s.PCRs}
	for i, text := range append([]string{s.Digest}, s.Values...) {
		b, err := hex.DecodeString(text)
		if err != nil || len(b) != len(p.Digest) {
			return p, fmt.Errorf("%w: digest or value of %q is not 64 hex digits", ErrPlan, s.Name)
		}
		if i == 0 {
			p.Digest = [32]byte(b)
			continue
		}
		p.Values = append(p.Values, [32]byte(b))
	}
	if err := p.Check(); err != nil {
		return p, fmt.Errorf("%w: %w", ErrPlan, err)
	}
	return p, nil
}

func (p *platformPlan) validate() error {
	if err := first(checkID("group", p.Group), p.Manager.validate("manager")); err != nil {
		return err
	}
	check := p.Key.checkNewKey
	if p.Previous != "" {
		check = p.Key.checkKey
	}
	if err := check("key"); err != nil {
		return err
	}
	if p.Previous == "" && len(p.Withdraw) > 0 {
		return fmt.Errorf("%w: withdraw: there is no previous file to withdraw from", ErrPlan)
	}
	if len(p.Policies)+len(p.Withdraw) == 0 {
		return fmt.Errorf("%w: no policies", ErrPlan)
	}
	_, err := p.planned(nil)
	return err
}

// planned are the states that this ceremony would publish after those of the
// file before: their signatures, where they are new, are still to come.
func (p *platformPlan) planned(previous *groupdoc.Platform) ([]groupdoc.PlatformPolicy, error) {
	var all []groupdoc.PlatformPolicy
	if previous != nil {
		all = slices.Clone(previous.Policies)
		for _, name := range p.Withdraw {
			i := slices.IndexFunc(all, func(q groupdoc.PlatformPolicy) bool { return q.Name == name })
			if i < 0 {
				return nil, fmt.Errorf("%w: withdraw: %q is not in the previous file", ErrInput, name)
			}
			all = slices.Delete(all, i, i+1)
		}
	}
	for i := range p.Policies {
		policy, err := p.Policies[i].policy()
		if err != nil {
			return nil, err
		}
		for _, other := range all {
			if other.Name == policy.Name {
				return nil, fmt.Errorf("%w: two states are called %q", ErrPlan, policy.Name)
			}
			if other.Digest == policy.Digest && slices.Equal(other.PCRs, policy.PCRs) {
				return nil, fmt.Errorf("%w: %q is the same state as %q", ErrPlan, policy.Name, other.Name)
			}
		}
		all = append(all, policy)
	}
	if len(all) > groupdoc.MaxPolicies {
		return nil, fmt.Errorf("%w: %d states, at most %d", ErrPlan, len(all), groupdoc.MaxPolicies)
	}
	return all, nil
}

func (p *platformPlan) transcript() string { return p.Output.Transcript }

func (p *platformPlan) inputs() []input {
	all := []input{{"root", p.Root, maxCertificate}, p.Manager.input("manager")}
	if p.Previous != "" {
		all = append(all, input{"previous", p.Previous, groupdoc.MaxPlatform})
	}
	return all
}

func (p *platformPlan) outputs() []product {
	return []product{{"platform", p.Output.Platform, false}}
}

func (p *platformPlan) tokens() []named { return []named{p.Manager.named("manager"), {"key", p.Key}} }

func (p *platformPlan) made() []newKey {
	if p.Previous != "" {
		return nil
	}
	return []newKey{{p.Key.URI, kindP256}}
}

func (p *platformPlan) answers() []trust.Name {
	return []trust.Name{{Role: trust.RoleGroup, ID: p.Group}}
}

// readPlatform reads the file of an earlier ceremony, every signature in it
// verified.
func readPlatform(data []byte) (*groupdoc.Platform, error) {
	previous, err := groupdoc.ParsePlatform(data)
	if err != nil {
		return nil, err
	}
	return previous, attest.CheckPlatform(previous)
}

// before reads the previous file, nil if there is none.
func (p *platformPlan) before(read func(field string) ([]byte, error)) (*groupdoc.Platform, error) {
	if p.Previous == "" {
		return nil, nil
	}
	data, err := read("previous")
	if err != nil {
		return nil, err
	}
	previous, err := readPlatform(data)
	if err != nil {
		return nil, fmt.Errorf("%w: previous: %w", ErrInput, err)
	}
	return previous, nil
}

func (p *platformPlan) prepare(d *desk) (act, error) {
	manager, err := p.Manager.as(d, "manager", trust.Name{Role: trust.RoleGroup, ID: p.Group})
	if err != nil {
		return nil, err
	}
	previous, err := p.before(d.read)
	if err != nil {
		return nil, err
	}
	states, err := p.planned(previous)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, b *bench) (*signatory, error) {
		s, err := b.signatory(ctx, manager)
		if err != nil {
			return nil, err
		}
		key, err := p.policyKey(ctx, b, previous)
		if err != nil {
			return nil, err
		}
		_, err = b.output("platform", func() ([]byte, error) { return approve(ctx, key, states) })
		return s, err
	}, nil
}

// policyKey makes the policy key, or finds the one of the previous file.
func (p *platformPlan) policyKey(ctx context.Context, b *bench, previous *groupdoc.Platform) (*hsm.ECDSAKey, error) {
	if previous == nil {
		return b.newEC(ctx, p.Key.URI, elliptic.P256())
	}
	pub, err := attest.ParsePolicyKey(previous.Key)
	if err != nil {
		return nil, err
	}
	return b.existing(ctx, p.Key.URI, pub)
}

// approve signs for the states that have no signature yet, and verifies those
// as a TPM will.
func approve(ctx context.Context, key *hsm.ECDSAKey, states []groupdoc.PlatformPolicy) ([]byte, error) {
	pub, ok := key.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: the policy key is no ECDSA key", ErrKey)
	}
	public, err := attest.PolicyKey(pub)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	out := &groupdoc.Platform{Key: public}
	for _, state := range states {
		if state.Signature == nil {
			if state.Signature, err = signState(ctx, key, state); err != nil {
				return nil, err
			}
			if err := attest.VerifyPlatformPolicy(public, state); err != nil {
				return nil, fmt.Errorf("ceremony: the new approval: %w", err)
			}
		}
		out.Policies = append(out.Policies, state)
	}
	return out.Marshal()
}

// signState returns r‖s over the approval of a state.
func signState(ctx context.Context, key *hsm.ECDSAKey, state groupdoc.PlatformPolicy) ([]byte, error) {
	policy, err := attest.PCRPolicyDigest(state.PCRs, state.Digest)
	if err != nil {
		return nil, err
	}
	approved := attest.ApprovedHash(policy)
	der, err := key.SignDigest(ctx, approved[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var inner cryptobyte.String
	r, s := new(big.Int), new(big.Int)
	outer := cryptobyte.String(der)
	if !outer.ReadASN1(&inner, asn1.SEQUENCE) || !inner.ReadASN1Integer(r) || !inner.ReadASN1Integer(s) || !inner.Empty() {
		return nil, fmt.Errorf("%w: malformed signature", hsm.ErrFaulty)
	}
	out := make([]byte, 64)
	r.FillBytes(out[:32])
	s.FillBytes(out[32:])
	return out, nil
}

// existing is a key that is there already and has no certificate.
func (l *live) existing(ctx context.Context, u *hsm.URI, pub *ecdsa.PublicKey) (*hsm.ECDSAKey, error) {
	t, err := l.token(ctx, u)
	if err != nil {
		return nil, err
	}
	key, err := t.FindECDSA(ctx, u.Object)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", keyName(u.Token, u.Object), err)
	}
	if !pub.Equal(key.Public()) || len(u.ID) > 0 && !slices.Equal(u.ID, key.ID()) {
		return nil, fmt.Errorf("%w: key %s", ErrKey, keyName(u.Token, u.Object))
	}
	return key, nil
}

// existing makes a stand-in.
func (r *rehearsal) existing(ctx context.Context, u *hsm.URI, pub *ecdsa.PublicKey) (*hsm.ECDSAKey, error) {
	t, err := r.token(ctx, u)
	if err != nil {
		return nil, err
	}
	return t.GenerateECDSA(ctx, u.Object, pub.Curve)
}
