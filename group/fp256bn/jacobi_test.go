package fp256bn

import (
	"encoding/binary"
	"math/big"
	"testing"

	"github.com/speciecash/specie/group/fp256bn/fp"
)

func checkSquare(t *testing.T, w [4]uint64) {
	t.Helper()
	var x fp.Element
	x.SetWordsCT(&w)
	want := big.Jacobi(modP(bigWords(w)), bigP) >= 0
	if got := fpIsSquare(&x); got != want {
		t.Errorf("%x: a square: %v", bigWords(w), got)
	}
	var root fp.Element
	if got := fpSqrt(&root, &x); got != want {
		t.Errorf("%x: has a root: %v", bigWords(w), got)
	}
}

func TestIsSquareAgreesWithTheJacobiSymbolAndWithRoots(t *testing.T) {
	for _, w := range edgeWords(bigP) {
		checkSquare(t, w)
	}
	// Numbers of every length, powers of two among them.
	r := newRandom()
	for n := range 256 {
		var w [4]uint64
		w[n/64] = 1 << (n % 64)
		checkSquare(t, w)
		s := r.scalar()
		full := s.words()
		for i := range full {
			if i > n/64 {
				full[i] = 0
			}
		}
		full[n/64] >>= 63 - n%64
		checkSquare(t, full)
	}
}

func FuzzIsSquare(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{4})
	f.Add(bigP.Bytes())
	f.Add(new(big.Int).Sub(bigP, big.NewInt(1)).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		var padded [32]byte
		copy(padded[:], b)
		var w [4]uint64
		for i := range w {
			w[i] = binary.LittleEndian.Uint64(padded[8*i:])
		}
		checkSquare(t, w)
	})
}

func BenchmarkIsSquare(b *testing.B) {
	x := newRandom().fp()
	for b.Loop() {
		fpIsSquare(&x)
		x.DoubleCT(&x)
	}
}

func BenchmarkSqrt(b *testing.B) {
	x := newRandom().fp()
	for b.Loop() {
		fpSqrt(&x, &x)
	}
}
