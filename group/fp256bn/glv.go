package fp256bn

import (
	"math/bits"

	"github.com/speciecash/specie/group/fp256bn/fr"
)

// G1 has an endomorphism that costs one multiplication, φ(x, y) = (βx, y) with
// β a cube root of 1 in Fp; it is multiplication by λ, a cube root of 1 modulo
// n. With k = k1+k2·λ for short k1 and k2, [k]P = [k1]P + [k2]φ(P) takes half
// the doublings (Gallant, Lambert and Vanstone, CRYPTO 2001).

// phi sets r = φ(p), which may be r.
func (r *g1Proj) phi(p *g1Proj) *g1Proj {
	r.x.MulCT(&p.x, &glvBeta)
	r.y, r.z = p.y, p.z
	return r
}

// half is one of the two short scalars of a split: an absolute value below
// 2^127, least significant word first, and all ones in negative if the scalar
// is minus that.
type half struct {
	abs      [4]uint64
	negative uint64
}

// split returns the halves of s, s = k1+k2·λ mod n, in constant time.
//
// The pairs (a, b) with a+bλ = 0 mod n form a lattice with the short basis
//
//	(a1, b1) = (6u²+2u, -(2u+1))    (a2, b2) = (-(2u+1), -(6u²+4u+1))
//
// Taking the nearest c1·(a1, b1)+c2·(a2, b2) away from (s, 0), where c1 and c2
// are -s·b2/n and s·b1/n rounded, leaves |k1| and |k2| at most half the sum of
// the entries of a column: 6u²+4u+1 and 2u+1 in absolute value add up to less
// than 2^128, by 2^80, which is more than the error of the rounded factors can
// make up.
func (s Scalar) split() (k1, k2 half) {
	w, e1 := s.words(), s.element()
	var c1, c2, e2, t fr.Element
	mulShift(&c1, &w, &glvG1)
	mulShift(&c2, &w, &glvG2)
	c1.MulCT(&c1, &glvMinusB1)
	c2.MulCT(&c2, &glvMinusB2)
	e2.AddCT(&c1, &c2)
	e1.SubCT(&e1, t.MulCT(&e2, &glvLambda))
	k1.set(&e1)
	k2.set(&e2)
	return k1, k2
}

// set takes e, which is within 2^127 of 0 mod n.
func (h *half) set(e *fr.Element) {
	var minus fr.Element
	minus.NegCT(e)
	w, m := e.WordsCT(), minus.WordsCT()
	h.negative = ^zeroMask(w[2] | w[3])
	for i := range h.abs {
		h.abs[i] = w[i] ^ h.negative&(w[i]^m[i])
	}
}

// mulShift sets z to k·g/2^320, rounded.
func mulShift(z *fr.Element, k, g *[4]uint64) {
	var t [8]uint64
	for i := range k {
		var carry uint64
		for j := range g {
			hi, lo := bits.Mul64(k[i], g[j])
			var c uint64
			lo, c = bits.Add64(lo, carry, 0)
			hi += c
			t[i+j], c = bits.Add64(t[i+j], lo, 0)
			carry = hi + c
		}
		t[i+4] = carry
	}
	r, c := [4]uint64{}, t[4]>>63
	r[0], c = bits.Add64(t[5], c, 0)
	r[1], c = bits.Add64(t[6], 0, c)
	r[2], _ = bits.Add64(t[7], 0, c)
	z.SetWordsCT(&r)
}
