package fp256bn

import "github.com/speciecash/specie/group/fp256bn/fp"

// fp2 is an element a0+a1·i of Fp2 = Fp[i]/(i²+1). Arguments of its methods
// may alias the receiver. All but sqrt are constant time.
type fp2 struct{ a0, a1 fp.Element }

func (z *fp2) add(x, y *fp2) *fp2 {
	z.a0.AddCT(&x.a0, &y.a0)
	z.a1.AddCT(&x.a1, &y.a1)
	return z
}

func (z *fp2) sub(x, y *fp2) *fp2 {
	z.a0.SubCT(&x.a0, &y.a0)
	z.a1.SubCT(&x.a1, &y.a1)
	return z
}

func (z *fp2) double(x *fp2) *fp2 { return z.add(x, x) }

func (z *fp2) neg(x *fp2) *fp2 {
	z.a0.NegCT(&x.a0)
	z.a1.NegCT(&x.a1)
	return z
}

// conj sets z to the conjugate a0-a1·i, which is also x^p.
func (z *fp2) conj(x *fp2) *fp2 {
	z.a0 = x.a0
	z.a1.NegCT(&x.a1)
	return z
}

func (z *fp2) mul(x, y *fp2) *fp2 {
	var t0, t1, s, r fp.Element
	t0.MulCT(&x.a0, &y.a0)
	t1.MulCT(&x.a1, &y.a1)
	s.AddCT(&x.a0, &x.a1)
	r.AddCT(&y.a0, &y.a1)
	s.MulCT(&s, &r)
	z.a0.SubCT(&t0, &t1)
	z.a1.SubCT(s.SubCT(&s, &t0), &t1)
	return z
}

func (z *fp2) square(x *fp2) *fp2 {
	var s, d, m fp.Element
	s.AddCT(&x.a0, &x.a1)
	d.SubCT(&x.a0, &x.a1)
	m.MulCT(&x.a0, &x.a1)
	z.a0.MulCT(&s, &d)
	z.a1.DoubleCT(&m)
	return z
}

// mulFp sets z to x times the base field element y.
func (z *fp2) mulFp(x *fp2, y *fp.Element) *fp2 {
	z.a0.MulCT(&x.a0, y)
	z.a1.MulCT(&x.a1, y)
	return z
}

// mulXi sets z to x·ξ = (a0-a1) + (a0+a1)·i.
func (z *fp2) mulXi(x *fp2) *fp2 {
	var t fp.Element
	t.SubCT(&x.a0, &x.a1)
	z.a1.AddCT(&x.a0, &x.a1)
	z.a0 = t
	return z
}

// inverse sets z to 1/x, and to 0 if x is 0.
func (z *fp2) inverse(x *fp2) *fp2 {
	var norm, t fp.Element
	norm.SquareCT(&x.a0)
	t.SquareCT(&x.a1)
	norm.AddCT(&norm, &t)
	norm.InverseCT(&norm)
	z.a0.MulCT(&x.a0, &norm)
	z.a1.MulCT(t.NegCT(&x.a1), &norm)
	return z
}

// sqrt sets z to a square root of x and reports whether there is one. If there
// is none z is left in an undefined state.
//
// With x = a0+a1·i and s² = a0²+a1², a root r0+r1·i has r0² = (a0±s)/2 and
// r1 = a1/(2·r0). If a1 is 0 then r0 may be 0 as well, and the root is that of
// -a0 times i.
func (z *fp2) sqrt(x *fp2) bool {
	var s, t, r0, r1 fp.Element
	s.SquareCT(&x.a0)
	t.SquareCT(&x.a1)
	s.AddCT(&s, &t)
	if !fpSqrt(&s, &s) {
		return false
	}
	t.AddCT(&x.a0, &s)
	t.Halve()
	if !fpSqrt(&r0, &t) {
		t.SubCT(&x.a0, &s)
		t.Halve()
		if !fpSqrt(&r0, &t) {
			return false
		}
	}
	if r0.IsZero() {
		t.NegCT(&x.a0)
		if !fpSqrt(&r1, &t) {
			return false
		}
	} else {
		t.DoubleCT(&r0)
		t.InverseCT(&t)
		r1.MulCT(&x.a1, &t)
	}
	root := fp2{r0, r1}
	var square fp2
	square.square(&root)
	ok := square == *x // before z is written: it may be x
	*z = root
	return ok
}

// isZero reports whether x is 0.
func (x *fp2) isZero() bool { return x.zeroMask() != 0 }

// zeroMask returns all ones if x is zero, else zero.
func (x *fp2) zeroMask() uint64 { return fpZeroMask(&x.a0) & fpZeroMask(&x.a1) }

// odd returns the sign of x as RFC 9380 §4.1 (sgn0) has it: the parity of a0,
// or that of a1 if a0 is 0. It differs between x and -x for every x but 0.
func (x *fp2) odd() byte {
	return fpOdd(&x.a0) | byte(fpZeroMask(&x.a0))&fpOdd(&x.a1)
}

// fp2Select sets z to y where mask is all ones, to x where it is zero.
func fp2Select(z, x, y *fp2, mask uint64) {
	fpSelect(&z.a0, &x.a0, &y.a0, mask)
	fpSelect(&z.a1, &x.a1, &y.a1, mask)
}
