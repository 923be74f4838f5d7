package fp256bn

import "github.com/speciecash/specie/group/fp256bn/fp"

// g1Proj is a point of E(Fp) in homogeneous coordinates: x = X/Z, y = Y/Z,
// infinity is (0:1:0). Its zero value is not a point.
type g1Proj struct{ x, y, z fp.Element }

// setInfinity sets p to the neutral element.
func (p *g1Proj) setInfinity() *g1Proj {
	*p = g1Proj{}
	p.y.SetOne()
	return p
}

// setAffine sets p to a.
func (p *g1Proj) setAffine(a *G1) *g1Proj {
	one := fp.One()
	infinity := fpZeroMask(&a.x) & fpZeroMask(&a.y)
	p.x = a.x
	fpSelect(&p.y, &a.y, &one, infinity)
	fpSelect(&p.z, &one, &fp.Element{}, infinity)
	return p
}

// affine returns p in affine form. The inverse of 0 being 0, infinity comes
// out as (0, 0).
func (p *g1Proj) affine() G1 {
	var inv fp.Element
	var a G1
	inv.InverseCT(&p.z)
	a.x.MulCT(&p.x, &inv)
	a.y.MulCT(&p.y, &inv)
	return a
}

// fpMulB3 sets z to 9x, three times the curve's constant times x.
func fpMulB3(z, x *fp.Element) {
	t := *x
	z.DoubleCT(x).DoubleCT(z).DoubleCT(z).AddCT(z, &t)
}

// add sets r = p+q: algorithm 7 of ePrint 2015/1060, complete. Arguments may
// alias r.
func (r *g1Proj) add(p, q *g1Proj) *g1Proj {
	var t0, t1, t2, t3, t4, x3, y3, z3 fp.Element
	t0.MulCT(&p.x, &q.x)
	t1.MulCT(&p.y, &q.y)
	t2.MulCT(&p.z, &q.z)
	t3.AddCT(&p.x, &p.y)
	t4.AddCT(&q.x, &q.y)
	t3.MulCT(&t3, &t4)
	t4.AddCT(&t0, &t1)
	t3.SubCT(&t3, &t4) // X1·Y2 + X2·Y1
	t4.AddCT(&p.y, &p.z)
	x3.AddCT(&q.y, &q.z)
	t4.MulCT(&t4, &x3)
	x3.AddCT(&t1, &t2)
	t4.SubCT(&t4, &x3) // Y1·Z2 + Y2·Z1
	x3.AddCT(&p.x, &p.z)
	y3.AddCT(&q.x, &q.z)
	x3.MulCT(&x3, &y3)
	y3.AddCT(&t0, &t2)
	y3.SubCT(&x3, &y3) // X1·Z2 + X2·Z1
	x3.DoubleCT(&t0)
	t0.AddCT(&x3, &t0)
	fpMulB3(&t2, &t2)
	z3.AddCT(&t1, &t2)
	t1.SubCT(&t1, &t2)
	fpMulB3(&y3, &y3)
	x3.MulCT(&t4, &y3)
	t2.MulCT(&t3, &t1)
	r.x.SubCT(&t2, &x3)
	y3.MulCT(&y3, &t0)
	t1.MulCT(&t1, &z3)
	r.y.AddCT(&t1, &y3)
	t0.MulCT(&t0, &t3)
	z3.MulCT(&z3, &t4)
	r.z.AddCT(&z3, &t0)
	return r
}

// double sets r = 2p: algorithm 9 of ePrint 2015/1060, complete. p may be r.
func (r *g1Proj) double(p *g1Proj) *g1Proj {
	var t0, t1, t2, x3, y3, z3 fp.Element
	t0.SquareCT(&p.y)
	z3.DoubleCT(&t0).DoubleCT(&z3).DoubleCT(&z3)
	t1.MulCT(&p.y, &p.z)
	t2.SquareCT(&p.z)
	fpMulB3(&t2, &t2)
	x3.MulCT(&t2, &z3)
	y3.AddCT(&t0, &t2)
	z3.MulCT(&t1, &z3)
	t1.DoubleCT(&t2)
	t2.AddCT(&t1, &t2)
	t0.SubCT(&t0, &t2)
	y3.MulCT(&t0, &y3)
	t1.MulCT(&p.x, &p.y)
	r.y.AddCT(&x3, &y3)
	x3.MulCT(&t0, &t1)
	r.x.DoubleCT(&x3)
	r.z = z3
	return r
}

// neg sets r = -p.
func (r *g1Proj) neg(p *g1Proj) *g1Proj {
	r.x, r.z = p.x, p.z
	r.y.NegCT(&p.y)
	return r
}

// mul sets r = [k]a in constant time: of both halves of k, 32 windows of 4
// bits, most significant first, each worth an addition out of one table of 16,
// zero's entry included, that is read whole every time.
func (r *g1Proj) mul(a *G1, k *Scalar) *g1Proj {
	var table [16]g1Proj
	table[0].setInfinity()
	table[1].setAffine(a)
	for i := 2; i < len(table); i++ {
		table[i].add(&table[i-1], &table[1])
	}
	k1, k2 := k.split()
	r.setInfinity()
	for i := 31; i >= 0; i-- {
		r.double(r).double(r).double(r).double(r)
		var entry g1Proj
		r.add(r, entry.lookUp(&table, &k1, i))
		r.add(r, entry.phi(entry.lookUp(&table, &k2, i)))
	}
	return r
}

// lookUp sets p to the multiple of table's point that window i of k asks for.
func (p *g1Proj) lookUp(table *[16]g1Proj, k *half, i int) *g1Proj {
	digit := k.abs[i/16] >> (i % 16 * 4) & 15
	for j := range table {
		p.selectFrom(&table[j], zeroMask(digit^uint64(j)))
	}
	var minus g1Proj
	p.selectFrom(minus.neg(p), k.negative)
	return p
}

// selectFrom sets p to q where mask is all ones and leaves it where it is zero.
func (p *g1Proj) selectFrom(q *g1Proj, mask uint64) {
	fpSelect(&p.x, &p.x, &q.x, mask)
	fpSelect(&p.y, &p.y, &q.y, mask)
	fpSelect(&p.z, &p.z, &q.z, mask)
}
