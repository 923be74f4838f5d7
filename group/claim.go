package group

import (
	"fmt"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group/fp256bn"
)

// Kinds of claim. 2 (offline line) and 3 (the tag itself) are reserved, 4 is
// claimBlinded.
const claimCoin byte = 1

// Claim says that Y = [f]X for the signer's f. X is derived from the public
// input; a blinded claim alone takes it from the wire, and is worth nothing
// until it is shown what it blinds.
type Claim struct {
	kind  byte
	input []byte
	x, y  fp256bn.G1
}

// CoinClaim is the claim of a bound coin (N, K): K = [f]H2C("coin", N).
// The tag is 33 bytes; anything but a point of G1 is [ErrClaim].
func CoinClaim(nonce [32]byte, tag [33]byte) (Claim, error) {
	y, err := fp256bn.ParseG1(tag[:])
	if err != nil {
		return Claim{}, fmt.Errorf("coin tag: %w: %w", ErrClaim, err)
	}
	return Claim{kind: claimCoin, input: nonce[:], x: coinBase(nonce).Point, y: y}, nil
}

// maxClaims bounds the claims of one presentation, and so a verifier's work.
const maxClaims = 512

// checkClaims refuses a claim that stands twice: one coin can't be counted
// twice in a spend.
func checkClaims(claims []Claim) error {
	if len(claims) > maxClaims {
		return fmt.Errorf("%w: %d claims, at most %d", ErrClaim, len(claims), maxClaims)
	}
	seen := make(map[string]bool, len(claims))
	for _, c := range claims {
		if c.kind != claimCoin && c.kind != claimBlinded {
			return fmt.Errorf("%w: unknown kind %d", ErrClaim, c.kind)
		}
		id := string(c.input)
		if seen[id] {
			return fmt.Errorf("%w: a coin stands twice", ErrClaim)
		}
		seen[id] = true
	}
	return nil
}

// parts gives a claim's parts of the transcript.
func (c Claim) parts() [][]byte { return [][]byte{{c.kind}, c.input, g1(c.y)} }

// weight is ρ_i: 128 bits from the hash of the whole statement. A constant
// weight, or one that Y_i doesn't enter, lets an error in one claim cancel an
// error in another.
func weight(statement [32]byte, i int) fp256bn.Scalar {
	d := frame.Digest([]byte("specie/weight/1"), statement[:], frame.Uint64(uint64(i)))
	var wide [32]byte
	copy(wide[16:], d[:16])
	return fp256bn.ReduceScalar(wide[:])
}

// weights returns ρ_0 … ρ_{n−1}. The first is 1: whatever the error of the
// first claim, random weights on all others make the sum of the errors vanish
// with probability 2⁻¹²⁸ only, and a payment of one coin needs no folding.
func weights(statement [32]byte, n int) []fp256bn.Scalar {
	out := make([]fp256bn.Scalar, n)
	for i := range out {
		if i == 0 {
			out[i] = fp256bn.ScalarFromUint64(1)
			continue
		}
		out[i] = weight(statement, i)
	}
	return out
}

// foldTerms are the sums P1 = Σρ_i·X_i and Σρ_i·Y_i.
func foldTerms(claims []Claim, rho []fp256bn.Scalar) (xs, ys []fp256bn.Term) {
	xs, ys = make([]fp256bn.Term, len(claims)), make([]fp256bn.Term, len(claims))
	for i, c := range claims {
		xs[i] = fp256bn.Term{Point: c.x, Scalar: rho[i]}
		ys[i] = fp256bn.Term{Point: c.y, Scalar: rho[i]}
	}
	return xs, ys
}
