package fp256bn

import "github.com/speciecash/specie/group/fp256bn/fp"

// oddTable is P, 3P, 5P, … of some point, and the abscissas of their images
// under φ.
type oddTable struct {
	odd    []G1
	images []fp.Element
}

// PreparedG1 holds multiples of a point of G1 that stands in many sums. It
// takes about 6 kB and is not written to after [PrepareG1]. Its zero value
// stands for infinity.
type PreparedG1 struct{ table oddTable }

// PrepareG1 computes the multiples of p, for [Term]. For public values only.
func PrepareG1(p G1) *PreparedG1 {
	if p.IsInfinity() {
		return &PreparedG1{}
	}
	return &PreparedG1{table: oddMultiples([]G1{p}, preparedCount)[0]}
}

// Term is the multiple [Scalar]Point of a sum, or that of the point that
// Prepared was made of, where it is set.
type Term struct {
	Point    G1
	Prepared *PreparedG1
	Scalar   Scalar
}

// Sums1 returns the sums of the given terms, infinity for none, in a time that
// depends on all of them: for public values only. A point that stands in
// several of the sums costs its table once, and all sums share one inversion.
func Sums1(sums ...[]Term) []G1 {
	tables := tablesOf(sums)
	out := make([]g1Jac, len(sums))
	var multiples []multiple
	for i, terms := range sums {
		multiples = multiples[:0]
		for k := range terms {
			t, width := tables[terms[k].Point], wnafWidth
			if p := terms[k].Prepared; p != nil {
				t, width = p.table, preparedWidth
			}
			if t.odd != nil {
				multiples = appendMultiples(multiples, t, &terms[k].Scalar, width)
			}
		}
		out[i].sum(multiples)
	}
	return affineAll(out)
}

// tablesOf makes the tables of all points of the sums that have none.
func tablesOf(sums [][]Term) map[G1]oddTable {
	tables := make(map[G1]oddTable)
	var points []G1
	for _, terms := range sums {
		for k := range terms {
			p := terms[k].Point
			if terms[k].Prepared != nil || p.IsInfinity() {
				continue
			}
			if _, ok := tables[p]; !ok {
				tables[p] = oddTable{}
				points = append(points, p)
			}
		}
	}
	for i, t := range oddMultiples(points, wnafEntries) {
		tables[points[i]] = t
	}
	return tables
}

// multiple is half of a term: a table and the recoded half of its scalar.
type multiple struct {
	odd []G1
	xs  []fp.Element // instead of odd's, if not nil
	k   wnaf
}

// appendMultiples appends [k1]P and [k2]φ(P) for k = k1+k2·λ. A scalar below
// 2^128, as random weights are, is short enough to stay whole.
func appendMultiples(to []multiple, t oddTable, k *Scalar, width int) []multiple {
	if w := k.words(); w[2]|w[3] == 0 {
		to = append(to, multiple{odd: t.odd})
		to[len(to)-1].k.set(&w, false, width)
		return to
	}
	k1, k2 := k.split()
	to = append(to, multiple{odd: t.odd}, multiple{odd: t.odd, xs: t.images})
	to[len(to)-2].k.set(&k1.abs, k1.negative != 0, width)
	to[len(to)-1].k.set(&k2.abs, k2.negative != 0, width)
	return to
}

// sum sets r to the sum of the multiples, with doublings shared by all
// (Straus).
func (r *g1Jac) sum(ms []multiple) {
	*r = g1Jac{}
	length := 0
	for i := range ms {
		length = max(length, ms[i].k.length)
	}
	for bit := length - 1; bit >= 0; bit-- {
		r.double(r)
		for i := range ms {
			d := int(ms[i].k.digits[bit])
			if d == 0 {
				continue
			}
			m := &ms[i]
			y := m.odd[abs(d)/2].y
			if d < 0 {
				y.NegCT(&y)
			}
			x := &m.odd[abs(d)/2].x
			if m.xs != nil {
				x = &m.xs[abs(d)/2]
			}
			r.addAffine(x, &y)
		}
	}
}

func abs(d int) int { return max(d, -d) }

// oddMultiples returns P, 3P, … (2·count-1)P for each of the points, none of
// which is infinity. The count is a power of two.
//
// All additions of one round are affine and share one inversion. No
// denominator is 0: the points added are different multiples of one point of
// order n by less than n/2, so neither equal nor opposite.
func oddMultiples(points []G1, count int) []oddTable {
	out := make([]oddTable, len(points))
	steps := make([]G1, len(points)) // [2·size]P
	var round chords
	for i := range points {
		out[i].odd = make([]G1, count)
		out[i].odd[0] = points[i]
		round.add(&steps[i], &out[i].odd[0], &out[i].odd[0])
	}
	round.run()
	for size := 1; size < count; size *= 2 {
		next := make([]G1, len(points))
		for i := range points {
			for k := range size {
				round.add(&out[i].odd[size+k], &out[i].odd[k], &steps[i])
			}
			if 2*size < count {
				round.add(&next[i], &steps[i], &steps[i])
			}
		}
		round.run()
		steps = next
	}
	for i := range out {
		out[i].images = make([]fp.Element, count)
		for k := range out[i].images {
			out[i].images[k].MulCT(&out[i].odd[k].x, &glvBeta)
		}
	}
	return out
}

// chords are additions of affine points that wait for a common inversion.
type chords struct {
	sums   []chord
	slopes []fp.Element // first the denominators
}

type chord struct{ to, p, q *G1 }

// add plans to = p+q for points that are neither infinity nor opposite.
func (c *chords) add(to, p, q *G1) {
	var d fp.Element
	if p == q {
		d.DoubleCT(&p.y)
	} else {
		d.SubCT(&q.x, &p.x)
	}
	c.sums, c.slopes = append(c.sums, chord{to, p, q}), append(c.slopes, d)
}

// run carries out what was planned and forgets it. No sum may be another's
// operand.
func (c *chords) run() {
	invertAll(c.slopes)
	for i, s := range c.sums {
		var n, x fp.Element
		if s.p == s.q {
			x.SquareCT(&s.p.x)
			n.DoubleCT(&x).AddCT(&n, &x)
		} else {
			n.SubCT(&s.q.y, &s.p.y)
		}
		slope := &c.slopes[i]
		slope.MulCT(slope, &n)
		x.SquareCT(slope)
		x.SubCT(&x, &s.p.x).SubCT(&x, &s.q.x)
		n.SubCT(&s.p.x, &x).MulCT(&n, slope)
		s.to.y.SubCT(&n, &s.p.y)
		s.to.x = x
	}
	c.sums, c.slopes = c.sums[:0], c.slopes[:0]
}
