package coin

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group"
)

// Bounds of a stead.
const (
	MaxSuccessions    = 8       // memberships between the coins' and the present one
	MaxSuccession     = 8 << 10 // bytes of one succession, a compact JWS
	MaxHolding        = 512     // claims in one holding
	MaxHoldingsClaims = 4096    // claims in all holdings of a stead
)

// Stead stands in for the owners of bound coins whose TPM is gone. It shows
// that they were held by a member (Holdings), that the group manager says who
// that member is now (Successions), and that this one signed the spend (Key).
//
// It prints as [redacted]: it links coins and memberships.
type Stead struct {
	// Successions are what the manager signed, each from the new member of the
	// one before to the next; the last one's new member signed the spend.
	Successions [][]byte
	// Key opens the presentation in Authorisation, 32 bytes.
	Key [group.OpeningKeySize]byte
	// Holdings show whose the coins were; each is of use for a coin.
	Holdings []Holding
	// Held are, for each bound coin in order, the claims that are the coins'.
	Held []Held
}

// Holding is a presentation by which a member claimed the tags of coins when
// he made them, with the key to it. The claims are blinded (group.Claim.Blind):
// one coin is shown without the others.
type Holding struct {
	Presentation []byte                     // over HoldingMessage
	Key          [group.OpeningKeySize]byte // opens it
	Claims       []byte                     // group.BlindedClaimSize bytes each, in ascending order
}

// Held is the place of a coin in a stead's holdings.
type Held struct {
	Holding, Claim int // from 0
	Blind          group.ClaimBlind
}

// Format prints [redacted] whatever the verb.
func (Stead) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue returns [redacted].
func (Stead) LogValue() slog.Value { return slog.StringValue(redacted) }

const holdingLabel = "specie/holding/1"

// HoldingMessage is what a holding's presentation is over: a text that is no
// spend's frame.
func HoldingMessage() []byte { return frame.Join([]byte(holdingLabel)) }

// minHolding is the smallest number of claims in a holding. How many there are
// would tell the operation that made the coins, were they not rounded up.
const minHolding = 8

// HoldingClaims returns the claims of a holding: the coins', blinded already,
// and blank ones up to a power of two, 8 at least, in an order that says nothing
// (the claims' bytes ascending). It returns the errors of blank, or ErrTooLarge.
func HoldingClaims(coins []group.Claim, blank func() (group.Claim, error)) ([]group.Claim, error) {
	n := minHolding
	for n < len(coins) {
		n *= 2
	}
	if n > MaxHolding {
		return nil, fmt.Errorf("%w: a holding of %d coins", ErrTooLarge, len(coins))
	}
	out := slices.Clone(coins)
	for len(out) < n {
		c, err := blank()
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b group.Claim) int { return bytes.Compare(a.Encoded(), b.Encoded()) })
	return out, nil
}

// NewHolding keeps a presentation over HoldingMessage of those claims.
func NewHolding(p *group.Presentation, k group.OpeningKey, claims []group.Claim) *Holding {
	h := &Holding{Presentation: p.Bytes(), Key: [group.OpeningKeySize]byte(k.Bytes())}
	for _, c := range claims {
		h.Claims = append(h.Claims, c.Encoded()...)
	}
	return h
}

// HoldingBlind is what the claim of bound coin number index under a bank's key
// is blinded with.
func HoldingBlind(seed Seed, bank string, kid KeyID, index uint64) (group.ClaimBlind, error) {
	b, err := seed.derive(kid, roleHolding, index, []byte(bank), 48)
	if err != nil {
		return group.ClaimBlind{}, err
	}
	return group.NewClaimBlind([48]byte(b)), nil
}

// Find returns the place of a coin's claim in the holding, or ErrHolding.
func (h *Holding) Find(c BoundClaim, blind group.ClaimBlind) (int, error) {
	claim, err := group.CoinClaim(c.Nonce, c.Tag)
	if err == nil {
		claim, err = claim.Blind(blind)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrHolding, err)
	}
	for i := range len(h.Claims) / group.BlindedClaimSize {
		if bytes.Equal(h.claim(i), claim.Encoded()) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%w: the coin is not in it", ErrHolding)
}

func (h *Holding) claim(i int) []byte {
	return h.Claims[i*group.BlindedClaimSize : (i+1)*group.BlindedClaimSize]
}

// check refuses what no stead of that many bound coins is, before anything in
// it is computed with: ErrTooLarge, ErrMalformed or ErrHolding.
func (t *Stead) check(bound int) error {
	if len(t.Successions) > MaxSuccessions {
		return fmt.Errorf("%w: %d successions", ErrTooLarge, len(t.Successions))
	}
	for i, jws := range t.Successions {
		if len(jws) > MaxSuccession {
			return fmt.Errorf("%w: succession %d has %d bytes", ErrTooLarge, i, len(jws))
		}
	}
	if len(t.Holdings) > MaxCoins {
		return fmt.Errorf("%w: %d holdings", ErrTooLarge, len(t.Holdings))
	}
	claims := 0
	for i := range t.Holdings {
		h := &t.Holdings[i]
		n := len(h.Claims) / group.BlindedClaimSize
		if n*group.BlindedClaimSize != len(h.Claims) || len(h.Presentation) != group.PresentationSize {
			return fmt.Errorf("%w: holding %d", ErrMalformed, i)
		}
		if claims += n; n > MaxHolding || claims > MaxHoldingsClaims {
			return fmt.Errorf("%w: holding %d has %d claims", ErrTooLarge, i, n)
		}
	}
	return t.checkHeld(bound)
}

// checkHeld wants one place for every bound coin, and a coin for every holding:
// each costs the bank a verification.
func (t *Stead) checkHeld(bound int) error {
	if len(t.Held) != bound {
		return fmt.Errorf("%w: %d places for %d bound coins", ErrHolding, len(t.Held), bound)
	}
	used := make([]bool, len(t.Holdings))
	for i, at := range t.Held {
		if at.Holding < 0 || at.Holding >= len(t.Holdings) {
			return fmt.Errorf("%w: bound coin %d: there are %d holdings", ErrHolding, i, len(t.Holdings))
		}
		used[at.Holding] = true
		if n := len(t.Holdings[at.Holding].Claims) / group.BlindedClaimSize; at.Claim < 0 || at.Claim >= n {
			return fmt.Errorf("%w: bound coin %d: the holding has %d claims", ErrHolding, i, n)
		}
	}
	if i := slices.Index(used, false); i >= 0 {
		return fmt.Errorf("%w: holding %d is of no coin", ErrHolding, i)
	}
	return nil
}

// short names a member's tag in an error, and nobody: the rest of it is missing.
func short(tag [TagSize]byte) string { return hex.EncodeToString(tag[1:5]) }
