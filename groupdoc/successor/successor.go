// Package successor owns the question who may act for a member whose TPM is
// gone: what the group manager signed about him, and what he signed himself
// while he could. Banks, wallets and merchants ask it when bound coins are
// recovered (coin.VerifyRecover); Verifier is a coin.Successors.
//
// It imports group, groupdoc, groupdoc/enrol and trust, and must never import
// coin, tpm or a store.
//
// # Trust
//
// The manager's word alone says that two memberships are one person's, and
// until when the old one could sign. He can't make up a holding: that takes the
// old TPM, and the key that its owner's purse kept.
//
// # Errors
//
// Those of packages enrol, group, groupdoc and trust.
//
// # Concurrency
//
// A Verifier is not changed once it is made and may be shared.
package successor

import (
	"fmt"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/trust"
)

// Verifier judges by a group document.
type Verifier struct {
	Root *trust.Root
	Doc  *groupdoc.Document
}

// Succession verifies what the manager signed; at is when his certificate must
// be valid. over is the end of the last epoch
// for which the old member holds a credential, and groupdoc.EpochSkew more:
// within it, presentations of the epoch before are still taken.
func (v *Verifier) Succession(jws []byte, at time.Time) (old, new [33]byte, over time.Time, err error) {
	s, err := enrol.ParseSuccession(v.Root, v.Doc.ID, jws, at)
	if err != nil {
		return old, new, over, err
	}
	return s.Old, s.New, s.GoodUntil.Add(groupdoc.EpochSkew), nil
}

// Signer verifies a presentation of any epoch that the manager has announced and
// returns its signer's tag, opened with the key that he kept. over is when
// presentations of its epoch are not taken any more, as the document has it,
// and zero for an epoch that is long past: the manager who says in a succession
// that a member's time is over can't be believed before that.
func (v *Verifier) Signer(it group.Item, key [group.OpeningKeySize]byte) (tag [33]byte, over time.Time, err error) {
	p, err := group.ParsePresentation(it.Presentation)
	if err != nil {
		return tag, over, err
	}
	if over, err = v.ends(p.Epoch); err != nil {
		return tag, over, err
	}
	k, err := group.ParseOpeningKey(key[:])
	if err != nil {
		return tag, over, err
	}
	gv, err := v.Doc.ProofVerifier(it.Presentation)
	if err != nil {
		return tag, over, err
	}
	tag, err = group.SelfOpen(gv, it, k)
	return tag, over, err
}

// Past verifies a presentation of any epoch that the manager has announced.
func (v *Verifier) Past(it group.Item) error {
	gv, err := v.Doc.ProofVerifier(it.Presentation)
	if err != nil {
		return err
	}
	return gv.Verify(it.Presentation, it.Message, it.Claims)
}

// ends is when presentations of an epoch are not taken any more.
func (v *Verifier) ends(epoch uint64) (time.Time, error) {
	switch current := v.Doc.Current; {
	case epoch+1 < current.Number:
		return time.Time{}, nil
	case epoch+1 == current.Number:
		return current.Starts.Add(groupdoc.EpochSkew), nil
	case epoch == current.Number:
		return current.Ends.Add(groupdoc.EpochSkew), nil
	case epoch == v.Doc.Next.Number:
		return v.Doc.Next.Ends.Add(groupdoc.EpochSkew), nil
	}
	return time.Time{}, fmt.Errorf("%w: %d was never announced", groupdoc.ErrEpoch, epoch)
}
