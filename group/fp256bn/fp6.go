package fp256bn

// fp6 is an element b0+b1·v+b2·v² of Fp6 = Fp2[v]/(v³-ξ). Arguments of its
// methods may alias the receiver.
type fp6 struct{ b0, b1, b2 fp2 }

func (z *fp6) setOne() *fp6 {
	*z = fp6{}
	z.b0.a0.SetOne()
	return z
}

func (z *fp6) add(x, y *fp6) *fp6 {
	z.b0.add(&x.b0, &y.b0)
	z.b1.add(&x.b1, &y.b1)
	z.b2.add(&x.b2, &y.b2)
	return z
}

func (z *fp6) sub(x, y *fp6) *fp6 {
	z.b0.sub(&x.b0, &y.b0)
	z.b1.sub(&x.b1, &y.b1)
	z.b2.sub(&x.b2, &y.b2)
	return z
}

func (z *fp6) double(x *fp6) *fp6 { return z.add(x, x) }

func (z *fp6) neg(x *fp6) *fp6 {
	z.b0.neg(&x.b0)
	z.b1.neg(&x.b1)
	z.b2.neg(&x.b2)
	return z
}

// mulV sets z to x·v.
func (z *fp6) mulV(x *fp6) *fp6 {
	var t fp2
	t.mulXi(&x.b2)
	z.b0, z.b1, z.b2 = t, x.b0, x.b1
	return z
}

// mul sets z to x·y, by Karatsuba's method with six products in Fp2.
func (z *fp6) mul(x, y *fp6) *fp6 {
	var t0, t1, t2, c0, c1, c2, s fp2
	t0.mul(&x.b0, &y.b0)
	t1.mul(&x.b1, &y.b1)
	t2.mul(&x.b2, &y.b2)

	c0.add(&x.b1, &x.b2)
	s.add(&y.b1, &y.b2)
	c0.mul(&c0, &s)
	c0.sub(&c0, &t1).sub(&c0, &t2).mulXi(&c0).add(&c0, &t0)

	c1.add(&x.b0, &x.b1)
	s.add(&y.b0, &y.b1)
	c1.mul(&c1, &s)
	c1.sub(&c1, &t0).sub(&c1, &t1).add(&c1, s.mulXi(&t2))

	c2.add(&x.b0, &x.b2)
	s.add(&y.b0, &y.b2)
	c2.mul(&c2, &s)
	c2.sub(&c2, &t0).sub(&c2, &t2).add(&c2, &t1)

	z.b0, z.b1, z.b2 = c0, c1, c2
	return z
}

// mul01 sets z to x·(y0+y1·v).
func (z *fp6) mul01(x *fp6, y0, y1 *fp2) *fp6 {
	var t0, t1, c0, c1, c2, s fp2
	t0.mul(&x.b0, y0)
	t1.mul(&x.b1, y1)

	c0.mul(&x.b2, y1)
	c0.mulXi(&c0).add(&c0, &t0)

	c1.add(&x.b0, &x.b1)
	s.add(y0, y1)
	c1.mul(&c1, &s)
	c1.sub(&c1, &t0).sub(&c1, &t1)

	c2.mul(&x.b2, y0)
	c2.add(&c2, &t1)

	z.b0, z.b1, z.b2 = c0, c1, c2
	return z
}

// inverse sets z to 1/x, and to 0 if x is 0.
func (z *fp6) inverse(x *fp6) *fp6 {
	var c0, c1, c2, t, norm fp2
	// The cofactors: c0 = b0²-ξ·b1·b2, c1 = ξ·b2²-b0·b1, c2 = b1²-b0·b2.
	c0.square(&x.b0)
	t.mul(&x.b1, &x.b2)
	c0.sub(&c0, t.mulXi(&t))
	c1.square(&x.b2)
	c1.mulXi(&c1)
	c1.sub(&c1, t.mul(&x.b0, &x.b1))
	c2.square(&x.b1)
	c2.sub(&c2, t.mul(&x.b0, &x.b2))
	// The norm: b0·c0 + ξ·(b2·c1 + b1·c2).
	norm.mul(&x.b2, &c1)
	norm.add(&norm, t.mul(&x.b1, &c2))
	norm.mulXi(&norm)
	norm.add(&norm, t.mul(&x.b0, &c0))
	norm.inverse(&norm)
	z.b0.mul(&c0, &norm)
	z.b1.mul(&c1, &norm)
	z.b2.mul(&c2, &norm)
	return z
}
