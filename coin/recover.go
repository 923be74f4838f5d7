package coin

import (
	"fmt"
	"time"

	"github.com/speciecash/specie/group"
)

// Successors judges who may stand in for a member of a group. Who accepts
// recovered coins gives a PresentationVerifier that is one, see WithSuccessors.
type Successors interface {
	// Succession verifies the manager's word that a member is the person who
	// another one was, as it counted at the given time. Nothing that the old member
	// signs is taken by anybody from over on.
	Succession(jws []byte, at time.Time) (old, new [TagSize]byte, over time.Time, err error)
	// Signer verifies a presentation of any epoch that the manager has
	// announced, and opens it with the key that its signer kept. Presentations of
	// its epoch are taken by nobody from over on.
	Signer(it group.Item, key [group.OpeningKeySize]byte) (tag [TagSize]byte, over time.Time, err error)
	// Past verifies a presentation of any epoch that the manager has announced.
	Past(it group.Item) error
}

// VerifyPast says whether the owners of bound coins authorised a spend at some
// time: nil, or ErrBinding. It is for who knows otherwise that the spend was good
// when it was made, and keeps it as proof.
func VerifyPast(s *Spend, a *Authorisation, past Successors) error {
	if len(s.BoundClaims()) == 0 {
		return nil
	}
	claims, err := Claims(s.BoundClaims())
	if err == nil {
		err = past.Past(group.Item{Presentation: a.Presentation, Message: s.Frame(), Claims: claims})
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBinding, err)
	}
	return nil
}

type withSuccessors struct {
	PresentationVerifier
	Successors
}

// WithSuccessors returns a verifier that verifies as v does, and that
// VerifyRecover accepts. What is wrapped around it hides the Successors.
func WithSuccessors(v PresentationVerifier, s Successors) PresentationVerifier {
	return withSuccessors{v, s}
}

// A recover is judged at its IssuedAt by everybody who is shown it later, so that
// must be when the bank got it: at most RecoverAhead after, for clocks differ, and
// RecoverAge before, for a wallet that was offline sends again what it made.
const (
	RecoverAhead = 5 * time.Minute
	RecoverAge   = 24 * time.Hour
)

// VerifyRecover says whether bound coins whose TPM is gone may be recovered at
// the given time, but for what only the bank knows: whether a coin was spent
// before, and whose account Amount goes to. It makes the checks of Verify, what
// costs least first, with these in the place of the bound coins' presentation:
//
//   - the recover is dated now (ErrDate), see RecoverAge;
//   - the presentation, over the frame and without claims, is that of a member
//     in good standing (ErrBinding, ErrExpelled), whom the stead's key names, and
//     whose TPM's key is not public (ErrBinding);
//   - the successions lead to him, each signed by the manager at the recover's
//     date, without a gap (ErrSuccession);
//   - each bound coin is in a holding, as the place that it is given says
//     (ErrHolding);
//   - each holding is that of one of his predecessors (ErrHolding), and of none
//     who was struck off (ErrExpelled);
//   - no presentation of that predecessor is taken by anybody any more: until
//     then a merchant could have taken the coin offline (ErrTooEarly, a
//     *TooEarlyError).
//
// Coins are owed until their key's legal_until. A coin under a revoked key, or
// one that is to become money on an account, stands without its signature and
// has a claim, as in VerifyRecoup. Bearer coins come along under the rules of a
// recoup.
func VerifyRecover(s *Spend, a *Authorisation, claims []Claim, k *Keyset, verifier PresentationVerifier, at time.Time,
	outputs func(op [32]byte) ([]Output, error)) error {
	if s.Purpose != Recover {
		return ErrPurpose
	}
	issued := time.Unix(s.IssuedAt, 0)
	if issued.After(at.Add(RecoverAhead)) || issued.Before(at.Add(-RecoverAge)) {
		return fmt.Errorf("%w: %s", ErrDate, issued.UTC().Format(instantLayout))
	}
	keys, err := checkTerms(s, a, k, at)
	if err != nil {
		return err
	}
	// First what only somebody with coins passes: a stead costs the most.
	if err := VerifyClaims(s, claims, k, outputs); err != nil {
		return err
	}
	if err := verifyCoins(s, a, keys); err != nil {
		return err
	}
	from, err := a.verifyStead(s, verifier)
	if err == nil && at.Before(from) {
		err = &TooEarlyError{From: from}
	}
	return err
}

// verifyStead checks the stead of a recover, and returns the instant from which
// it is good.
func (a *Authorisation) verifyStead(s *Spend, verifier PresentationVerifier) (from time.Time, err error) {
	if verifier == nil {
		return from, fmt.Errorf("%w: no group is accepted here", ErrBinding)
	}
	if verifier.GroupID() != s.Group {
		return from, fmt.Errorf("%w: another group", ErrBinding)
	}
	successors, ok := verifier.(Successors)
	if !ok {
		return from, fmt.Errorf("%w: no successor of a member is accepted here", ErrBinding)
	}
	message := s.Frame()
	if err := verifier.VerifyPresentation(a.Presentation, message, nil); err != nil {
		return from, fmt.Errorf("%w: %w", ErrBinding, err)
	}
	signer, _, err := successors.Signer(group.Item{Presentation: a.Presentation, Message: message}, a.Stead.Key)
	if err != nil {
		return from, fmt.Errorf("%w: %w", ErrBinding, err)
	}
	if err := verifier.CheckTag(signer); err != nil {
		return from, fmt.Errorf("%w: %w", ErrBinding, err)
	}
	over, err := a.Stead.predecessors(signer, successors, time.Unix(s.IssuedAt, 0))
	if err != nil {
		return from, err
	}
	claims, err := a.Stead.verifyHeld(s)
	if err != nil {
		return from, err
	}
	for i := range a.Stead.Holdings {
		h := &a.Stead.Holdings[i]
		end, err := h.verify(claims[i], over, successors)
		if err != nil {
			return from, fmt.Errorf("%w: %d: %w", ErrHolding, i, err)
		}
		if err := verifier.CheckExpelled(h.Presentation); err != nil {
			return from, fmt.Errorf("%w: %w", ErrBinding, err)
		}
		if from.Before(end) {
			from = end
		}
	}
	return from, nil
}

// predecessors follows the successions to the signer. It returns the members
// whom he has succeeded, and from when on nobody takes what they sign.
func (t *Stead) predecessors(signer [TagSize]byte, successors Successors, at time.Time) (map[[TagSize]byte]time.Time, error) {
	over := make(map[[TagSize]byte]time.Time, len(t.Successions))
	var last [TagSize]byte
	for i, jws := range t.Successions {
		from, to, end, err := successors.Succession(jws, at)
		if err != nil {
			return nil, fmt.Errorf("%w: %d: %w", ErrSuccession, i, err)
		}
		if i > 0 && from != last {
			return nil, fmt.Errorf("%w: %d succeeds %s, and not %s", ErrSuccession, i, short(from), short(last))
		}
		over[from], last = end, to
	}
	if last != signer {
		return nil, fmt.Errorf("%w: they lead to %s, and %s signed", ErrSuccession, short(last), short(signer))
	}
	return over, nil
}

// verify checks whose the holding is, and returns from when on nobody takes what
// he signed with that presentation's credential, or any.
func (h *Holding) verify(claims []group.Claim, over map[[TagSize]byte]time.Time, successors Successors) (from time.Time, err error) {
	holder, from, err := successors.Signer(group.Item{Presentation: h.Presentation, Message: HoldingMessage(), Claims: claims}, h.Key)
	if err != nil {
		return from, err
	}
	until, ok := over[holder]
	if !ok {
		return from, fmt.Errorf("it is of %s, whom nobody here has succeeded", short(holder))
	}
	if from.Before(until) {
		from = until
	}
	return from, nil
}

// verifyHeld checks that each bound coin is where Held says, and returns the
// holdings' claims.
func (t *Stead) verifyHeld(s *Spend) ([][]group.Claim, error) {
	claims := make([][]group.Claim, len(t.Holdings))
	for i := range t.Holdings {
		var err error
		if claims[i], err = t.Holdings[i].parse(); err != nil {
			return nil, fmt.Errorf("%w: %d: %w", ErrHolding, i, err)
		}
	}
	for i, c := range s.BoundClaims() {
		at := t.Held[i]
		claim, err := group.CoinClaim(c.Nonce, c.Tag)
		if err != nil {
			return nil, fmt.Errorf("%w: bound coin %d: %w", ErrHolding, i, err)
		}
		if !claims[at.Holding][at.Claim].Blinds(claim, at.Blind) {
			return nil, fmt.Errorf("%w: bound coin %d is another one", ErrHolding, i)
		}
	}
	return claims, nil
}

func (h *Holding) parse() ([]group.Claim, error) {
	claims := make([]group.Claim, len(h.Claims)/group.BlindedClaimSize)
	for i := range claims {
		var err error
		if claims[i], err = group.ParseBlindedClaim(h.claim(i)); err != nil {
			return nil, err
		}
	}
	return claims, nil
}

// TooEarlyError says from when on coins can be recovered. It matches
// ErrTooEarly.
type TooEarlyError struct{ From time.Time }

// Error names the instant.
func (e *TooEarlyError) Error() string {
	return fmt.Sprintf("%v: from %s on", ErrTooEarly, e.From.UTC().Format(instantLayout))
}

// Unwrap makes errors.Is(err, ErrTooEarly) true.
func (e *TooEarlyError) Unwrap() error { return ErrTooEarly }
