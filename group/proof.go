package group

import (
	"fmt"

	"github.com/speciecash/specie/group/fp256bn"
)

// attempt is a presentation on its way through a verifier. The verifier
// computes with public values only, and so by [fp256bn.Sums1].
type attempt struct {
	p       *Presentation
	message []byte
	claims  []Claim

	statement [32]byte
	rho       []fp256bn.Scalar
	x, y      fp256bn.G1 // Σρ_i·X_i and Σρ_i·Y_i
}

// checkProofs is all of the verification but the pairing, for many
// presentations at once: the sums of all share tables and inversions, and
// nothing else. It returns one error per attempt, nil where the proof holds.
func (v *Verifier) checkProofs(attempts []*attempt) []error {
	errs := make([]error, len(attempts))
	var open []*attempt
	for i, a := range attempts {
		if errs[i] = v.prepare(a); errs[i] == nil {
			open = append(open, a)
		}
	}
	fold(open)
	first := v.firstMoves(open)
	for i, a := range attempts {
		if errs[i] != nil {
			continue
		}
		t := first[0]
		first = first[1:]
		if !challenge(a.p.Nu, delta(a.statement, t)).Equal(a.p.C) {
			errs[i] = fmt.Errorf("presentation: %w", ErrProof)
			continue
		}
		errs[i] = v.checkLeaked(a.claims)
	}
	return errs
}

// prepare refuses what needs no arithmetic to be refused, and hashes the
// statement.
func (v *Verifier) prepare(a *attempt) error {
	if v.epochs[a.p.Epoch] == nil {
		return fmt.Errorf("presentation: %w: %d", ErrEpoch, a.p.Epoch)
	}
	if a.p.APrime.IsInfinity() || a.p.D.IsInfinity() {
		return fmt.Errorf("presentation: %w: infinity", ErrMalformed)
	}
	if err := checkClaims(a.claims); err != nil {
		return fmt.Errorf("presentation: %w", err)
	}
	a.statement = a.p.statement(v.id, a.message, a.claims)
	a.rho = weights(a.statement, len(a.claims))
	return nil
}

// fold computes x and y of the attempts. Of one claim, whose weight is 1,
// they are the claim.
func fold(attempts []*attempt) {
	var sums [][]fp256bn.Term
	for _, a := range attempts {
		if len(a.claims) == 1 {
			a.x, a.y = a.claims[0].x, a.claims[0].y
		} else if len(a.claims) > 1 {
			xs, ys := foldTerms(a.claims, a.rho)
			sums = append(sums, xs, ys)
		}
	}
	folded := fp256bn.Sums1(sums...)
	for _, a := range attempts {
		if len(a.claims) > 1 {
			a.x, a.y, folded = folded[0], folded[1], folded[2:]
		}
	}
}

// firstMoves recomputes T1 … T6 of every attempt from its responses.
func (v *Verifier) firstMoves(attempts []*attempt) []commitments {
	var sums [][]fp256bn.Term
	for _, a := range attempts {
		sums = append(sums, v.relations(a)...)
	}
	points := fp256bn.Sums1(sums...)
	out := make([]commitments, len(attempts))
	for i, a := range attempts {
		for k := range v.relationCount(a) {
			out[i][k] = g1(points[k])
		}
		points = points[v.relationCount(a):]
	}
	return out
}

// relationCount is 6, or 5 where there is no claim and so no T6.
func (v *Verifier) relationCount(a *attempt) int {
	if len(a.claims) == 0 {
		return 5
	}
	return 6
}

// relations are the sums that T1 … T6 are (docs/group-signature.md names what
// each of them stops).
func (v *Verifier) relations(a *attempt) [][]fp256bn.Term {
	b, p := fixedBases(), a.p
	c := p.C.Neg()
	type sum = []fp256bn.Term
	sums := []sum{
		{{Point: p.D, Scalar: p.SR1}, {Point: p.APrime, Scalar: p.SE.Neg()}, {Point: p.BBar, Scalar: c}},
		{{Point: p.D, Scalar: p.SR3}, {Prepared: b.hfSums, Scalar: p.SF.Neg()},
			{Prepared: b.huSums, Scalar: p.SU.Neg()}, {Prepared: v.epochs[p.Epoch], Scalar: c}},
		{{Prepared: b.gSums, Scalar: p.SK}, {Point: p.E1, Scalar: c}},
		{{Prepared: b.hfSums, Scalar: p.SF}, {Prepared: v.o, Scalar: p.SK}, {Point: p.E2, Scalar: c}},
		{{Point: traceBase(p.APrime), Scalar: p.SU}, {Point: p.V, Scalar: c}},
	}
	if len(a.claims) > 0 {
		// T6 stands alone: folded into T2, r3 would be a free witness and
		// Y := [f]X + [x]D would pass.
		sums = append(sums, sum{{Point: a.x, Scalar: p.SF}, {Point: a.y, Scalar: c}})
	}
	return sums
}
