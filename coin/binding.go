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
