package coin

import (
	"crypto/ed25519"
	"fmt"
)

// BoundClaim is what a bound coin says about its owner.
type BoundClaim struct {
	Nonce [NonceSize]byte // N
	Tag   [TagSize]byte   // K, a compressed point
}

// PresentationVerifier checks that one member of a group, at present in good
// standing, signed a message and owns bound coins. The group's package
// implements it.
type PresentationVerifier interface {
	// GroupID returns the id of the group.
	GroupID() [32]byte
	// VerifyPresentation returns nil only if presentation is over message
	// and proves every claim, in that order. Any error is a refusal; the
	// caller gets it wrapped in ErrBinding.
	VerifyPresentation(presentation, message []byte, bound []BoundClaim) error
	// CheckTag returns an error if the member with this tag must not act because
	// his TPM's key is public. A presentation without claims does not show it.
	CheckTag(tag [TagSize]byte) error
	// CheckExpelled returns ErrExpelled if a member who was struck off made the
	// presentation, of whatever epoch, which the caller has verified.
	CheckExpelled(presentation []byte) error
}

// Authorisation is the owners' consent to a spend.
type Authorisation struct {
	Bearer       [][]byte // an Ed25519 signature over the frame per bearer coin, in the order of the coins
	Presentation []byte   // one for all bound coins together; empty if there are none
	Stead        *Stead   // of a Recover, where Presentation makes no claims; nil otherwise
}

// SignBearer signs the spend for every bearer coin. key is asked for each
// coin's owner key; a key that does not fit gives ErrOwner.
func (s *Spend) SignBearer(key func(*Coin) (ed25519.PrivateKey, error)) ([][]byte, error) {
	frame := s.Frame()
	var out [][]byte
	for i := range s.Coins {
		c := &s.Coins[i]
		if c.Kind != Bearer {
			continue
		}
		private, err := key(c)
		if err != nil {
			return nil, fmt.Errorf("owner key of coin %d: %w", i, err)
		}
		if len(private) != ed25519.PrivateKeySize || !private.Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(c.Owner)) {
			return nil, fmt.Errorf("coin %d: %w: another key than the owner's", i, ErrOwner)
		}
		out = append(out, ed25519.Sign(private, frame))
	}
	return out, nil
}

// check refuses an authorisation that does not have one signature per bearer
// coin, or a presentation where there is no bound coin, or none where there
// is; or a stead, and no good one, except in a Recover.
func (a *Authorisation) check(s *Spend) error {
	if a == nil {
		return fmt.Errorf("%w: nobody authorised the spend", ErrOwner)
	}
	bound := len(s.BoundClaims())
	if len(a.Bearer) != len(s.Coins)-bound {
		return fmt.Errorf("%w: %d signatures for %d bearer coins", ErrOwner, len(a.Bearer), len(s.Coins)-bound)
	}
	if (len(a.Presentation) == 0) != (bound == 0) {
		return fmt.Errorf("%w: a presentation stands there if and only if there are bound coins", ErrBinding)
	}
	if len(a.Presentation) > MaxPresentation {
		return fmt.Errorf("%w: presentation of %d bytes", ErrTooLarge, len(a.Presentation))
	}
	if (a.Stead == nil) == (s.Purpose == Recover) {
		return fmt.Errorf("%w: a successor stands there in a recover, and nowhere else", ErrBinding)
	}
	if a.Stead == nil {
		return nil
	}
	return a.Stead.check(bound)
}

// VerifyOwners returns ErrOwner unless every bearer coin's owner signed the
// spend, and ErrBinding if the presentation for bound coins stands there where
// it must not, or is missing. It does not look into the presentation: that
// takes the group as it was then. It is for a look back; who takes coins calls
// Verify.
func (a *Authorisation) VerifyOwners(s *Spend) error {
	if err := a.check(s); err != nil {
		return err
	}
	return a.verifyBearer(s, func(*Coin) bool { return true })
}

// verifyBearer checks the signatures of the bearer coins for which want is
// true. The authorisation has passed check.
func (a *Authorisation) verifyBearer(s *Spend, want func(*Coin) bool) error {
	frame := s.Frame()
	next := 0
	for i := range s.Coins {
		c := &s.Coins[i]
		if c.Kind != Bearer {
			continue
		}
		sig := a.Bearer[next]
		next++
		if want(c) && !ed25519.Verify(ed25519.PublicKey(c.Owner), frame, sig) {
			return fmt.Errorf("coin %d: %w", i, ErrOwner)
		}
	}
	return nil
}

// verifyBound checks the presentation if there are bound coins, or the stead of
// a Recover, whatever the time.
func (a *Authorisation) verifyBound(s *Spend, verifier PresentationVerifier) error {
	if s.Purpose == Recover {
		_, err := a.verifyStead(s, verifier)
		return err
	}
	claims := s.BoundClaims()
	if len(claims) == 0 {
		return nil
	}
	if verifier == nil {
		return fmt.Errorf("%w: no group is accepted here", ErrBinding)
	}
	if verifier.GroupID() != s.Group {
		return fmt.Errorf("%w: another group", ErrBinding)
	}
	if err := verifier.VerifyPresentation(a.Presentation, s.Frame(), claims); err != nil {
		return fmt.Errorf("%w: %w", ErrBinding, err)
	}
	return nil
}
