package fp256bn

import (
	"crypto/rand"
	"testing"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
)

// The yardstick, on a curve of 128 bits and with assembly: gnark-crypto's
// pairing on BLS12-381, to be read in the same run.
func BenchmarkPairGnarkBLS12381(b *testing.B) {
	_, _, p, q := bls12381.Generators()
	for b.Loop() {
		if _, err := bls12381.Pair([]bls12381.G1Affine{p}, []bls12381.G2Affine{q}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPair(b *testing.B) {
	p, q := Generator1(), Generator2()
	for b.Loop() {
		Pair(p, q)
	}
}

func BenchmarkPairingCheckOfTwo(b *testing.B) {
	k := randomScalar(b)
	p, q := Generator1(), Generator2()
	ps, qs := []G1{p.Mul(k), p.Neg()}, []G2{q, q.Mul(k)}
	b.Run("prepared", func(b *testing.B) {
		prepared := []*PreparedG2{Prepare(qs[0]), Prepare(qs[1])}
		for b.Loop() {
			if !PairingCheckPrepared(ps, prepared) {
				b.Fatal("not one")
			}
		}
	})
	b.Run("unprepared", func(b *testing.B) {
		for b.Loop() {
			if !PairingCheck(ps, qs) {
				b.Fatal("not one")
			}
		}
	})
}

func BenchmarkPrepare(b *testing.B) {
	q := Generator2()
	for b.Loop() {
		Prepare(q)
	}
}

func BenchmarkG1(b *testing.B) {
	k, p := randomScalar(b), Generator1()
	b.Run("Mul", func(b *testing.B) {
		for b.Loop() {
			p = p.Mul(k)
		}
	})
	b.Run("MulVartime", func(b *testing.B) {
		for b.Loop() {
			p = p.MulVartime(k)
		}
	})
	b.Run("MSM1 of three", func(b *testing.B) {
		ps, ks := []G1{p, p.Neg(), Generator1()}, []Scalar{k, k.Mul(k), k.Neg()}
		for b.Loop() {
			p = MSM1(ps, ks)
		}
	})
	b.Run("Add", func(b *testing.B) {
		for b.Loop() {
			p = p.Add(p)
		}
	})
	b.Run("ParseG1", func(b *testing.B) {
		enc := p.Bytes()
		for b.Loop() {
			if _, err := ParseG1(enc[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkG2(b *testing.B) {
	k, p := randomScalar(b), Generator2()
	b.Run("Mul", func(b *testing.B) {
		for b.Loop() {
			p = p.Mul(k)
		}
	})
	b.Run("MulVartime", func(b *testing.B) {
		for b.Loop() {
			p = p.MulVartime(k)
		}
	})
	b.Run("ParseG2", func(b *testing.B) {
		enc := p.Bytes()
		for b.Loop() {
			if _, err := ParseG2(enc[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func randomScalar(t testing.TB) Scalar {
	t.Helper()
	s, err := RandomScalar(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
