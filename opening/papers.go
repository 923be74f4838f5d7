package opening

import (
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/trust"
)

// Papers are the public documents against which a case is judged, or a member
// traced, verified.
type Papers struct {
	// Keyset is the bank's; nil if no case is to be judged.
	Keyset *coin.Keyset
	Group  *groupdoc.Document
	root   *trust.Root
	// leaked are scalars that the judge knows of besides the document's.
	leaked [][]byte
	at     time.Time
	// As they were read, to travel with the evidence.
	keysetJWS, groupJWS []byte
}

// ReadPapers verifies a bank's keyset and a group document under the root at
// the given time. Errors: those of coin.ParseKeyset and groupdoc.Parse.
func ReadPapers(root *trust.Root, keysetJWS, groupJWS []byte, at time.Time) (*Papers, error) {
	k, err := coin.ParseKeyset(root, keysetJWS, at)
	if err != nil {
		return nil, err
	}
	p, err := ReadGroup(root, groupJWS, at)
	if err != nil {
		return nil, err
	}
	p.Keyset, p.keysetJWS = k, keysetJWS
	return p, nil
}

// ReadGroup verifies a group document alone: enough to trace a member, not to
// judge a case. Errors: those of groupdoc.Parse.
func ReadGroup(root *trust.Root, groupJWS []byte, at time.Time) (*Papers, error) {
	g, err := groupdoc.Parse(root, groupJWS, at)
	if err != nil {
		return nil, err
	}
	return &Papers{Group: g, root: root, at: at, groupJWS: groupJWS}, nil
}

// groupVerifier accepts the epochs of a case's presentations, which may be
// long past, but none that the manager has not announced. A claim made with a
// leaked TPM scalar proves nothing about its member and is refused.
func (p *Papers) groupVerifier(c *Case) (*group.Verifier, error) {
	var epochs []uint64
	for i, s := range c.Spends {
		pres, err := group.ParsePresentation(s.Authorisation.Presentation)
		if err != nil {
			return nil, fmt.Errorf("spend %d: %w", i+1, err)
		}
		if pres.Epoch > p.Group.Current.Number+1 {
			return nil, fmt.Errorf("spend %d: %w: %d, when epoch %d is current", i+1, group.ErrEpoch, pres.Epoch, p.Group.Current.Number)
		}
		epochs = append(epochs, pres.Epoch)
	}
	v, err := group.NewVerifier(p.Group.Parameters(), epochs...)
	if err != nil {
		return nil, err
	}
	return v.WithLeaked(append(slices.Clone(p.Group.Leaked), p.leaked...))
}
