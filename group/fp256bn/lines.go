package fp256bn

// line is a line of the Miller loop of some Q, through T and T or T and ±Q,
// both on the twist: slope lambda, and mu = lambda·xT-yT. Untwisted by
// (x, y) → (x/w², y/w³) and scaled by w³/yP, which lies in Fp4 and so vanishes
// in the final exponentiation, its value at P is
//
//	mu/yP - lambda·(xP/yP)·v + v·w
type line struct{ lambda, mu fp2 }

// PreparedG2 holds the lines of a point's Miller loop: worth keeping for a
// point that is paired more than once. It takes about 11 kB and is not written
// to after [Prepare]. Its zero value is of no use: pairing with it panics.
type PreparedG2 struct {
	lines    []line // in the order of the loop
	infinity bool   // then there are no lines, and all pairings are 1
}

// Prepare computes the lines of q, about a third of a pairing's work.
func Prepare(q G2) *PreparedG2 {
	if q.IsInfinity() {
		return &PreparedG2{infinity: true}
	}
	s := lineSteps{
		lines:  make([]line, 0, lineCount),
		scales: make([]fp2, 0, lineCount),
	}
	s.t.setAffine(&q)
	minusQ := q.Neg()
	for i := len(minusAte) - 2; i >= 0; i-- {
		s.double()
		switch minusAte[i] {
		case 1:
			s.add(&q)
		case -1:
			s.add(&minusQ)
		}
	}
	// So far T = [-(6u+2)]Q. What follows adds π(Q) and -π²(Q) to [6u+2]Q.
	s.t.neg(&s.t)
	var q1, q2 G2
	q1.x.conj(&q.x).mul(&q1.x, &twistFrobeniusX)
	q1.y.conj(&q.y).mul(&q1.y, &twistFrobeniusY)
	q2.x.mulFp(&q.x, &twistFrobenius2X)
	q2.y = q.y
	s.add(&q1)
	s.add(&q2)
	s.normalise()
	return &PreparedG2{lines: s.lines}
}

// lineSteps walks through the multiples T of a point and collects the lines,
// each with a denominator in scales that is still to be divided by. For a Q of
// order n none is 0: T is never infinity nor ± the point added to it, being a
// multiple of Q by less than n in a row of others.
type lineSteps struct {
	t      g2Proj
	lines  []line
	scales []fp2
}

// double appends the tangent at T and doubles T, in the homogeneous
// coordinates of Costello, Lange and Naehrig (ePrint 2009/615, §5), here
// scaled by 4 to save the halvings. With B = Y², E = 3b'Z² and H = 2YZ
//
//	lambda = 3X²/H    mu = (B-E)/H
func (s *lineSteps) double() {
	t := &s.t
	var a, b, e, f, g, h, k fp2
	var l line
	a.mul(&t.x, &t.y)
	b.square(&t.y)
	e.square(&t.z)
	h.add(&t.y, &t.z)
	h.square(&h).sub(&h, &b).sub(&h, &e)
	fp2MulB3(&e, &e)
	f.double(&e).add(&f, &e)
	g.add(&b, &f)

	l.mu.sub(&b, &e)
	l.lambda.square(&t.x)
	k.double(&l.lambda)
	l.lambda.add(&l.lambda, &k)
	s.lines = append(s.lines, l)
	s.scales = append(s.scales, h)

	// X = 2XY(B-F), Y = (B+F)²-12E², Z = 4BH, where F = 3E.
	t.x.mul(a.double(&a), f.sub(&b, &f))
	k.square(&e)
	k.double(&k).double(&k)
	e.double(&k)
	k.add(&k, &e)
	t.y.sub(g.square(&g), &k)
	t.z.mul(&b, &h)
	t.z.double(&t.z).double(&t.z)
}

// add appends the line through T and q and adds q to T. With O = Y-yZ and
// L = X-xZ
//
//	lambda = O/L    mu = (x·O-y·L)/L
func (s *lineSteps) add(q *G2) {
	t := &s.t
	var o, l, c, d, e, g, h fp2
	var ln line
	o.sub(&t.y, o.mul(&q.y, &t.z))
	l.sub(&t.x, l.mul(&q.x, &t.z))

	ln.lambda = o
	ln.mu.mul(&q.x, &o)
	c.mul(&q.y, &l)
	ln.mu.sub(&ln.mu, &c)
	s.lines = append(s.lines, ln)
	s.scales = append(s.scales, l)

	// X = LH, Y = O(G-H)-YE, Z = ZE, where E = L³, G = XL², H = E+ZO²-2G.
	c.square(&o)
	d.square(&l)
	e.mul(&l, &d)
	g.mul(&t.x, &d)
	h.mul(&t.z, &c)
	h.add(&h, &e).sub(&h, &g).sub(&h, &g)
	t.x.mul(&l, &h)
	g.sub(&g, &h)
	g.mul(&g, &o)
	t.y.mul(&t.y, &e)
	t.y.sub(&g, &t.y)
	t.z.mul(&t.z, &e)
}

// normalise divides the lines by their denominators, with one inversion for
// all (Montgomery's trick).
func (s *lineSteps) normalise() {
	products := make([]fp2, len(s.scales)) // of the scales before each
	var all fp2
	all.a0.SetOne()
	for i := range s.scales {
		products[i] = all
		all.mul(&all, &s.scales[i])
	}
	all.inverse(&all)
	for i := len(s.scales) - 1; i >= 0; i-- {
		var inv fp2
		inv.mul(&all, &products[i])
		all.mul(&all, &s.scales[i])
		s.lines[i].lambda.mul(&s.lines[i].lambda, &inv)
		s.lines[i].mu.mul(&s.lines[i].mu, &inv)
	}
}
