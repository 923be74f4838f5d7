package fp256bn

import (
	"bytes"
	"testing"

	amcl "github.com/hyperledger/fabric-amcl/amcl/FP256BN"
)

// These tests compare with AMCL's FP256BN, an independent implementation of
// the same curve. It is an oracle for tests and nothing else: unmaintained, and
// an order of magnitude slower.

func amclScalar(s Scalar) *amcl.BIG {
	b := s.Bytes()
	return amcl.FromBytes(b[:])
}

func amclBIG(b [32]byte) *amcl.BIG { return amcl.FromBytes(b[:]) }

func amclG1(p G1) *amcl.ECP {
	if p.IsInfinity() {
		return amcl.NewECP()
	}
	x, y := p.XY()
	return amcl.NewECPbigs(amclBIG(x), amclBIG(y))
}

func amclG2(p G2) *amcl.ECP2 {
	if p.IsInfinity() {
		return amcl.NewECP2()
	}
	x := amcl.NewFP2bigs(amclBIG(fpBytes(&p.x.a0)), amclBIG(fpBytes(&p.x.a1)))
	y := amcl.NewFP2bigs(amclBIG(fpBytes(&p.y.a0)), amclBIG(fpBytes(&p.y.a1)))
	return amcl.NewECP2fp2s(x, y)
}

func TestG1AgreesWithAMCL(t *testing.T) {
	if !amclG1(Generator1()).Equals(amcl.ECP_generator()) {
		t.Fatal("another generator")
	}
	r := newRandom()
	p := Generator1()
	for _, k := range append(edgeScalars(t), r.scalar(), r.scalar(), r.scalar()) {
		got := p.Mul(k)
		want := amcl.G1mul(amclG1(p), amclScalar(k))
		if !amclG1(got).Equals(want) {
			t.Errorf("[%x]P", bigScalar(k))
			continue
		}
		if got.IsInfinity() {
			continue
		}
		enc, b := got.Bytes(), make([]byte, G1Size)
		if want.ToBytes(b, true); !bytes.Equal(b, enc[:]) {
			t.Errorf("encoded as %x, not %x", enc, b)
		}
		sum := amclG1(p)
		sum.Add(want)
		if !amclG1(p.Add(got)).Equals(sum) {
			t.Errorf("P+[%x]P", bigScalar(k))
		}
		p = got
	}
}

func TestG2AgreesWithAMCL(t *testing.T) {
	if !amclG2(Generator2()).Equals(amcl.ECP2_generator()) {
		t.Fatal("another generator")
	}
	r := newRandom()
	p := Generator2()
	for _, k := range append(edgeScalars(t), r.scalar(), r.scalar(), r.scalar()) {
		got := p.Mul(k)
		// Not amcl.G2mul, which takes a shortcut through ψ.
		want := amclG2(p).Mul(amclScalar(k))
		if !amclG2(got).Equals(want) {
			t.Errorf("[%x]P", bigScalar(k))
			continue
		}
		if got.IsInfinity() {
			continue
		}
		sum := amclG2(p)
		sum.Add(want)
		if !amclG2(p.Add(got)).Equals(sum) {
			t.Errorf("P+[%x]P", bigScalar(k))
		}
		p = got
	}
}

func TestPairingAgreesWithAMCL(t *testing.T) {
	r := newRandom()
	for i := range 5 {
		p, q := Generator1(), Generator2()
		if i > 0 {
			p, q = p.Mul(r.scalar()), q.Mul(r.scalar())
		}
		got := Pair(p, q).Bytes()
		value := make([]byte, GTSize)
		amcl.Fexp(amcl.Ate(amclG2(q), amclG1(p))).ToBytes(value)
		// AMCL writes a tower over Fp4, whose coefficients are those of
		// w⁰, w³, w¹, w⁴, w², w⁵.
		var want [GTSize]byte
		for from, to := range []int{0, 3, 1, 4, 2, 5} {
			copy(want[64*to:64*to+64], value[64*from:])
		}
		if got != want {
			t.Errorf("pairing %d is another value", i)
		}
	}
}
