package fp256bn

import (
	"testing"
)

func TestPairingIsBilinear(t *testing.T) {
	r := newRandom()
	p, q := Generator1(), Generator2()
	e := Pair(p, q)
	if e.IsOne() {
		t.Fatal("degenerate")
	}
	for _, a := range append(edgeScalars(t), r.scalar(), r.scalar()) {
		b := r.scalar()
		ab := GT{exp(e.e, bigScalar(a.Mul(b)))}
		if !Pair(p.Mul(a), q.Mul(b)).Equal(ab) || !Pair(p.Mul(b), q.Mul(a)).Equal(ab) {
			t.Errorf("e([a]P, [b]Q) is not e(P, Q)^ab for a = %x", bigScalar(a))
		}
	}
	a, b := r.scalar(), r.scalar()
	if !Pair(p.Mul(a).Add(p), q.Mul(b)).Equal(Pair(p.Mul(a), q.Mul(b)).Mul(Pair(p, q.Mul(b)))) {
		t.Error("not additive on the left")
	}
	if !Pair(p.Mul(a), q.Mul(b).Add(q)).Equal(Pair(p.Mul(a), q.Mul(b)).Mul(Pair(p.Mul(a), q))) {
		t.Error("not additive on the right")
	}
	if got := (GT{exp(e.e, bigN)}); !got.IsOne() {
		t.Error("the value is not of order n")
	}
	if !Pair(p.Neg(), q).Mul(e).IsOne() || !Pair(p, q.Neg()).Mul(e).IsOne() {
		t.Error("opposites do not cancel")
	}
}

func TestPairingWithInfinityIsOne(t *testing.T) {
	if !Pair(G1{}, Generator2()).IsOne() || !Pair(Generator1(), G2{}).IsOne() || !Pair(G1{}, G2{}).IsOne() {
		t.Error("it is not")
	}
}

func TestPairingCheck(t *testing.T) {
	r := newRandom()
	p, q := Generator1(), Generator2()
	a, b := r.scalar(), r.scalar()
	pa, qa := p.Mul(a), q.Mul(a)
	cases := []struct {
		name string
		p    []G1
		q    []G2
		want bool
	}{
		{"the empty product", nil, nil, true},
		{"one pair", []G1{p}, []G2{q}, false},
		{"infinity on the left", []G1{{}}, []G2{q}, true},
		{"infinity on the right", []G1{p}, []G2{{}}, true},
		{"opposite points on the left", []G1{p, p.Neg()}, []G2{q, q}, true},
		{"opposite points on the right", []G1{pa, pa}, []G2{q, q.Neg()}, true},
		{"the same pair twice", []G1{p, p}, []G2{q, q}, false},
		{"a factor moved to the other side", []G1{pa, p.Neg()}, []G2{q, qa}, true},
		{"another factor", []G1{pa, p.Neg()}, []G2{q, q.Mul(b)}, false},
		{"infinity among pairs that cancel", []G1{pa, {}, p.Neg(), p}, []G2{q, q, qa, {}}, true},
		{"infinity among pairs that do not", []G1{pa, {}, p}, []G2{q, q, qa}, false},
		{"three pairs", []G1{pa, p.Mul(b), p.Mul(a.Add(b)).Neg()}, []G2{q, q, q}, true},
		{"four pairs", []G1{pa, p.Mul(b), p.Mul(a).Neg(), p.Neg()}, []G2{qa, q, qa, q.Mul(b)}, true},
	}
	for _, c := range cases {
		prepared := make([]*PreparedG2, len(c.q))
		product := Pair(G1{}, G2{})
		for i := range c.q {
			prepared[i] = Prepare(c.q[i])
			product = product.Mul(Pair(c.p[i], c.q[i]))
		}
		if got := PairingCheck(c.p, c.q); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		for range 2 { // a prepared point serves again
			if got := PairingCheckPrepared(c.p, prepared); got != c.want {
				t.Errorf("%s, prepared: %v", c.name, got)
			}
		}
		if got := product.IsOne(); got != c.want {
			t.Errorf("%s, as a product of pairings: %v", c.name, got)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("slices of different lengths do not panic")
		}
	}()
	PairingCheck([]G1{p, p}, []G2{q})
}

func TestGTEncodingsDiffer(t *testing.T) {
	e := Pair(Generator1(), Generator2())
	f := e.Mul(e)
	if e.Bytes() == f.Bytes() || e.Equal(f) {
		t.Error("e and e² are the same")
	}
	one := Pair(G1{}, G2{}).Bytes()
	want := [GTSize]byte{31: 1}
	if one != want {
		t.Errorf("1 is encoded as %x", one)
	}
}
