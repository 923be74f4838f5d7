package fp256bn

import (
	"fmt"

	"github.com/speciecash/specie/group/fp256bn/fp"
)

// G1Size is the length of an encoded point of G1 in bytes.
const G1Size = 33

// G1 is a point of E(Fp): y² = x³+3, whose order is the prime n. The zero value
// is the point at infinity, the group's neutral element.
type G1 struct {
	// Affine coordinates; infinity is (0, 0), which is not on the curve.
	x, y fp.Element
}

// Generator1 returns the generator (1, 2) of G1, the base point that a TPM
// uses for this curve.
func Generator1() G1 {
	var g G1
	g.x.SetOne()
	g.y.DoubleCT(&g.x)
	return g
}

// Add returns a+b.
func (a G1) Add(b G1) G1 {
	var p, q g1Proj
	p.setAffine(&a)
	q.setAffine(&b)
	return p.add(&p, &q).affine()
}

// Sub returns a-b.
func (a G1) Sub(b G1) G1 { return a.Add(b.Neg()) }

// Neg returns -a.
func (a G1) Neg() G1 {
	a.y.NegCT(&a.y)
	return a
}

// Mul returns [k]a in constant time.
func (a G1) Mul(k Scalar) G1 {
	var p g1Proj
	return p.mul(&a, &k).affine()
}

// Equal reports whether a and b are the same point.
func (a G1) Equal(b G1) bool {
	return (a.x.NotEqual(&b.x) | a.y.NotEqual(&b.y)) == 0
}

// IsInfinity reports whether a is the neutral element.
func (a G1) IsInfinity() bool { return a.Equal(G1{}) }

// Bytes returns the compressed point (SEC 1 §2.3.3): 02 if y is even or 03 if
// it is odd, then x as 32 bytes big-endian. Infinity gives 33 zero bytes, which
// can be hashed but which [ParseG1] refuses.
func (a G1) Bytes() [G1Size]byte {
	var b [G1Size]byte
	x := fpBytes(&a.x)
	copy(b[1:], x[:])
	b[0] = compressedPrefix(fpOdd(&a.y), fpZeroMask(&a.x)&fpZeroMask(&a.y))
	return b
}

// compressedPrefix returns 02 or 03 by the sign of y, or 00 where the mask
// infinity is all ones.
func compressedPrefix(odd byte, infinity uint64) byte {
	return (2 | odd) &^ byte(infinity)
}

// XY returns the affine coordinates as 32 bytes big-endian each. Infinity has
// none, and gives zeros, which [G1FromXY] refuses.
func (a G1) XY() (x, y [32]byte) { return fpBytes(&a.x), fpBytes(&a.y) }

// ParseG1 returns the point that b encodes: exactly 33 bytes, 02 or 03 and
// X < p with a point of that abscissa on the curve. As the cofactor is 1 every
// point of the curve is in the group. Anything else is [ErrPoint], infinity
// included.
func ParseG1(b []byte) (G1, error) {
	if len(b) != G1Size {
		return G1{}, fmt.Errorf("%w: %d bytes instead of %d", ErrPoint, len(b), G1Size)
	}
	if b[0] != 2 && b[0] != 3 {
		return G1{}, fmt.Errorf("%w: the prefix is neither 02 nor 03", ErrPoint)
	}
	var a G1
	if !fpSetCanonical(&a.x, b[1:]) {
		return G1{}, fmt.Errorf("%w: a coordinate is not below the field's modulus", ErrPoint)
	}
	if !a.solveY() {
		return G1{}, fmt.Errorf("%w: not on the curve", ErrPoint)
	}
	// y is never 0, as the group has no element of order 2: -y differs.
	if fpOdd(&a.y) != b[0]&1 {
		a.y.NegCT(&a.y)
	}
	return a, nil
}

// G1FromXY returns the point with the given affine coordinates, big-endian, at
// most 32 bytes each (a TPM may strip leading zeros). Coordinates not below p
// and points off the curve are [ErrPoint].
func G1FromXY(x, y []byte) (G1, error) {
	if len(x) > 32 || len(y) > 32 {
		return G1{}, fmt.Errorf("%w: a coordinate is longer than 32 bytes", ErrPoint)
	}
	var a G1
	if !fpSetCanonical(&a.x, x) || !fpSetCanonical(&a.y, y) {
		return G1{}, fmt.Errorf("%w: a coordinate is not below the field's modulus", ErrPoint)
	}
	if !a.onCurve() {
		return G1{}, fmt.Errorf("%w: not on the curve", ErrPoint)
	}
	return a, nil
}

// LiftX returns the point with abscissa x mod p and the smaller of the two
// possible ordinates, taken as integers. It reports false if the curve has no
// such point, as for half of all x. The big-endian x may be of any length.
func LiftX(x []byte) (G1, bool) {
	var a G1
	fpReduce(&a.x, x)
	var t fp.Element
	a.rhs(&t)
	if !fpIsSquare(&t) || !fpSqrt(&a.y, &t) {
		return G1{}, false
	}
	if a.y.LexicographicallyLargest() {
		a.y.NegCT(&a.y)
	}
	return a, true
}

// rhs sets z to x³+3.
func (a *G1) rhs(z *fp.Element) {
	var three fp.Element
	three.SetOne()
	fp.MulBy3(&three)
	z.SquareCT(&a.x)
	z.MulCT(z, &a.x)
	z.AddCT(z, &three)
}

// solveY sets y to a root of x³+3 and reports whether there is one.
func (a *G1) solveY() bool {
	var t fp.Element
	a.rhs(&t)
	return fpSqrt(&a.y, &t)
}

// onCurve reports whether the coordinates solve the equation; infinity's do
// not.
func (a *G1) onCurve() bool {
	var l, r fp.Element
	a.rhs(&r)
	l.SquareCT(&a.y)
	return l == r
}
