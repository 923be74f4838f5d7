package fp256bn

import (
	"encoding/binary"
	"testing"

	amcl "github.com/hyperledger/fabric-amcl/amcl/FP256BN"
)

// plainSum is the sum of the terms by the complete formulas, in constant time
// and one after the other.
func plainSum(terms []Term, points []G1) G1 {
	var sum G1
	for i, t := range terms {
		sum = sum.Add(points[i].Mul(t.Scalar))
	}
	return sum
}

// withPrepared returns the terms with the points of every second one prepared,
// and all points.
func withPrepared(terms []Term) (out []Term, points []G1) {
	for i, t := range terms {
		points = append(points, t.Point)
		if i%2 == 1 {
			t = Term{Prepared: PrepareG1(t.Point), Scalar: t.Scalar}
		}
		out = append(out, t)
	}
	return out, points
}

func TestSumsAgreeWithThePlainPath(t *testing.T) {
	r := newRandom()
	p, q := Generator1().Mul(r.scalar()), Generator1().Mul(r.scalar())
	points := []G1{{}, Generator1(), p, p.Neg(), p.Add(p), q, q.Add(p)}
	lambda := scalarFromBig(t, polynomialInU(36, 0, 0, 0, -1))
	points = append(points, p.Mul(lambda), p.Mul(lambda.Mul(lambda)).Neg())
	scalars := append(edgeScalars(t), r.scalar(), r.scalar())
	var sums [][]Term
	for _, a := range scalars {
		var terms []Term
		for i, pt := range points {
			terms = append(terms, Term{Point: pt, Scalar: scalars[(i*7+len(sums))%len(scalars)]})
		}
		terms = append(terms, Term{Point: p, Scalar: a}, Term{Point: q, Scalar: a.Neg()})
		sums = append(sums, terms, []Term{{Point: p, Scalar: a}}, []Term{{Prepared: PrepareG1(q), Scalar: a}},
			// The accumulator meets the point that is added, its opposite, and infinity.
			[]Term{{Point: p, Scalar: a}, {Point: p.Neg(), Scalar: a}},
			[]Term{{Point: p, Scalar: a}, {Point: p, Scalar: a}},
			[]Term{{Point: p, Scalar: a}, {Point: p.Mul(lambda), Scalar: a}, {Point: p.Mul(lambda).Mul(lambda), Scalar: a}})
	}
	sums = append(sums, nil, []Term{{Point: G1{}, Scalar: scalars[3]}}, []Term{{Prepared: PrepareG1(G1{}), Scalar: scalars[3]}})
	want := make([]G1, len(sums))
	for i, terms := range sums {
		if len(terms) > 1 || len(terms) == 1 && terms[0].Prepared == nil {
			var pts []G1
			sums[i], pts = withPrepared(terms)
			want[i] = plainSum(terms, pts)
		} else if len(terms) == 1 && len(terms[0].Prepared.table.odd) > 0 {
			want[i] = q.Mul(terms[0].Scalar)
		}
	}
	for i, got := range Sums1(sums...) {
		if !got.Equal(want[i]) {
			t.Errorf("sum %d of %d terms", i, len(sums[i]))
		}
		if alone := Sums1(sums[i])[0]; !alone.Equal(want[i]) {
			t.Errorf("sum %d of %d terms, by itself", i, len(sums[i]))
		}
	}
}

func TestSumsAgreeWithAMCL(t *testing.T) {
	r := newRandom()
	p := Generator1().Mul(r.scalar())
	for _, k := range append(edgeScalars(t), r.scalar(), r.scalar()) {
		l := r.scalar()
		got := Sums1([]Term{{Point: p, Scalar: k}, {Prepared: PrepareG1(Generator1()), Scalar: l}})[0]
		want := amcl.G1mul(amclG1(p), amclScalar(k))
		want.Add(amcl.G1mul(amcl.ECP_generator(), amclScalar(l)))
		if !amclG1(got).Equals(want) {
			t.Errorf("[%x]P+[%x]G", bigScalar(k), bigScalar(l))
		}
	}
}

func TestSumsDoNotWriteToTheirArguments(t *testing.T) {
	r := newRandom()
	p, k := Generator1().Mul(r.scalar()), r.scalar()
	prepared := PrepareG1(p)
	was := append([]G1{}, prepared.table.odd...)
	terms := []Term{{Point: p, Scalar: k}, {Prepared: prepared, Scalar: k}}
	Sums1(terms, terms)
	if !terms[0].Point.Equal(p) || !terms[0].Scalar.Equal(k) || !terms[1].Scalar.Equal(k) {
		t.Error("a term was written to")
	}
	for i := range was {
		if !was[i].Equal(prepared.table.odd[i]) {
			t.Errorf("entry %d of a table was written to", i)
		}
	}
}

func TestOddMultiples(t *testing.T) {
	r := newRandom()
	points := []G1{Generator1(), Generator1().Mul(r.scalar()), Generator1().Neg()}
	lambda := scalarFromBig(t, polynomialInU(36, 0, 0, 0, -1))
	for _, count := range []int{1, 2, 8, 64} {
		for i, table := range oddMultiples(points, count) {
			if len(table.odd) != count || len(table.images) != count {
				t.Fatalf("%d and %d entries instead of %d", len(table.odd), len(table.images), count)
			}
			for k := range count {
				want := points[i].Mul(ScalarFromUint64(uint64(2*k + 1)))
				if !table.odd[k].Equal(want) {
					t.Errorf("[%d]P%d", 2*k+1, i)
				}
				if image := (G1{x: table.images[k], y: want.y}); !image.Equal(want.Mul(lambda)) {
					t.Errorf("φ of [%d]P%d", 2*k+1, i)
				}
			}
		}
	}
}

// FuzzSums: whatever the scalars and however the points are related, the fast
// path agrees with the plain one.
func FuzzSums(f *testing.F) {
	f.Add([]byte{})
	n := groupOrder
	seed := make([]byte, 0, 200)
	for _, s := range []Scalar{ScalarFromUint64(1), ScalarFromUint64(1).Neg(), scalarFromBig(f, polynomialInU(36, 0, 0, 0, -1))} {
		b := s.Bytes()
		seed = append(append(seed, 1), b[:]...)
	}
	f.Add(seed)
	f.Add(binary.LittleEndian.AppendUint64(append([]byte{0x83}, seed...), n[0]))
	f.Fuzz(func(t *testing.T, b []byte) {
		// 33 bytes a term: a small multiple of the generator, perhaps under φ,
		// perhaps prepared; and a scalar.
		var terms []Term
		var points []G1
		lambda := scalarFromBig(t, polynomialInU(36, 0, 0, 0, -1))
		for ; len(b) >= 33 && len(terms) < 6; b = b[33:] {
			p := Generator1().Mul(ScalarFromUint64(uint64(b[0] & 15)))
			if b[0]&0x10 != 0 {
				p = p.Mul(lambda)
			}
			if b[0]&0x20 != 0 {
				p = p.Neg()
			}
			term := Term{Point: p, Scalar: ReduceScalar(b[1:33])}
			if b[0]&0x80 != 0 {
				term = Term{Prepared: PrepareG1(p), Scalar: term.Scalar}
			}
			terms, points = append(terms, term), append(points, p)
		}
		if got := Sums1(terms)[0]; !got.Equal(plainSum(terms, points)) {
			t.Errorf("another sum for %d terms", len(terms))
		}
	})
}
