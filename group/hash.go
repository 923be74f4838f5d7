package group

import (
	"crypto/sha256"
	"sync"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group/fp256bn"
)

// HashedPoint is a point of G1 nobody knows the discrete logarithm of, with
// the two values by which TPM2_Commit names it (TPM 2.0 Part 3, 19.2).
type HashedPoint struct {
	Point fp256bn.G1
	// S2 is 33 bytes; the point's x is SHA-256(S2) mod p.
	S2 []byte
	// Y2 is the point's y, big-endian; the smaller of the two roots.
	Y2 [32]byte
}

// HashToCurve maps (label, data) to a point by try and increment:
// S2 = i ‖ SHA-256(frame(label, data…)) for the first byte i whose
// x = SHA-256(S2) mod p is on the curve. The TPM computes x from S2 itself,
// so it can't be made to exponentiate a point of somebody's choice.
//
// The time depends on the input, which is public everywhere in Specie.
func HashToCurve(label string, data ...[]byte) HashedPoint {
	parts := append([][]byte{[]byte(label)}, data...)
	d := frame.Digest(parts...)
	s2 := make([]byte, 33)
	copy(s2[1:], d[:])
	for i := 0; i < 256; i++ {
		s2[0] = byte(i)
		x := sha256.Sum256(s2)
		if p, ok := fp256bn.LiftX(x[:]); ok {
			_, y := p.XY()
			return HashedPoint{Point: p, S2: s2, Y2: y}
		}
	}
	// Each try succeeds with probability 1/2: 2⁻²⁵⁶.
	panic("group: no curve point in 256 tries")
}

// bases are the fixed generators of the scheme. Nobody knows a relation
// between any two of them.
type bases struct {
	g  fp256bn.G1 // the curve's generator, base of O, E1 and the TPM's Q
	p2 fp256bn.G2
	hf HashedPoint // base of f; TPM2_Commit's P2 in every join and presentation
	b0 fp256bn.G1
	hu fp256bn.G1 // base of u
	he fp256bn.G1 // base of the epoch

	// The same for sums over public scalars.
	gSums, hfSums, huSums *fp256bn.PreparedG1
	p2Lines               *fp256bn.PreparedG2
}

// fixedBases derives the generators once; they depend on nothing.
var fixedBases = sync.OnceValue(func() *bases {
	b := &bases{
		g:  fp256bn.Generator1(),
		p2: fp256bn.Generator2(),
		hf: HashToCurve("specie/group/Hf"),
		b0: HashToCurve("specie/group/B0").Point,
		hu: HashToCurve("specie/group/Hu").Point,
		he: HashToCurve("specie/group/He").Point,
	}
	b.gSums, b.hfSums, b.huSums = fp256bn.PrepareG1(b.g), fp256bn.PrepareG1(b.hf.Point), fp256bn.PrepareG1(b.hu)
	b.p2Lines = fp256bn.Prepare(b.p2)
	return b
})

// traceBase is J = H2C("trace", A'), the base of V = [u]J. A' is fresh in
// every presentation, so no two V share a base.
func traceBase(aPrime fp256bn.G1) fp256bn.G1 {
	b := aPrime.Bytes()
	return HashToCurve("specie/group/trace", b[:]).Point
}

// challenge is the TPM's: c = SHA-256(ν ‖ δ) mod n.
func challenge(nu [32]byte, delta [32]byte) fp256bn.Scalar {
	d := sha256.Sum256(append(nu[:], delta[:]...))
	return fp256bn.ReduceScalar(d[:])
}

func g1(p fp256bn.G1) []byte { b := p.Bytes(); return b[:] }
func g2(p fp256bn.G2) []byte { b := p.Bytes(); return b[:] }
