package groupdoc

import (
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Bounds of a platform rule.
const (
	MaxPolicies   = 64 // approved states
	maxPolicyName = 64 // characters
	pcrCount      = 24 // PCRs of a PC client's bank
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
	// Signature is r‖s of ECDSA with SHA-256, 64 bytes, by the policy key over
	// the policy digest.
	Signature []byte
}

type platformJSON struct {
	Key      string       `json:"key"`
	Policies []policyJSON `json:"policies"`
}

type policyJSON struct {
	Name      string `json:"name"`
	PCRs      []int  `json:"pcrs"`
	Digest    string `json:"digest"`
	Signature string `json:"signature"`
}

func (p *Platform) json() *platformJSON {
	if p == nil {
		return nil
	}
	j := &platformJSON{Key: encode(p.Key), Policies: []policyJSON{}}
	for _, x := range p.Policies {
		j.Policies = append(j.Policies, policyJSON{Name: x.Name, PCRs: x.PCRs, Digest: encode(x.Digest[:]), Signature: encode(x.Signature)})
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

func (j policyJSON) parse() (PlatformPolicy, error) {
	p := PlatformPolicy{Name: j.Name, PCRs: j.PCRs}
	printable := utf8.ValidString(j.Name) && !slices.ContainsFunc([]rune(j.Name), func(r rune) bool { return !unicode.IsPrint(r) })
	if n := utf8.RuneCountInString(j.Name); n == 0 || n > maxPolicyName || !printable {
		return p, fmt.Errorf("%w: platform: name of a policy", ErrMalformed)
	}
	if len(j.PCRs) == 0 || len(j.PCRs) > pcrCount || j.PCRs[0] < 0 || j.PCRs[len(j.PCRs)-1] >= pcrCount {
		return p, fmt.Errorf("%w: platform: PCRs of %q", ErrMalformed, j.Name)
	}
	for i := 1; i < len(j.PCRs); i++ {
		if j.PCRs[i] <= j.PCRs[i-1] {
			return p, fmt.Errorf("%w: platform: PCRs of %q do not ascend", ErrMalformed, j.Name)
		}
	}
	digest, err := decode("platform digest", j.Digest, len(p.Digest))
	if err != nil {
		return p, err
	}
	copy(p.Digest[:], digest)
	p.Signature, err = decode("platform signature", j.Signature, 64)
	return p, err
}
