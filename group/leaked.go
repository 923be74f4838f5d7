package group

import (
	"encoding/binary"
	"fmt"

	"github.com/speciecash/specie/group/fp256bn"
)

// leakedKey is a TPM scalar f that is public, and its digits to the base 2³²,
// least significant first.
type leakedKey struct {
	f      fp256bn.Scalar
	digits [8]fp256bn.Scalar
}

// WithLeaked returns a verifier that also refuses claims made with the given
// TPM scalars (32 bytes each), published because a TPM was broken: [ErrLeaked].
func (v *Verifier) WithLeaked(keys [][]byte) (*Verifier, error) {
	out := *v
	out.leaked = make([]leakedKey, len(keys))
	for i, k := range keys {
		s, err := fp256bn.ParseScalar(k)
		if err != nil {
			return nil, fmt.Errorf("leaked key: %w: %w", ErrMalformed, err)
		}
		out.leaked[i].f = s
		for d := range out.leaked[i].digits {
			word := binary.BigEndian.Uint32(k[len(k)-4*d-4:])
			out.leaked[i].digits[d] = fp256bn.ScalarFromUint64(uint64(word))
		}
	}
	return &out, nil
}

// checkLeaked refuses a TPM scalar that is public. It runs after the proof,
// so that nobody makes a verifier walk the list for nothing, and looks at one
// claim: T6 has shown that all of them have the same f.
func (v *Verifier) checkLeaked(claims []Claim) error {
	if len(claims) == 0 {
		return nil
	}
	leaked := matchesOneByOne
	if len(v.leaked) >= longList {
		leaked = matchesOfMany
	}
	if leaked(v.leaked, claims[0]) {
		return fmt.Errorf("presentation: %w", ErrLeaked)
	}
	return nil
}

// CheckTag refuses a member whose TPM scalar is public: his tag is F = [f]H_f.
// The error is [ErrLeaked]; a tag that is no point is [ErrMalformed]. It is for
// a signer who has opened a presentation without claims, in which f does not
// show.
func (v *Verifier) CheckTag(tag [33]byte) error {
	f, err := fp256bn.ParseG1(tag[:])
	if err != nil {
		return fmt.Errorf("tag: %w: %w", ErrMalformed, err)
	}
	return v.checkLeaked([]Claim{{x: fixedBases().hf.Point, y: f}})
}

// longList is from how many keys on a table for the claim's X pays.
const longList = 8

// matchesOneByOne says whether Y = [f]X for one of the keys.
func matchesOneByOne(keys []leakedKey, c Claim) bool {
	for i := range keys {
		if c.x.MulVartime(keys[i].f).Equal(c.y) {
			return true
		}
	}
	return false
}

// matchesOfMany is the same with multiples of X, [2³²]X, [2⁶⁴]X, … made once
// for all keys: [f]X takes 32 doublings instead of 128.
func matchesOfMany(keys []leakedKey, c Claim) bool {
	var powers [8]*fp256bn.PreparedG1
	step := fp256bn.ScalarFromUint64(1 << 32)
	for d, p := 0, c.x; d < len(powers); d++ {
		powers[d] = fp256bn.PrepareG1(p)
		p = p.MulVartime(step)
	}
	const together = 64 // sums that share an inversion
	for from := 0; from < len(keys); from += together {
		var sums [][]fp256bn.Term
		for i := from; i < min(from+together, len(keys)); i++ {
			terms := make([]fp256bn.Term, len(powers))
			for d := range terms {
				terms[d] = fp256bn.Term{Prepared: powers[d], Scalar: keys[i].digits[d]}
			}
			sums = append(sums, terms)
		}
		for _, y := range fp256bn.Sums1(sums...) {
			if y.Equal(c.y) {
				return true
			}
		}
	}
	return false
}
