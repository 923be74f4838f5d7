package fp256bn

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/speciecash/specie/group/fp256bn/fp"
)

// What follows is the curve over again, in math/big and by the textbook: the
// reference that the tests of this package compare with. It shares nothing
// with the code under test but the definition of u.

var (
	bigU = new(big.Int).Neg(hexInt("6882F5C030B0A801"))
	bigP = polynomialInU(36, 36, 24, 6, 1)
	bigN = polynomialInU(36, 36, 18, 6, 1)
)

func hexInt(s string) *big.Int {
	x, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic("bad constant " + s)
	}
	return x
}

// polynomialInU evaluates the polynomial, leading coefficient first, at u.
func polynomialInU(coefficients ...int64) *big.Int {
	r := new(big.Int)
	for _, c := range coefficients {
		r.Mul(r, bigU).Add(r, big.NewInt(c))
	}
	return r
}

// refFp2 is a+bi with 0 ≤ a, b < p.
type refFp2 struct{ a, b *big.Int }

func ref(a, b int64) refFp2 { return refFp2{modP(big.NewInt(a)), modP(big.NewInt(b))} }

func modP(x *big.Int) *big.Int { return new(big.Int).Mod(x, bigP) }

var refXi = ref(1, 1)

func (x refFp2) equal(y refFp2) bool { return x.a.Cmp(y.a) == 0 && x.b.Cmp(y.b) == 0 }
func (x refFp2) isZero() bool        { return x.equal(ref(0, 0)) }

func (x refFp2) add(y refFp2) refFp2 {
	return refFp2{modP(new(big.Int).Add(x.a, y.a)), modP(new(big.Int).Add(x.b, y.b))}
}

func (x refFp2) sub(y refFp2) refFp2 {
	return refFp2{modP(new(big.Int).Sub(x.a, y.a)), modP(new(big.Int).Sub(x.b, y.b))}
}

func (x refFp2) mul(y refFp2) refFp2 {
	aa, bb := new(big.Int).Mul(x.a, y.a), new(big.Int).Mul(x.b, y.b)
	ab, ba := new(big.Int).Mul(x.a, y.b), new(big.Int).Mul(x.b, y.a)
	return refFp2{modP(aa.Sub(aa, bb)), modP(ab.Add(ab, ba))}
}

func (x refFp2) inverse() refFp2 {
	norm := new(big.Int).Mul(x.a, x.a)
	norm.Add(norm, new(big.Int).Mul(x.b, x.b))
	norm.ModInverse(norm, bigP)
	return x.conj().mul(refFp2{norm, new(big.Int)})
}

func (x refFp2) conj() refFp2 { return refFp2{x.a, modP(new(big.Int).Neg(x.b))} }

func (x refFp2) exp(k *big.Int) refFp2 {
	r := ref(1, 0)
	for i := k.BitLen() - 1; i >= 0; i-- {
		r = r.mul(r)
		if k.Bit(i) == 1 {
			r = r.mul(x)
		}
	}
	return r
}

// refPoint is a point of a curve y² = x³+b over Fp2, of which E(Fp) is part;
// the chord and tangent rules do not need b.
type refPoint struct {
	x, y     refFp2
	infinity bool
}

func (p refPoint) add(q refPoint) refPoint {
	switch {
	case p.infinity:
		return q
	case q.infinity:
		return p
	}
	var slope refFp2
	if p.x.equal(q.x) {
		if p.y.add(q.y).isZero() {
			return refPoint{infinity: true}
		}
		slope = ref(3, 0).mul(p.x).mul(p.x).mul(ref(2, 0).mul(p.y).inverse())
	} else {
		slope = q.y.sub(p.y).mul(q.x.sub(p.x).inverse())
	}
	x := slope.mul(slope).sub(p.x).sub(q.x)
	return refPoint{x: x, y: slope.mul(p.x.sub(x)).sub(p.y)}
}

func (p refPoint) mul(k *big.Int) refPoint {
	r := refPoint{infinity: true}
	for i := k.BitLen() - 1; i >= 0; i-- {
		r = r.add(r)
		if k.Bit(i) == 1 {
			r = r.add(p)
		}
	}
	return r
}

// refFp12 is a polynomial in w of degree below 6 over Fp2, modulo w⁶-ξ.
type refFp12 [6]refFp2

func (x refFp12) mul(y refFp12) refFp12 {
	var r refFp12
	for i := range r {
		r[i] = ref(0, 0)
	}
	for i := range x {
		for j := range y {
			t := x[i].mul(y[j])
			if i+j >= 6 {
				t = t.mul(refXi)
			}
			r[(i+j)%6] = r[(i+j)%6].add(t)
		}
	}
	return r
}

func (x refFp12) equal(y refFp12) bool {
	for i := range x {
		if !x[i].equal(y[i]) {
			return false
		}
	}
	return true
}

// Conversions between the two worlds.

func bigFp(x *fp.Element) *big.Int { b := fpBytes(x); return new(big.Int).SetBytes(b[:]) }

func fpFromBig(x *big.Int) (z fp.Element) {
	z.SetBigInt(x)
	return z
}

func refOfFp2(x *fp2) refFp2 { return refFp2{bigFp(&x.a0), bigFp(&x.a1)} }

func fp2FromRef(x refFp2) fp2 { return fp2{fpFromBig(x.a), fpFromBig(x.b)} }

func refOfFp12(x *fp12) refFp12 {
	return refFp12{
		refOfFp2(&x.c0.b0), refOfFp2(&x.c1.b0), refOfFp2(&x.c0.b1),
		refOfFp2(&x.c1.b1), refOfFp2(&x.c0.b2), refOfFp2(&x.c1.b2),
	}
}

func refOfG1(p G1) refPoint {
	return refPoint{refFp2{bigFp(&p.x), new(big.Int)}, refFp2{bigFp(&p.y), new(big.Int)}, p.IsInfinity()}
}

func refOfG2(p G2) refPoint {
	return refPoint{refOfFp2(&p.x), refOfFp2(&p.y), p.IsInfinity()}
}

func (p refPoint) equal(q refPoint) bool {
	if p.infinity || q.infinity {
		return p.infinity == q.infinity
	}
	return p.x.equal(q.x) && p.y.equal(q.y)
}

func bigScalar(s Scalar) *big.Int { b := s.Bytes(); return new(big.Int).SetBytes(b[:]) }

func scalarFromBig(t testing.TB, x *big.Int) Scalar {
	t.Helper()
	s, err := ParseScalar(new(big.Int).Mod(x, bigN).FillBytes(make([]byte, ScalarSize)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// random draws reproducible test values.
type random struct{ *rand.ChaCha8 }

func newRandom() random { return random{rand.NewChaCha8([32]byte{1})} }

func (r random) bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

func (r random) fp() (z fp.Element) {
	fpReduce(&z, r.bytes(48))
	return z
}

func (r random) fp2() fp2 { return fp2{r.fp(), r.fp()} }

func (r random) fp6() fp6 { return fp6{r.fp2(), r.fp2(), r.fp2()} }

func (r random) fp12() fp12 { return fp12{r.fp6(), r.fp6()} }

func (r random) scalar() Scalar { return ReduceScalar(r.bytes(48)) }

// edgeScalars are scalars at which multiplication algorithms break.
func edgeScalars(t testing.TB) []Scalar {
	t.Helper()
	one := big.NewInt(1)
	lambda := polynomialInU(36, 0, 0, 0, -1)
	values := []*big.Int{
		big.NewInt(0), one, big.NewInt(2), big.NewInt(3), big.NewInt(15), big.NewInt(16), big.NewInt(17), big.NewInt(31),
		new(big.Int).Sub(bigN, one), new(big.Int).Sub(bigN, big.NewInt(2)), new(big.Int).Rsh(bigN, 1), new(big.Int).Add(new(big.Int).Rsh(bigN, 1), one),
		lambda, new(big.Int).Neg(lambda), new(big.Int).Add(lambda, one), new(big.Int).Sub(lambda, one), new(big.Int).Mul(lambda, lambda),
		polynomialInU(6, 4, 1), polynomialInU(-6, -4, -1), polynomialInU(2, 1), polynomialInU(-2, -1), polynomialInU(6, 2, 0), polynomialInU(3, 2, 1),
	}
	for _, bits := range []uint{64, 126, 127, 128, 192, 255} {
		p := new(big.Int).Lsh(one, bits)
		values = append(values, p, new(big.Int).Sub(p, one), new(big.Int).Add(p, one), new(big.Int).Sub(bigN, p))
	}
	scalars := make([]Scalar, len(values))
	for i, v := range values {
		scalars[i] = scalarFromBig(t, v)
	}
	return scalars
}
