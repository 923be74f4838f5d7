package group

import (
	"bytes"
	"crypto/rand"
	"fmt"

	"github.com/speciecash/specie/group/fp256bn"
)

// claimBlinded is a claim on a pair (X, Y) that hides what it stands for: the
// base and the tag of a coin, both times a secret b. Its base comes off the
// wire. That is sound, for Y = [f]X is all that a presentation proves of it;
// what it is worth shows when b does, see [Claim.Blinds].
const claimBlinded byte = 4

// BlindedClaimSize is the length of an encoded blinded claim in bytes: X and Y,
// compressed.
const BlindedClaimSize = 2 * 33

// ClaimBlind is the b of one blinded claim, 32 bytes. It prints as nothing.
// Shown, it says which coin the claim stands for, and nothing of other claims.
type ClaimBlind [32]byte

// Format keeps b out of every verb of fmt.
func (ClaimBlind) Format(f fmt.State, _ rune) { redact(f) }

// NewClaimBlind makes b of 48 bytes that nobody can guess, reduced modulo the
// group's order.
func NewClaimBlind(secret [48]byte) ClaimBlind {
	return fp256bn.ReduceScalar(secret[:]).Bytes()
}

// scalar reads b, which is below the group's order and not zero.
func (b ClaimBlind) scalar() (fp256bn.Scalar, error) {
	s, err := fp256bn.ParseScalar(b[:])
	if err != nil || s.IsZero() {
		return s, fmt.Errorf("%w: not a blinding factor", ErrClaim)
	}
	return s, nil
}

// Blind returns the claim with both points times b. Of a signer's blinded
// claims nobody can tell which coins they stand for, under the DDH assumption
// in G1 on which the anonymity of presentations rests too: [b]X is a random
// point, and Y was [f]X before.
func (c Claim) Blind(b ClaimBlind) (Claim, error) {
	s, err := b.scalar()
	if err != nil {
		return Claim{}, err
	}
	return newBlinded(c.x.Mul(s), c.y.Mul(s)), nil
}

func newBlinded(x, y fp256bn.G1) Claim {
	return Claim{kind: claimBlinded, input: g1(x), x: x, y: y}
}

// BlankClaim is a blinded claim that stands for nothing: H_f and the member's
// tag times a random number. Among others it hides how many there are.
func (m *Member) BlankClaim() (Claim, error) {
	b, err := fp256bn.RandomScalar(rand.Reader)
	if err != nil {
		return Claim{}, fmt.Errorf("blank claim: %w", err)
	}
	return newBlinded(fixedBases().hf.Point.Mul(b), m.tag.Mul(b)), nil
}

// Blinds says whether the claim, a blinded one, is other times b. Then a
// presentation that proved the claim has proved the other: Y = [f]X follows
// from [b]Y = [f][b]X, for b is not zero modulo the prime order.
func (c Claim) Blinds(other Claim, b ClaimBlind) bool {
	want, err := other.Blind(b)
	return err == nil && c.kind == claimBlinded && bytes.Equal(c.input, want.input) && c.y.Equal(want.y)
}

// Encoded returns X and Y of a blinded claim, [BlindedClaimSize] bytes.
func (c Claim) Encoded() []byte { return append(g1(c.x), g1(c.y)...) }

// ParseBlindedClaim reads [BlindedClaimSize] bytes, or returns [ErrClaim].
// Neither point may be infinity, which has no encoding.
func ParseBlindedClaim(b []byte) (Claim, error) {
	if len(b) != BlindedClaimSize {
		return Claim{}, fmt.Errorf("blinded claim: %w: %d bytes", ErrClaim, len(b))
	}
	x, err := fp256bn.ParseG1(b[:33])
	if err != nil {
		return Claim{}, fmt.Errorf("blinded claim: %w: %w", ErrClaim, err)
	}
	y, err := fp256bn.ParseG1(b[33:])
	if err != nil {
		return Claim{}, fmt.Errorf("blinded claim: %w: %w", ErrClaim, err)
	}
	return newBlinded(x, y), nil
}
