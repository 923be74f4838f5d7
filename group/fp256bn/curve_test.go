package fp256bn

import (
	"math/big"
	"slices"
	"testing"
)

// group is what G1 and G2 have in common, for tests that hold in both.
type group[P any] interface {
	Add(P) P
	Sub(P) P
	Neg() P
	Mul(Scalar) P
	MulVartime(Scalar) P
	Equal(P) bool
	IsInfinity() bool
}

type groupTest[P group[P]] struct {
	generator P
	msm       func([]P, []Scalar) P
	ref       func(P) refPoint
}

func TestG1(t *testing.T) { groupTest[G1]{Generator1(), MSM1, refOfG1}.run(t) }
func TestG2(t *testing.T) { groupTest[G2]{Generator2(), MSM2, refOfG2}.run(t) }

func (g groupTest[P]) run(t *testing.T) {
	t.Run("the generator has order n", g.testOrder)
	t.Run("addition agrees with chords and tangents", g.testAddition)
	t.Run("multiplication agrees with double and add", g.testMultiplication)
	t.Run("multiples add up", g.testMultiples)
	t.Run("sums of multiples agree with their parts", g.testMSM)
}

func (g groupTest[P]) testOrder(t *testing.T) {
	if !g.ref(g.generator).mul(bigN).infinity {
		t.Error("by the reference it has not")
	}
	var zero P
	minusOne := ScalarFromUint64(1).Neg()
	for _, p := range []P{g.generator.Mul(minusOne), g.generator.MulVartime(minusOne)} {
		if !p.Equal(g.generator.Neg()) || !p.Add(g.generator).Equal(zero) {
			t.Error("[n-1]P is not -P")
		}
	}
	if !zero.IsInfinity() || g.generator.IsInfinity() {
		t.Error("IsInfinity")
	}
}

func (g groupTest[P]) testAddition(t *testing.T) {
	r := newRandom()
	p, q := g.generator.Mul(r.scalar()), g.generator.Mul(r.scalar())
	var zero P
	points := []P{zero, g.generator, g.generator.Neg(), g.generator.Add(g.generator), p, p.Neg(), p.Add(p), q, q.Add(p)}
	for i, a := range points {
		if got := g.ref(a.Neg()); !g.ref(a).add(got).infinity {
			t.Errorf("-P%d", i)
		}
		for j, b := range points {
			if !g.ref(a.Add(b)).equal(g.ref(a).add(g.ref(b))) {
				t.Errorf("P%d+P%d", i, j)
			}
			if !g.ref(a.Sub(b)).equal(g.ref(a).add(g.ref(b.Neg()))) {
				t.Errorf("P%d-P%d", i, j)
			}
			if a.Equal(b) != g.ref(a).equal(g.ref(b)) {
				t.Errorf("P%d equals P%d: %v", i, j, a.Equal(b))
			}
		}
	}
}

func (g groupTest[P]) testMultiplication(t *testing.T) {
	r := newRandom()
	var zero P
	scalars := append(edgeScalars(t), r.scalar(), r.scalar())
	for _, p := range []P{g.generator, g.generator.Mul(r.scalar()), zero} {
		for _, k := range scalars {
			want := g.ref(p).mul(bigScalar(k))
			if !g.ref(p.Mul(k)).equal(want) {
				t.Errorf("Mul by %x", bigScalar(k))
			}
			if !g.ref(p.MulVartime(k)).equal(want) {
				t.Errorf("MulVartime by %x", bigScalar(k))
			}
		}
	}
}

func (g groupTest[P]) testMultiples(t *testing.T) {
	// All small multiples go through every entry of the tables.
	var sum P
	for k := range uint64(100) {
		s := ScalarFromUint64(k)
		if !g.generator.Mul(s).Equal(sum) || !g.generator.MulVartime(s).Equal(sum) {
			t.Errorf("[%d]P", k)
		}
		if !g.generator.Mul(s.Neg()).Equal(sum.Neg()) || !g.generator.MulVartime(s.Neg()).Equal(sum.Neg()) {
			t.Errorf("[-%d]P", k)
		}
		sum = sum.Add(g.generator)
	}
	r := newRandom()
	for range 20 {
		a, b := r.scalar(), r.scalar()
		p := g.generator.Mul(a)
		if !p.Add(g.generator.Mul(b)).Equal(g.generator.Mul(a.Add(b))) {
			t.Error("[a]P+[b]P is not [a+b]P")
		}
		if !p.Mul(b).Equal(g.generator.Mul(a.Mul(b))) {
			t.Error("[b][a]P is not [ab]P")
		}
		if !p.Mul(a.Inverse()).Equal(g.generator) {
			t.Error("[1/a][a]P is not P")
		}
	}
}

func (g groupTest[P]) testMSM(t *testing.T) {
	var zero P
	if !g.msm(nil, nil).Equal(zero) {
		t.Error("the empty sum is not infinity")
	}
	r := newRandom()
	p := g.generator.Mul(r.scalar())
	k := r.scalar()
	short := ScalarFromUint64(77)
	cases := []struct {
		name    string
		points  []P
		scalars []Scalar
	}{
		{"zero times a point", []P{p}, []Scalar{{}}},
		{"a scalar times infinity", []P{zero}, []Scalar{k}},
		{"infinity among others", []P{p, zero, g.generator}, []Scalar{k, k, short}},
		{"zero among others", []P{p, g.generator, p}, []Scalar{k, {}, short}},
		{"one point twice", []P{p, p}, []Scalar{k, k}},
		{"a point and its opposite", []P{p, p.Neg()}, []Scalar{k, k}},
		{"a scalar and its opposite", []P{p, p}, []Scalar{k, k.Neg()}},
		{"a point and its double", []P{p, p.Add(p)}, []Scalar{short.Add(short), short.Neg()}},
	}
	for _, c := range cases {
		want := zero
		for i := range c.points {
			want = want.Add(c.points[i].Mul(c.scalars[i]))
		}
		points, scalars := slices.Clone(c.points), slices.Clone(c.scalars)
		if !g.msm(points, scalars).Equal(want) {
			t.Errorf("%s", c.name)
		}
		for i := range points {
			if !points[i].Equal(c.points[i]) || !scalars[i].Equal(c.scalars[i]) {
				t.Errorf("%s: an argument was written to", c.name)
			}
		}
	}
	var points []P
	var scalars []Scalar
	want := zero
	for range 40 {
		points, scalars = append(points, g.generator.Mul(r.scalar())), append(scalars, r.scalar())
		want = want.Add(points[len(points)-1].Mul(scalars[len(scalars)-1]))
	}
	if !g.msm(points, scalars).Equal(want) {
		t.Error("forty points")
	}
	defer func() {
		if recover() == nil {
			t.Error("slices of different lengths do not panic")
		}
	}()
	g.msm(points, scalars[1:])
}

func TestEndomorphismIsMultiplicationByLambda(t *testing.T) {
	lambda := scalarFromBig(t, polynomialInU(36, 0, 0, 0, -1))
	p := Generator1().Mul(newRandom().scalar())
	var image g1Proj
	image.phi(image.setAffine(&p))
	if !refOfG1(image.affine()).equal(refOfG1(p).mul(bigScalar(lambda))) {
		t.Error("φ(P) is not [λ]P")
	}
}

// The complete formulas promise an answer for every pair of representatives,
// also of infinity and with any Z.
func TestProjectiveFormulasDoNotDependOnZ(t *testing.T) {
	r := newRandom()
	scale1 := func(p g1Proj) g1Proj {
		z := r.fp()
		p.x.MulCT(&p.x, &z)
		p.y.MulCT(&p.y, &z)
		p.z.MulCT(&p.z, &z)
		return p
	}
	scale2 := func(p g2Proj) g2Proj {
		z := r.fp2()
		p.x.mul(&p.x, &z)
		p.y.mul(&p.y, &z)
		p.z.mul(&p.z, &z)
		return p
	}
	small := []uint64{0, 1, 2, 3}
	for _, a := range small {
		for _, b := range small {
			for _, sign := range []bool{false, true} {
				kb := ScalarFromUint64(b)
				want := new(big.Int).SetUint64(a + b)
				if sign {
					kb = kb.Neg()
					want.SetInt64(int64(a) - int64(b))
				}
				k := scalarFromBig(t, want)

				a1, b1 := Generator1().Mul(ScalarFromUint64(a)), Generator1().Mul(kb)
				var p, q g1Proj
				p, q = scale1(*p.setAffine(&a1)), scale1(*q.setAffine(&b1))
				if got := p.add(&p, &q).affine(); !got.Equal(Generator1().Mul(k)) {
					t.Errorf("G1: %d and %d, opposite %v", a, b, sign)
				}
				a2, b2 := Generator2().Mul(ScalarFromUint64(a)), Generator2().Mul(kb)
				var p2, q2 g2Proj
				p2, q2 = scale2(*p2.setAffine(&a2)), scale2(*q2.setAffine(&b2))
				if got := p2.add(&p2, &q2).affine(); !got.Equal(Generator2().Mul(k)) {
					t.Errorf("G2: %d and %d, opposite %v", a, b, sign)
				}
			}
		}
		k := ScalarFromUint64(a)
		p1, p2 := Generator1().Mul(k), Generator2().Mul(k)
		var q1 g1Proj
		var q2 g2Proj
		q1, q2 = scale1(*q1.setAffine(&p1)), scale2(*q2.setAffine(&p2))
		if !q1.double(&q1).affine().Equal(p1.Add(p1)) || !q2.double(&q2).affine().Equal(p2.Add(p2)) {
			t.Errorf("doubling [%d]P", a)
		}
	}
}
