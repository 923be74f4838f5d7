package coin

import (
	"github.com/speciecash/specie/group"
)

// groupVerifier adapts a group's verifier to what a spend needs.
type groupVerifier struct{ v *group.Verifier }

// NewPresentationVerifier verifies the presentations of bound coins with v,
// or, for a nil v, returns nil: no bound coins are accepted.
func NewPresentationVerifier(v *group.Verifier) PresentationVerifier {
	if v == nil {
		return nil
	}
	return groupVerifier{v}
}

func (g groupVerifier) GroupID() [32]byte { return g.v.GroupID() }

func (g groupVerifier) VerifyPresentation(presentation, message []byte, bound []BoundClaim) error {
	claims, err := Claims(bound)
	if err != nil {
		return err
	}
	return g.v.Verify(presentation, message, claims)
}

// CheckTag implements PresentationVerifier.
func (g groupVerifier) CheckTag(tag [TagSize]byte) error { return g.v.CheckTag(tag) }

// CheckExpelled implements PresentationVerifier: nobody is.
func (groupVerifier) CheckExpelled([]byte) error { return nil }

// Expelled are members who were struck off before their credentials ran out,
// recognised by the tracing tokens that supervisors released on a warrant. A
// *group.RevocationList is one.
type Expelled interface {
	// Match says whether one of them made the presentation, and which.
	Match(p *group.Presentation) (index int, ok bool)
}

type refusing struct {
	PresentationVerifier
	expelled Expelled
}

// Refusing returns a verifier that refuses, with ErrExpelled, what v accepts
// from a member on the list. It is for a bank: a list of tokens tells whoever
// holds it all payments of its members, and belongs into no merchant's till.
func Refusing(v PresentationVerifier, list Expelled) PresentationVerifier {
	return refusing{v, list}
}

func (r refusing) VerifyPresentation(presentation, message []byte, bound []BoundClaim) error {
	if err := r.PresentationVerifier.VerifyPresentation(presentation, message, bound); err != nil {
		return err
	}
	return r.CheckExpelled(presentation)
}

// CheckExpelled implements PresentationVerifier.
func (r refusing) CheckExpelled(presentation []byte) error {
	if err := r.PresentationVerifier.CheckExpelled(presentation); err != nil {
		return err
	}
	p, err := group.ParsePresentation(presentation)
	if err != nil {
		return err
	}
	if _, ok := r.expelled.Match(p); ok {
		return ErrExpelled
	}
	return nil
}

// Claims turns bound coins' owners into the claims that a member presents.
// A tag that is no point of the curve is group.ErrClaim.
func Claims(bound []BoundClaim) ([]group.Claim, error) {
	claims := make([]group.Claim, len(bound))
	for i, b := range bound {
		var err error
		if claims[i], err = group.CoinClaim(b.Nonce, b.Tag); err != nil {
			return nil, err
		}
	}
	return claims, nil
}
