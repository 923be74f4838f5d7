package groupdoc

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/speciecash/specie/trust/strictjson"
)

// Bounds of a platform rule.
const (
	MaxPolicies   = 64        // approved states
	MaxPlatform   = 256 << 10 // bytes of a file
	maxPolicyName = 64        // characters
	pcrCount      = 24        // PCRs of a PC client's bank
)

// Platform is a manager's rule about the state of the machines on which his
// members' keys sign: the class's template then carries a policy that the TPM
// itself keeps (TPM2_PolicyAuthorize, TPM 2.0 Part 3, §23.16). This package
// checks its form only; whoever makes or uses a key knows TPMs.
type Platform struct {
	// Key is the policy key's public area (TPMT_PUBLIC), at most MaxTemplate
	// bytes.
	Key []byte
	// Policies are the states that the manager has approved, at most
	// MaxPolicies, each name once.
	Policies []PlatformPolicy
}

// PlatformPolicy is one approved state.
type PlatformPolicy struct {
	// Name is for people: 1 to 64 printable characters.
	Name string
	// PCRs are numbers of the SHA-256 bank, 0 to 23, ascending.
	PCRs []int
	// Digest is SHA-256 over the values of those PCRs, in that order.
	Digest [32]byte
	// Values are those values, or nil: with them a member can be told in which
	// PCRs his machine differs.
	Values [][32]byte
	// Signature is r‖s of ECDSA with SHA-256, 64 bytes, by the policy key over
	// the policy digest.
	Signature []byte
}

// ParsePlatform reads a manager's rule from a file, platform.json, as the
// ceremony left it. The form is all that is checked; the error is ErrMalformed.
func ParsePlatform(data []byte) (*Platform, error) {
	var j platformJSON
	if err := strictjson.Unmarshal(data, MaxPlatform, &j); err != nil {
		return nil, fmt.Errorf("%w: platform: %v", ErrMalformed, err)
	}
	return j.parse()
}

// Marshal returns what ParsePlatform reads.
func (p *Platform) Marshal() ([]byte, error) {
	out, err := json.MarshalIndent(p.json(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("groupdoc: platform: %w", err)
	}
	return append(out, '\n'), nil
}

type platformJSON struct {
	Key      string       `json:"key"`
	Policies []policyJSON `json:"policies"`
}

type policyJSON struct {
	Name      string   `json:"name"`
	PCRs      []int    `json:"pcrs"`
	Values    []string `json:"values,omitempty"`
	Digest    string   `json:"digest"`
	Signature string   `json:"signature"`
}

func (p *Platform) json() *platformJSON {
	if p == nil {
		return nil
	}
	j := &platformJSON{Key: encode(p.Key), Policies: []policyJSON{}}
	for _, x := range p.Policies {
		policy := policyJSON{Name: x.Name, PCRs: x.PCRs, Digest: encode(x.Digest[:]), Signature: encode(x.Signature)}
		for _, v := range x.Values {
			policy.Values = append(policy.Values, encode(v[:]))
		}
		j.Policies = append(j.Policies, policy)
	}
	return j
}

func (j *platformJSON) parse() (*Platform, error) {
	if j == nil {
		return nil, nil
	}
	if len(j.Policies) > MaxPolicies {
		return nil, fmt.Errorf("%w: platform: %d policies", ErrMalformed, len(j.Policies))
	}
	key, err := decode("platform key", j.Key, -MaxTemplate)
	if err != nil {
		return nil, err
	}
	p := &Platform{Key: key}
	seen := make(map[string]bool)
	for _, x := range j.Policies {
		policy, err := x.parse()
		if err != nil {
			return nil, err
		}
		if seen[policy.Name] {
			return nil, fmt.Errorf("%w: platform: policy %q stands twice", ErrMalformed, policy.Name)
		}
		seen[policy.Name] = true
		p.Policies = append(p.Policies, policy)
	}
	return p, nil
}

// Check checks the form of name and PCRs, and that the values, if there are any,
// are what the digest is of; the error is ErrMalformed.
func (p *PlatformPolicy) Check() error {
	printable := utf8.ValidString(p.Name) && !slices.ContainsFunc([]rune(p.Name), func(r rune) bool { return !unicode.IsPrint(r) })
	if n := utf8.RuneCountInString(p.Name); n == 0 || n > maxPolicyName || !printable {
		return fmt.Errorf("%w: platform: name of a policy", ErrMalformed)
	}
	if len(p.PCRs) == 0 || len(p.PCRs) > pcrCount || p.PCRs[0] < 0 || p.PCRs[len(p.PCRs)-1] >= pcrCount {
		return fmt.Errorf("%w: platform: PCRs of %q", ErrMalformed, p.Name)
	}
	for i := 1; i < len(p.PCRs); i++ {
		if p.PCRs[i] <= p.PCRs[i-1] {
			return fmt.Errorf("%w: platform: PCRs of %q do not ascend", ErrMalformed, p.Name)
		}
	}
	if p.Values == nil {
		return nil
	}
	h := sha256.New()
	for _, v := range p.Values {
		h.Write(v[:])
	}
	if len(p.Values) != len(p.PCRs) || [32]byte(h.Sum(nil)) != p.Digest {
		return fmt.Errorf("%w: platform: the digest of %q is not that of its values", ErrMalformed, p.Name)
	}
	return nil
}

func (j policyJSON) parse() (p PlatformPolicy, err error) {
	p.Name, p.PCRs = j.Name, j.PCRs
	digest, err := decode("platform digest", j.Digest, len(p.Digest))
	if err != nil {
		return p, err
	}
	copy(p.Digest[:], digest)
	if len(j.Values) > pcrCount {
		return p, fmt.Errorf("%w: platform: %d values", ErrMalformed, len(j.Values))
	}
	for _, text := range j.Values {
		v, err := decode("platform value", text, 32)
		if err != nil {
			return p, err
		}
		p.Values = append(p.Values, [32]byte(v))
	}
	if err := p.Check(); err != nil {
		return p, err
	}
	p.Signature, err = decode("platform signature", j.Signature, 64)
	return p, err
}
