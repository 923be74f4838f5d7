package fp256bn

import (
	"math/big"
	"testing"

	"github.com/speciecash/specie/group/fp256bn/fp"
	"github.com/speciecash/specie/group/fp256bn/fr"
)

// primeField is what fp.Element and fr.Element have in common.
type primeField[E any] interface {
	*E
	MulCT(x, y *E) *E
	SquareCT(x *E) *E
	AddCT(x, y *E) *E
	DoubleCT(x *E) *E
	SubCT(x, y *E) *E
	NegCT(x *E) *E
	InverseCT(x *E) *E
	ExpCT(x *E, k *[4]uint64) *E
	SetWordsCT(w *[4]uint64) *E
	ShiftWordsCT(x *E) *E
	WordsCT() [4]uint64
	Mul(x, y *E) *E
	Add(x, y *E) *E
	Sub(x, y *E) *E
}

func TestBranchFreeFieldAgreesWithMathBig(t *testing.T) {
	t.Run("fp", func(t *testing.T) { testPrimeField[fp.Element](t, bigP, fp.BelowModulus) })
	t.Run("fr", func(t *testing.T) { testPrimeField[fr.Element](t, bigN, fr.BelowModulus) })
}

func testPrimeField[E ~[4]uint64, F primeField[E]](t *testing.T, q *big.Int, below func(*[4]uint64) bool) {
	mod := func(x *big.Int) *big.Int { return x.Mod(x, q) }
	value := func(x E) *big.Int { return bigWords(F(&x).WordsCT()) }
	r := new(big.Int).Lsh(big.NewInt(1), 256)
	rInverse := new(big.Int).ModInverse(r, q)

	// Both kinds of edges matter: of the value, and of the words in memory,
	// which hold the value times 2^256.
	var elements []E
	for _, w := range edgeWords(q) {
		var e E
		F(&e).SetWordsCT(&w)
		if got := value(e); got.Cmp(mod(bigWords(w))) != 0 {
			t.Errorf("SetWordsCT(%x) has value %x", bigWords(w), got)
		}
		if got, want := below(&w), bigWords(w).Cmp(q) < 0; got != want {
			t.Errorf("BelowModulus(%x) = %v", bigWords(w), got)
		}
		elements = append(elements, e)
		if below(&w) {
			elements = append(elements, E(w))
		}
	}

	for _, x := range elements {
		a := value(x)
		if got := mod(new(big.Int).Mul(a, r)); bigWords([4]uint64(x)).Cmp(got) != 0 {
			t.Fatalf("words %x do not hold %x in Montgomery form", x, a)
		}
		check := func(name string, got *E, want *big.Int) {
			t.Helper()
			if value(*got).Cmp(mod(want)) != 0 || bigWords([4]uint64(*got)).Cmp(q) >= 0 {
				t.Errorf("%s of %x = %x", name, a, value(*got))
			}
		}
		var z E
		check("SquareCT", F(&z).SquareCT(&x), new(big.Int).Mul(a, a))
		check("DoubleCT", F(&z).DoubleCT(&x), new(big.Int).Add(a, a))
		check("NegCT", F(&z).NegCT(&x), new(big.Int).Neg(a))
		check("ShiftWordsCT", F(&z).ShiftWordsCT(&x), new(big.Int).Mul(a, r))
		exponent := [4]uint64{0x0123456789abcdef, 0xfedcba9876543210, 0, 0x8000000000000001}
		check("ExpCT", F(&z).ExpCT(&x, &exponent), new(big.Int).Exp(a, bigWords(exponent), q))
		inverse := new(big.Int)
		if a.Sign() != 0 {
			inverse.ModInverse(a, q)
		}
		check("InverseCT", F(&z).InverseCT(&x), inverse)
		z = x
		check("SquareCT in place", F(&z).SquareCT(&z), new(big.Int).Mul(a, a))

		for _, w := range edgeWords(q) { // MulCT's first operand need not be reduced
			y := E(w)
			check("MulCT of an operand not reduced", F(&z).MulCT(&y, &x), new(big.Int).Mul(a, new(big.Int).Mul(bigWords(w), rInverse)))
		}
		for _, y := range elements {
			b := value(y)
			check("MulCT", F(&z).MulCT(&x, &y), new(big.Int).Mul(a, b))
			check("AddCT", F(&z).AddCT(&x, &y), new(big.Int).Add(a, b))
			check("SubCT", F(&z).SubCT(&x, &y), new(big.Int).Sub(a, b))
			var g E
			if F(&g).Mul(&x, &y); g != *F(&z).MulCT(&x, &y) {
				t.Error("MulCT and the generated Mul differ")
			}
			if F(&g).Add(&x, &y); g != *F(&z).AddCT(&x, &y) {
				t.Error("AddCT and the generated Add differ")
			}
			if F(&g).Sub(&x, &y); g != *F(&z).SubCT(&x, &y) {
				t.Error("SubCT and the generated Sub differ")
			}
			z = x
			check("MulCT in place", F(&z).MulCT(&z, &y), new(big.Int).Mul(a, b))
			z = y
			check("SubCT in place", F(&z).SubCT(&x, &z), new(big.Int).Sub(a, b))
		}
	}
}

// edgeWords returns integers below 2^256, also some not below q.
func edgeWords(q *big.Int) [][4]uint64 {
	const ones = ^uint64(0)
	list := [][4]uint64{
		{}, {1}, {2}, {3}, {ones}, {0, 1}, {ones, ones}, {0, 0, 1}, {ones, ones, ones}, {0, 0, 0, 1},
		{0, 0, 0, 1 << 63}, {ones, ones, ones, ones}, {ones, ones, ones, ones >> 1}, {0, 0, 0, ones}, {ones, 0, 0, 0xfffffffffffcf0cd}, {ones, ones, ones, 0xfffffffffffcf0cc},
	}
	fromBig := func(x *big.Int) [4]uint64 { return parseWords(x.FillBytes(make([]byte, 32))) }
	for d := int64(-3); d <= 3; d++ {
		list = append(list, fromBig(new(big.Int).Add(q, big.NewInt(d))))
		half := new(big.Int).Rsh(q, 1)
		list = append(list, fromBig(half.Add(half, big.NewInt(d))))
	}
	r := newRandom()
	for range 12 {
		list = append(list, parseWords(r.bytes(32)))
	}
	return list
}

func TestFpHelpers(t *testing.T) {
	r := newRandom()
	for _, w := range edgeWords(bigP) {
		var x, root fp.Element
		x.SetWordsCT(&w)
		a := bigFp(&x)
		if fpOdd(&x) != byte(a.Bit(0)) {
			t.Errorf("parity of %x", a)
		}
		if got := fpZeroMask(&x); (got == ^uint64(0)) != (a.Sign() == 0) || (got == 0) != (a.Sign() != 0) {
			t.Errorf("zero mask of %x is %x", a, got)
		}
		ok := fpSqrt(&root, &x)
		if want := big.Jacobi(a, bigP) >= 0; ok != want {
			t.Errorf("%x is a square: %v", a, ok)
		}
		if s := bigFp(&root); ok && modP(s.Mul(s, s)).Cmp(a) != 0 {
			t.Errorf("wrong root of %x", a)
		}
	}
	for length := range 100 {
		b := r.bytes(length)
		var x fp.Element
		fpReduce(&x, b)
		if bigFp(&x).Cmp(modP(new(big.Int).SetBytes(b))) != 0 {
			t.Errorf("%d bytes reduced to another value", length)
		}
	}
}
