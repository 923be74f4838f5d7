package fp256bn

import "github.com/speciecash/specie/group/fp256bn/fp"

// g1Jac is a point of E(Fp) in Jacobian coordinates, x = X/Z², y = Y/Z³, with
// Z = 0 for infinity, the zero value. Its formulas have exceptional cases and
// are told apart by branches: it is for public values only, where it costs a
// fifth less than g1Proj.
type g1Jac struct{ x, y, z fp.Element }

// double sets r = 2p: dbl-2009-l of the Explicit-Formulas Database. p may be
// r. Infinity comes out as infinity; there is no point of order 2.
func (r *g1Jac) double(p *g1Jac) *g1Jac {
	var a, b, c, d, e, f fp.Element
	a.SquareCT(&p.x)
	b.SquareCT(&p.y)
	c.SquareCT(&b)
	d.AddCT(&p.x, &b)
	d.SquareCT(&d).SubCT(&d, &a).SubCT(&d, &c).DoubleCT(&d)
	e.DoubleCT(&a).AddCT(&e, &a)
	f.SquareCT(&e)
	r.z.MulCT(&p.y, &p.z)
	r.z.DoubleCT(&r.z)
	r.x.SubCT(&f, &d).SubCT(&r.x, &d)
	d.SubCT(&d, &r.x).MulCT(&d, &e)
	c.DoubleCT(&c).DoubleCT(&c).DoubleCT(&c)
	r.y.SubCT(&d, &c)
	return r
}

// addAffine sets r = r+(x, y) for a point that is not infinity.
func (r *g1Jac) addAffine(x, y *fp.Element) {
	if r.z.IsZero() {
		r.x, r.y, r.z = *x, *y, fp.One()
		return
	}
	var zz, h, s, hh, hhh, v fp.Element
	zz.SquareCT(&r.z)
	h.MulCT(x, &zz)
	h.SubCT(&h, &r.x)
	s.MulCT(&zz, &r.z)
	s.MulCT(&s, y).SubCT(&s, &r.y)
	if h.IsZero() {
		if s.IsZero() {
			r.double(r)
		} else {
			*r = g1Jac{}
		}
		return
	}
	hh.SquareCT(&h)
	hhh.MulCT(&hh, &h)
	v.MulCT(&r.x, &hh)
	r.z.MulCT(&r.z, &h)
	r.x.SquareCT(&s).SubCT(&r.x, &hhh).SubCT(&r.x, &v).SubCT(&r.x, &v)
	v.SubCT(&v, &r.x).MulCT(&v, &s)
	hhh.MulCT(&hhh, &r.y)
	r.y.SubCT(&v, &hhh)
}

// affineAll returns the points in affine form, with one inversion for all.
func affineAll(ps []g1Jac) []G1 {
	inverses := make([]fp.Element, len(ps))
	for i := range ps {
		inverses[i] = ps[i].z
	}
	invertAll(inverses)
	out := make([]G1, len(ps))
	for i := range ps {
		var square fp.Element
		square.SquareCT(&inverses[i])
		out[i].x.MulCT(&ps[i].x, &square)
		square.MulCT(&square, &inverses[i])
		out[i].y.MulCT(&ps[i].y, &square)
	}
	return out
}

// invertAll inverts the elements with one inversion for all (Montgomery's
// trick), and leaves 0 as it is. Its time depends on them.
func invertAll(xs []fp.Element) {
	if len(xs) == 0 {
		return
	}
	before := make([]fp.Element, len(xs)) // the products of those before each
	all := fp.One()
	for i := range xs {
		before[i] = all
		if !xs[i].IsZero() {
			all.MulCT(&all, &xs[i])
		}
	}
	all.Inverse(&all)
	for i := len(xs) - 1; i >= 0; i-- {
		if xs[i].IsZero() {
			continue
		}
		before[i].MulCT(&before[i], &all)
		all.MulCT(&all, &xs[i])
		xs[i] = before[i]
	}
}
