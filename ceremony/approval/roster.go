package approval

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"
	"golang.org/x/crypto/ssh"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/trust"
)

// Bounds of a roster.
const (
	MaxRoster   = 32 << 10 // bytes
	MaxOfficers = 32
)

// Officer is one who may approve.
type Officer struct {
	Name string // [A-Z0-9]{4,20}
	Key  ssh.PublicKey
}

// Roster says who may approve ceremonies, and how many of them must.
type Roster struct {
	Threshold int
	Officers  []Officer // by ascending name
}

type rosterYAML struct {
	Threshold int `yaml:"threshold"`
	Officers  []struct {
		Name string `yaml:"name"`
		Key  string `yaml:"key"`
	} `yaml:"officers"`
}

// ParseRoster reads a roster:
//
//	threshold: 2
//	officers:
//	  - name: ADAMS
//	    key: ssh-ed25519 AAAA… adams@desk
//	  - …
//
// Keys are lines as in an OpenSSH .pub file, of type ssh-ed25519,
// ecdsa-sha2-nistp256, ecdsa-sha2-nistp384 or one of the two sk- types
// (FIDO); the comment is ignored. Unknown fields, an officer or a key that
// stands twice, and a threshold outside 1 … n are refused with ErrRoster.
func ParseRoster(data []byte) (*Roster, error) {
	if len(data) > MaxRoster {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrRoster, len(data), MaxRoster)
	}
	var y rosterYAML
	if err := yaml.Load(data, &y, yaml.WithKnownFields()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRoster, paper.YAMLError(err))
	}
	if len(y.Officers) > MaxOfficers {
		return nil, fmt.Errorf("%w: %d officers, at most %d", ErrRoster, len(y.Officers), MaxOfficers)
	}
	r := &Roster{Threshold: y.Threshold}
	for _, o := range y.Officers {
		if err := trust.CheckID(o.Name); err != nil {
			return nil, fmt.Errorf("%w: name of an officer: %w", ErrRoster, err)
		}
		key, err := parsePublic(o.Key)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrRoster, o.Name, err)
		}
		r.Officers = append(r.Officers, Officer{Name: o.Name, Key: key})
	}
	slices.SortFunc(r.Officers, func(a, b Officer) int { return cmp.Compare(a.Name, b.Name) })
	return r, r.check()
}

func (r *Roster) check() error {
	if r.Threshold < 1 || r.Threshold > len(r.Officers) {
		return fmt.Errorf("%w: threshold %d of %d officers", ErrRoster, r.Threshold, len(r.Officers))
	}
	for i, o := range r.Officers {
		for _, p := range r.Officers[:i] {
			if p.Name == o.Name {
				return fmt.Errorf("%w: %s stands twice", ErrRoster, o.Name)
			}
			// One person under two names would be a quorum alone.
			if sameKey(p.Key, o.Key) {
				return fmt.Errorf("%w: %s and %s have the same key", ErrRoster, p.Name, o.Name)
			}
		}
	}
	return nil
}

// Digest names what the roster says: threshold, names and keys. Comments and
// the order of officers don't change it.
func (r *Roster) Digest() [32]byte {
	parts := [][]byte{[]byte("specie/roster/1"), frame.Uint64(uint64(r.Threshold))}
	for _, o := range r.Officers {
		parts = append(parts, []byte(o.Name), o.Key.Marshal())
	}
	return frame.Digest(parts...)
}

func (r *Roster) find(name string) (Officer, bool) {
	i, found := slices.BinarySearchFunc(r.Officers, name, func(o Officer, name string) int { return cmp.Compare(o.Name, name) })
	if !found {
		return Officer{}, false
	}
	return r.Officers[i], true
}

// parsePublic reads a line of an OpenSSH .pub file.
func parsePublic(line string) (ssh.PublicKey, error) {
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return nil, fmt.Errorf("%w: not an OpenSSH public key", ErrKey)
	}
	// Options would look as if they were obeyed.
	if len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%w: more than one public key", ErrKey)
	}
	return key, checkType(key)
}

// checkType returns ErrKey for a kind of key that doesn't approve. RSA would
// bring its sizes and hashes, certificates another root.
func checkType(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoSKECDSA256:
		return nil
	}
	return fmt.Errorf("%w: a key of another type than Ed25519 or ECDSA on P-256 or P-384", ErrKey)
}

// hardware says whether the key is in a FIDO token, which signs its flags and
// counter too and puts them behind the signature.
func hardware(key ssh.PublicKey) bool {
	return key.Type() == ssh.KeyAlgoSKED25519 || key.Type() == ssh.KeyAlgoSKECDSA256
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }
