package fp256bn

// fp12 is an element c0+c1·w of Fp12 = Fp6[w]/(w²-v), so that w⁶ = ξ.
// Arguments of its methods may alias the receiver.
type fp12 struct{ c0, c1 fp6 }

func (z *fp12) setOne() *fp12 {
	z.c0.setOne()
	z.c1 = fp6{}
	return z
}

func (z *fp12) mul(x, y *fp12) *fp12 {
	var t0, t1, s, r fp6
	t0.mul(&x.c0, &y.c0)
	t1.mul(&x.c1, &y.c1)
	s.add(&x.c0, &x.c1)
	r.add(&y.c0, &y.c1)
	s.mul(&s, &r)
	z.c1.sub(s.sub(&s, &t0), &t1)
	z.c0.add(&t0, t1.mulV(&t1))
	return z
}

// square sets z to x²: c0²+v·c1² = (c0+c1)(c0+v·c1) - c0·c1 - v·c0·c1.
func (z *fp12) square(x *fp12) *fp12 {
	var m, s, r fp6
	m.mul(&x.c0, &x.c1)
	s.add(&x.c0, &x.c1)
	r.mulV(&x.c1)
	r.add(&r, &x.c0)
	s.mul(&s, &r)
	s.sub(&s, &m)
	z.c1.double(&m)
	z.c0.sub(&s, m.mulV(&m))
	return z
}

// mulLine sets z to x·(l0 + l1·v + v·w), the form of a line's value.
func (z *fp12) mulLine(x *fp12, l0, l1 *fp2) *fp12 {
	var t0, t1, s fp6
	var l fp2
	t0.mul01(&x.c0, l0, l1)
	t1.mulV(&x.c1)
	s.add(&x.c0, &x.c1)
	l.a0.SetOne()
	l.add(&l, l1)
	s.mul01(&s, l0, &l)
	z.c1.sub(s.sub(&s, &t0), &t1)
	z.c0.add(&t0, t1.mulV(&t1))
	return z
}

// conj sets z to c0-c1·w, which is x^(p⁶), and 1/x for x in the cyclotomic
// subgroup.
func (z *fp12) conj(x *fp12) *fp12 {
	z.c0 = x.c0
	z.c1.neg(&x.c1)
	return z
}

// inverse sets z to 1/x, and to 0 if x is 0.
func (z *fp12) inverse(x *fp12) *fp12 {
	var norm, t fp6
	norm.mul(&x.c0, &x.c0)
	t.mul(&x.c1, &x.c1)
	norm.sub(&norm, t.mulV(&t))
	norm.inverse(&norm)
	z.c0.mul(&x.c0, &norm)
	z.c1.mul(t.neg(&x.c1), &norm)
	return z
}

// frobenius sets z to x^p: the coefficient of w^j is conjugated and multiplied
// by ξ^(j(p-1)/6).
func (z *fp12) frobenius(x *fp12) *fp12 {
	g := &frobenius1
	z.c0.b0.conj(&x.c0.b0)
	z.c1.b0.conj(&x.c1.b0).mul(&z.c1.b0, &g[1])
	z.c0.b1.conj(&x.c0.b1).mul(&z.c0.b1, &g[2])
	z.c1.b1.conj(&x.c1.b1).mul(&z.c1.b1, &g[3])
	z.c0.b2.conj(&x.c0.b2).mul(&z.c0.b2, &g[4])
	z.c1.b2.conj(&x.c1.b2).mul(&z.c1.b2, &g[5])
	return z
}

// frobenius2 sets z to x^(p²): the coefficient of w^j is multiplied by
// ξ^(j(p²-1)/6), which is in Fp.
func (z *fp12) frobenius2(x *fp12) *fp12 {
	g := &frobenius2
	z.c0.b0 = x.c0.b0
	z.c1.b0.mulFp(&x.c1.b0, &g[1])
	z.c0.b1.mulFp(&x.c0.b1, &g[2])
	z.c1.b1.mulFp(&x.c1.b1, &g[3])
	z.c0.b2.mulFp(&x.c0.b2, &g[4])
	z.c1.b2.mulFp(&x.c1.b2, &g[5])
	return z
}

// cyclotomicSquare sets z to x² for an x in the cyclotomic subgroup, of order
// p⁴-p²+1 (Granger and Scott, ePrint 2009/565, §3.2). Its three squarings in
// Fp4 are those of the pairs of coefficients (w⁰, w³), (w, w⁴), (w², w⁵).
func (z *fp12) cyclotomicSquare(x *fp12) *fp12 {
	var a0, a1, b0, b1, c0, c1 fp2
	fp4Square(&a0, &a1, &x.c0.b0, &x.c1.b1)
	fp4Square(&b0, &b1, &x.c1.b0, &x.c0.b2)
	fp4Square(&c0, &c1, &x.c0.b1, &x.c1.b2)

	c1.mulXi(&c1)
	tripleMinusTwice(&z.c0.b0, &a0, &x.c0.b0)
	tripleMinusTwice(&z.c0.b1, &b0, &x.c0.b1)
	tripleMinusTwice(&z.c0.b2, &c0, &x.c0.b2)
	triplePlusTwice(&z.c1.b0, &c1, &x.c1.b0)
	triplePlusTwice(&z.c1.b1, &a1, &x.c1.b1)
	triplePlusTwice(&z.c1.b2, &b1, &x.c1.b2)
	return z
}

// fp4Square sets r0+r1·s to (x0+x1·s)² in Fp4 = Fp2[s]/(s²-ξ).
func fp4Square(r0, r1, x0, x1 *fp2) {
	var t0, t1, s fp2
	t0.square(x0)
	t1.square(x1)
	s.add(x0, x1)
	s.square(&s)
	r1.sub(s.sub(&s, &t0), &t1)
	r0.add(&t0, t1.mulXi(&t1))
}

// tripleMinusTwice sets z to 3t-2x = 2(t-x)+t.
func tripleMinusTwice(z, t, x *fp2) {
	z.sub(t, x).double(z).add(z, t)
}

// triplePlusTwice sets z to 3t+2x = 2(t+x)+t.
func triplePlusTwice(z, t, x *fp2) {
	z.add(t, x).double(z).add(z, t)
}

// expU sets z to x^u for an x in the cyclotomic subgroup. u is negative: the
// power of |u| is conjugated.
func (z *fp12) expU(x *fp12) *fp12 {
	var inverse fp12
	inverse.conj(x)
	r := *x // the leading digit, always 1
	for i := len(minusU) - 2; i >= 0; i-- {
		r.cyclotomicSquare(&r)
		switch minusU[i] {
		case 1:
			r.mul(&r, x)
		case -1:
			r.mul(&r, &inverse)
		}
	}
	return z.conj(&r)
}
