package fp256bn

import "github.com/speciecash/specie/group/fp256bn/fp"

// g2Proj is a point of E'(Fp2) in homogeneous coordinates: x = X/Z, y = Y/Z,
// infinity is (0:1:0). Its zero value is not a point.
type g2Proj struct{ x, y, z fp2 }

// setInfinity sets p to the neutral element.
func (p *g2Proj) setInfinity() *g2Proj {
	*p = g2Proj{}
	p.y.a0.SetOne()
	return p
}

// setAffine sets p to a.
func (p *g2Proj) setAffine(a *G2) *g2Proj {
	one := fp2{a0: fp.One()}
	infinity := a.x.zeroMask() & a.y.zeroMask()
	p.x = a.x
	fp2Select(&p.y, &a.y, &one, infinity)
	fp2Select(&p.z, &one, &fp2{}, infinity)
	return p
}

// affine returns p in affine form. The inverse of 0 being 0, infinity comes
// out as (0, 0).
func (p *g2Proj) affine() G2 {
	var inv fp2
	var a G2
	inv.inverse(&p.z)
	a.x.mul(&p.x, &inv)
	a.y.mul(&p.y, &inv)
	return a
}

// fp2MulB3 sets z to 9ξx, three times the twist's constant times x.
func fp2MulB3(z, x *fp2) {
	var t fp2
	t.mulXi(x)
	z.double(&t).double(z).double(z).add(z, &t)
}

// add sets r = p+q: algorithm 7 of ePrint 2015/1060, complete. Arguments may
// alias r.
func (r *g2Proj) add(p, q *g2Proj) *g2Proj {
	var t0, t1, t2, t3, t4, x3, y3, z3 fp2
	t0.mul(&p.x, &q.x)
	t1.mul(&p.y, &q.y)
	t2.mul(&p.z, &q.z)
	t3.add(&p.x, &p.y)
	t4.add(&q.x, &q.y)
	t3.mul(&t3, &t4)
	t4.add(&t0, &t1)
	t3.sub(&t3, &t4) // X1·Y2 + X2·Y1
	t4.add(&p.y, &p.z)
	x3.add(&q.y, &q.z)
	t4.mul(&t4, &x3)
	x3.add(&t1, &t2)
	t4.sub(&t4, &x3) // Y1·Z2 + Y2·Z1
	x3.add(&p.x, &p.z)
	y3.add(&q.x, &q.z)
	x3.mul(&x3, &y3)
	y3.add(&t0, &t2)
	y3.sub(&x3, &y3) // X1·Z2 + X2·Z1
	x3.double(&t0)
	t0.add(&x3, &t0)
	fp2MulB3(&t2, &t2)
	z3.add(&t1, &t2)
	t1.sub(&t1, &t2)
	fp2MulB3(&y3, &y3)
	x3.mul(&t4, &y3)
	t2.mul(&t3, &t1)
	r.x.sub(&t2, &x3)
	y3.mul(&y3, &t0)
	t1.mul(&t1, &z3)
	r.y.add(&t1, &y3)
	t0.mul(&t0, &t3)
	z3.mul(&z3, &t4)
	r.z.add(&z3, &t0)
	return r
}

// double sets r = 2p: algorithm 9 of ePrint 2015/1060, complete. p may be r.
func (r *g2Proj) double(p *g2Proj) *g2Proj {
	var t0, t1, t2, x3, y3, z3 fp2
	t0.square(&p.y)
	z3.double(&t0).double(&z3).double(&z3)
	t1.mul(&p.y, &p.z)
	t2.square(&p.z)
	fp2MulB3(&t2, &t2)
	x3.mul(&t2, &z3)
	y3.add(&t0, &t2)
	z3.mul(&t1, &z3)
	t1.double(&t2)
	t2.add(&t1, &t2)
	t0.sub(&t0, &t2)
	y3.mul(&t0, &y3)
	t1.mul(&p.x, &p.y)
	r.y.add(&x3, &y3)
	x3.mul(&t0, &t1)
	r.x.double(&x3)
	r.z = z3
	return r
}

// neg sets r = -p.
func (r *g2Proj) neg(p *g2Proj) *g2Proj {
	r.x, r.z = p.x, p.z
	r.y.neg(&p.y)
	return r
}

// mul sets r = [k]a in constant time: 64 windows of 4 bits, most significant
// first, each of four doublings and one addition out of a table of 16, zero's
// entry included, that is read whole every time.
func (r *g2Proj) mul(a *G2, k *Scalar) *g2Proj {
	var table [16]g2Proj
	table[0].setInfinity()
	table[1].setAffine(a)
	for i := 2; i < len(table); i++ {
		table[i].add(&table[i-1], &table[1])
	}
	w := k.words()
	r.setInfinity()
	for i := 63; i >= 0; i-- {
		r.double(r).double(r).double(r).double(r)
		var entry g2Proj
		digit := w[i/16] >> (i % 16 * 4) & 15
		for j := range table {
			entry.selectFrom(&table[j], zeroMask(digit^uint64(j)))
		}
		r.add(r, &entry)
	}
	return r
}

// selectFrom sets p to q where mask is all ones and leaves it where it is zero.
func (p *g2Proj) selectFrom(q *g2Proj, mask uint64) {
	fp2Select(&p.x, &p.x, &q.x, mask)
	fp2Select(&p.y, &p.y, &q.y, mask)
	fp2Select(&p.z, &p.z, &q.z, mask)
}
