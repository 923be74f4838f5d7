package group

import (
	"fmt"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group/fp256bn"
)

// ID names a group (one class of one manager), whatever the epoch: 32 bytes.
type ID [32]byte

// Parameters are the public values of one group.
type Parameters struct {
	// Name is the group manager's id, for people.
	Name string
	// W = [γ]P2 is the manager's issuing key.
	W fp256bn.G2
	// O = [o]G is the opening key. No image of o in G2 may exist.
	O fp256bn.G1
	// O2 = [o2]P2 is the tracing key. No image of o2 in G1 may exist.
	O2 fp256bn.G2
}

// ID is SHA-256(frame("specie/group/1", name, W, O, O2)). It enters every
// transcript as "the parameters".
func (p *Parameters) ID() ID {
	return frame.Digest([]byte("specie/group/1"), []byte(p.Name), g2(p.W), g1(p.O), g2(p.O2))
}

// check refuses degenerate keys, which would make every relation over them
// hold for everybody.
func (p *Parameters) check() error {
	if p.W.IsInfinity() || p.O.IsInfinity() || p.O2.IsInfinity() {
		return fmt.Errorf("group parameters: %w: a key is the point at infinity", ErrMalformed)
	}
	return nil
}
