package fp256bn

import (
	"fmt"

	"github.com/speciecash/specie/group/fp256bn/fp"
)

// G2Size is the length of an encoded point of G2 in bytes.
const G2Size = 65

// G2 is a point of the subgroup of order n of E'(Fp2): y² = x³+3(1+i). The zero
// value is the point at infinity, the group's neutral element.
type G2 struct {
	// Affine coordinates; infinity is (0, 0), which is not on the curve.
	x, y fp2
}

// Generator2 returns the generator P2 of G2.
func Generator2() G2 { return generator2 }

// Add returns a+b.
func (a G2) Add(b G2) G2 {
	var p, q g2Proj
	p.setAffine(&a)
	q.setAffine(&b)
	return p.add(&p, &q).affine()
}

// Sub returns a-b.
func (a G2) Sub(b G2) G2 { return a.Add(b.Neg()) }

// Neg returns -a.
func (a G2) Neg() G2 {
	a.y.neg(&a.y)
	return a
}

// Mul returns [k]a in constant time.
func (a G2) Mul(k Scalar) G2 {
	var p g2Proj
	return p.mul(&a, &k).affine()
}

// Equal reports whether a and b are the same point.
func (a G2) Equal(b G2) bool {
	return (a.x.a0.NotEqual(&b.x.a0) | a.x.a1.NotEqual(&b.x.a1) |
		a.y.a0.NotEqual(&b.y.a0) | a.y.a1.NotEqual(&b.y.a1)) == 0
}

// IsInfinity reports whether a is the neutral element.
func (a G2) IsInfinity() bool { return a.Equal(G2{}) }

// Bytes returns the compressed point: 02 or 03 by the sign of y, then the
// coefficients of x = a0+a1·i, a1 before a0, as 32 bytes big-endian each. The
// sign of y is sgn0 of RFC 9380 §4.1: the parity of y's a0, or that of its a1
// if a0 is 0. Infinity gives 65 zero bytes, which can be hashed but which
// [ParseG2] refuses.
func (a G2) Bytes() [G2Size]byte {
	var b [G2Size]byte
	x1, x0 := fpBytes(&a.x.a1), fpBytes(&a.x.a0)
	copy(b[1:33], x1[:])
	copy(b[33:], x0[:])
	b[0] = compressedPrefix(a.y.odd(), a.x.zeroMask()&a.y.zeroMask())
	return b
}

// ParseG2 returns the point that b encodes: exactly 65 bytes, 02 or 03 and the
// two coefficients of X, both below p, with a point of that abscissa on the
// twist and of order n. Anything else is [ErrPoint], infinity included.
//
// Without the order check a point of the twist's other 2p-n elements would get
// in: multiplied by a secret, it gives the secret modulo a small factor.
func ParseG2(b []byte) (G2, error) {
	if len(b) != G2Size {
		return G2{}, fmt.Errorf("%w: %d bytes instead of %d", ErrPoint, len(b), G2Size)
	}
	if b[0] != 2 && b[0] != 3 {
		return G2{}, fmt.Errorf("%w: the prefix is neither 02 nor 03", ErrPoint)
	}
	var a G2
	if !fpSetCanonical(&a.x.a1, b[1:33]) || !fpSetCanonical(&a.x.a0, b[33:]) {
		return G2{}, fmt.Errorf("%w: a coordinate is not below the field's modulus", ErrPoint)
	}
	var t fp2
	a.rhs(&t)
	if !a.y.sqrt(&t) {
		return G2{}, fmt.Errorf("%w: not on the curve", ErrPoint)
	}
	// y is never 0, as the twist has no point of order 2: -y differs.
	if a.y.odd() != b[0]&1 {
		a.y.neg(&a.y)
	}
	if !a.hasOrderN() {
		return G2{}, fmt.Errorf("%w: outside the subgroup of order n", ErrPoint)
	}
	return a, nil
}

// rhs sets z to x³+3ξ.
func (a *G2) rhs(z *fp2) {
	var b fp2
	b.a0.SetOne()
	fp.MulBy3(&b.a0)
	b.mulXi(&b)
	z.square(&a.x)
	z.mul(z, &a.x)
	z.add(z, &b)
}

// onCurve reports whether the coordinates solve the equation; infinity's do
// not.
func (a *G2) onCurve() bool {
	var l, r fp2
	a.rhs(&r)
	l.square(&a.y)
	return l == r
}

// hasOrderN reports whether [n]a is infinity.
func (a *G2) hasOrderN() bool {
	var base, r g2Proj
	base.setAffine(a)
	r.setInfinity()
	n := groupOrder
	for i := 255; i >= 0; i-- {
		r.double(&r)
		if n[i/64]>>(i%64)&1 == 1 {
			r.add(&r, &base)
		}
	}
	return r.z.isZero()
}
