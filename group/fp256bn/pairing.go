package fp256bn

import "github.com/speciecash/specie/group/fp256bn/fp"

// GTSize is the length of an encoded element of GT in bytes.
const GTSize = 384

// GT is an element of the subgroup of order n of Fp12, where pairings take
// their values. Only the functions here make one: the zero value is not in the
// group.
type GT struct{ e fp12 }

// Pair returns the reduced optimal ate pairing e(p, q), with the exact
// exponent (p¹²-1)/n. It is 1 if p or q is infinity. For public values only.
func Pair(p G1, q G2) GT {
	return PairPrepared(p, Prepare(q))
}

// PairPrepared is [Pair] for a point of G2 that went through [Prepare].
func PairPrepared(p G1, q *PreparedG2) GT {
	var r GT
	r.e = millerLoop([]G1{p}, []*PreparedG2{q})
	r.e.finalExponentiation(&r.e)
	return r
}

// PairingCheck reports whether the product of all e(p[i], q[i]) is 1, which the
// empty product is. One Miller loop and one final exponentiation serve all
// pairs. For public values only. It panics if the slices differ in length.
func PairingCheck(p []G1, q []G2) bool {
	prepared := make([]*PreparedG2, len(q))
	for i := range q {
		prepared[i] = Prepare(q[i])
	}
	return PairingCheckPrepared(p, prepared)
}

// PairingCheckPrepared is [PairingCheck] for points of G2 that went through
// [Prepare].
func PairingCheckPrepared(p []G1, q []*PreparedG2) bool {
	f := millerLoop(p, q)
	f.finalExponentiation(&f)
	return GT{f}.IsOne()
}

// Equal reports whether a and b are the same element.
func (a GT) Equal(b GT) bool { return a == b }

// Mul returns a·b.
func (a GT) Mul(b GT) GT {
	a.e.mul(&a.e, &b.e)
	return a
}

// IsOne reports whether a is the neutral element.
func (a GT) IsOne() bool {
	var one GT
	one.e.setOne()
	return a == one
}

// Bytes returns the twelve coefficients of a, 32 bytes big-endian each: those
// of w⁰ to w⁵ over Fp2 in this order, the real part before the imaginary one.
func (a GT) Bytes() [GTSize]byte {
	var b [GTSize]byte
	e := &a.e
	for i, c := range []*fp2{&e.c0.b0, &e.c1.b0, &e.c0.b1, &e.c1.b1, &e.c0.b2, &e.c1.b2} {
		re, im := fpBytes(&c.a0), fpBytes(&c.a1)
		copy(b[64*i:], re[:])
		copy(b[64*i+32:], im[:])
	}
	return b
}

// evaluated is a point P of G1 as a line's value needs it, with its lines.
type evaluated struct {
	minusXOverY, oneOverY fp.Element
	lines                 []line
}

// mulLineAt multiplies f by the value at P of line k.
func (e *evaluated) mulLineAt(f *fp12, k int) {
	var l0, l1 fp2
	l0.mulFp(&e.lines[k].mu, &e.oneOverY)
	l1.mulFp(&e.lines[k].lambda, &e.minusXOverY)
	f.mulLine(f, &l0, &l1)
}

// millerLoop returns the product of the pairs' Miller functions, before the
// final exponentiation. A pair with infinity contributes 1.
func millerLoop(p []G1, q []*PreparedG2) fp12 {
	if len(p) != len(q) {
		panic("fp256bn: pairing: points of G1 and of G2 differ in number")
	}
	pairs := make([]evaluated, 0, len(p))
	for i := range p {
		if p[i].IsInfinity() || q[i].infinity {
			continue
		}
		e := evaluated{lines: q[i].lines}
		e.oneOverY.Inverse(&p[i].y) // y ≠ 0: there is no point of order 2
		e.minusXOverY.MulCT(&p[i].x, &e.oneOverY)
		e.minusXOverY.NegCT(&e.minusXOverY)
		pairs = append(pairs, e)
	}

	var f fp12
	f.setOne()
	if len(pairs) == 0 {
		return f
	}
	k := 0 // the next line
	next := func() {
		for i := range pairs {
			pairs[i].mulLineAt(&f, k)
		}
		k++
	}
	for i := len(minusAte) - 2; i >= 0; i-- {
		f.square(&f)
		next()
		if minusAte[i] != 0 {
			next()
		}
	}
	// The loop ran over -(6u+2), which is positive: invert, up to a factor
	// that the final exponentiation removes, before the last two lines.
	f.conj(&f)
	next()
	next()
	return f
}

// finalExponentiation sets z to x^((p¹²-1)/n) for x ≠ 0. The easy part is
// (p⁶-1)(p²+1); the hard part (p⁴-p²+1)/n follows Scott, Benger, Charlemagne,
// Dominguez Perez and Kachisa (ePrint 2008/490, §7.2): with the y below the
// power is y0·y1²·y2⁶·y3¹²·y4¹⁸·y5³⁰·y6³⁶.
func (z *fp12) finalExponentiation(x *fp12) *fp12 {
	var f, t fp12
	t.inverse(x)
	f.conj(x).mul(&f, &t)
	t.frobenius2(&f)
	f.mul(&t, &f)

	var fu, fu2, fu3 fp12 // f^u, f^(u²), f^(u³)
	fu.expU(&f)
	fu2.expU(&fu)
	fu3.expU(&fu2)

	var y0, y1, y2, y3, y4, y5, y6 fp12
	y0.frobenius(&f)
	t.frobenius2(&f)
	y0.mul(&y0, &t)
	y0.mul(&y0, t.frobenius(&t))
	y1.conj(&f)
	y2.frobenius2(&fu2)
	y3.frobenius(&fu).conj(&y3)
	y4.frobenius(&fu2).mul(&y4, &fu).conj(&y4)
	y5.conj(&fu2)
	y6.frobenius(&fu3).mul(&y6, &fu3).conj(&y6)

	var a, b fp12
	a.cyclotomicSquare(&y6).mul(&a, &y4).mul(&a, &y5)
	b.mul(&y3, &y5).mul(&b, &a)
	a.mul(&a, &y2)
	b.cyclotomicSquare(&b).mul(&b, &a).cyclotomicSquare(&b)
	a.mul(&b, &y1)
	b.mul(&b, &y0)
	a.cyclotomicSquare(&a)
	return z.mul(&a, &b)
}
