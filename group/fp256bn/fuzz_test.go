package fp256bn

import (
	"bytes"
	"errors"
	"testing"
)

func FuzzParseG1(f *testing.F) {
	g, h := Generator1().Bytes(), Generator1().Mul(newRandom().scalar()).Bytes()
	f.Add(g[:])
	f.Add(h[:])
	f.Add(make([]byte, G1Size))
	f.Add(append([]byte{2}, bigP.Bytes()...))
	f.Add(append([]byte{3}, bytes.Repeat([]byte{0xff}, 32)...))
	f.Add(g[:G1Size-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseG1(b)
		if err != nil {
			if !errors.Is(err, ErrPoint) || !p.IsInfinity() {
				t.Errorf("refused with %v and the point %v", err, p)
			}
			return
		}
		if enc := p.Bytes(); !bytes.Equal(enc[:], b) {
			t.Errorf("a second encoding of %x", enc)
		}
		x, y := p.XY()
		if q, err := G1FromXY(x[:], y[:]); err != nil || !q.Equal(p) {
			t.Errorf("not on the curve: %v", err)
		}
	})
}

func FuzzParseG2(f *testing.F) {
	g, h := Generator2().Bytes(), Generator2().Mul(newRandom().scalar()).Bytes()
	outside := firstOnTwist().Bytes()
	f.Add(g[:])
	f.Add(h[:])
	f.Add(outside[:])
	f.Add(make([]byte, G2Size))
	f.Add(append(append([]byte{2}, bigP.Bytes()...), bigP.Bytes()...))
	f.Add(append([]byte{3}, bytes.Repeat([]byte{0xff}, 64)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseG2(b)
		if err != nil {
			if !errors.Is(err, ErrPoint) || !p.IsInfinity() {
				t.Errorf("refused with %v and the point %v", err, p)
			}
			return
		}
		if enc := p.Bytes(); !bytes.Equal(enc[:], b) {
			t.Errorf("a second encoding of %x", enc)
		}
		minusOne := ScalarFromUint64(1).Neg()
		if !p.onCurve() || !p.Mul(minusOne).Equal(p.Neg()) {
			t.Error("not in the group")
		}
	})
}

func FuzzParseScalar(f *testing.F) {
	s := newRandom().scalar().Bytes()
	f.Add(s[:])
	f.Add(make([]byte, ScalarSize))
	f.Add(bigN.Bytes())
	f.Add(bytes.Repeat([]byte{0xff}, ScalarSize))
	f.Add(s[1:])
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseScalar(b)
		if err != nil {
			if !errors.Is(err, ErrScalar) || !s.IsZero() {
				t.Errorf("refused with %v", err)
			}
			return
		}
		if enc := s.Bytes(); !bytes.Equal(enc[:], b) {
			t.Errorf("a second encoding of %x", enc)
		}
		if !ReduceScalar(b).Equal(s) {
			t.Error("reduced although below n")
		}
	})
}
