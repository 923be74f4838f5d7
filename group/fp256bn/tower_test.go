package fp256bn

import (
	"math/big"
	"testing"
)

func TestFp2AgreesWithMathBig(t *testing.T) {
	r := newRandom()
	zero, one := fp2{}, fp2FromRef(ref(1, 0))
	list := []fp2{zero, one, fp2FromRef(ref(-1, 0)), fp2FromRef(ref(0, 1)), fp2FromRef(ref(0, -1)), fp2FromRef(ref(-1, -1)), fp2FromRef(ref(4, 0)), fp2FromRef(ref(-4, 0))}
	for range 8 {
		list = append(list, r.fp2(), fp2{a0: r.fp()}, fp2{a1: r.fp()})
	}
	for _, x := range list {
		a := refOfFp2(&x)
		check := func(name string, got *fp2, want refFp2) {
			t.Helper()
			if !refOfFp2(got).equal(want) {
				t.Errorf("%s of %x,%x", name, a.a, a.b)
			}
		}
		var z fp2
		check("square", z.square(&x), a.mul(a))
		check("neg", z.neg(&x), ref(0, 0).sub(a))
		check("conj", z.conj(&x), a.exp(bigP))
		check("mulXi", z.mulXi(&x), a.mul(refXi))
		z = x
		check("mulXi in place", z.mulXi(&z), a.mul(refXi))
		z = x
		check("square in place", z.square(&z), a.mul(a))
		if x == zero {
			check("inverse", z.inverse(&x), ref(0, 0))
		} else {
			check("inverse", z.inverse(&x), a.inverse())
			var minus fp2
			if minus.neg(&x); minus.odd() == x.odd() {
				t.Error("x and -x have the same sign")
			}
		}
		if got := x.isZero(); got != (x == zero) {
			t.Errorf("isZero = %v", got)
		}
		for _, y := range list {
			b := refOfFp2(&y)
			check("mul", z.mul(&x, &y), a.mul(b))
			check("add", z.add(&x, &y), a.add(b))
			check("sub", z.sub(&x, &y), a.sub(b))
			check("mulFp", z.mulFp(&x, &y.a0), a.mul(refFp2{b.a, new(big.Int)}))
			z = y
			check("mul in place", z.mul(&x, &z), a.mul(b))
		}
	}
}

func TestFp2SquareRoots(t *testing.T) {
	r := newRandom()
	// Roots in Fp, in i·Fp and elsewhere; and the same for non-squares, which
	// are ξ times a square.
	roots := []fp2{{}, fp2FromRef(ref(1, 0)), fp2FromRef(ref(0, 1)), fp2FromRef(ref(1, 1)), fp2FromRef(ref(1, -1))}
	for range 10 {
		x := r.fp()
		roots = append(roots, r.fp2(), fp2{a0: x}, fp2{a1: x}, fp2{x, x})
	}
	for _, root := range roots {
		var square, got, again, non fp2
		square.square(&root)
		if !got.sqrt(&square) {
			t.Errorf("no root of %v", square)
			continue
		}
		if again.square(&got); again != square {
			t.Errorf("wrong root of %v", square)
		}
		if again = square; !again.sqrt(&again) {
			t.Errorf("no root of %v in place", square)
		}
		if root.isZero() {
			continue
		}
		if non.mulXi(&square); got.sqrt(&non) {
			t.Errorf("a root of the non-square %v", non)
		}
	}
}

func TestFp12AgreesWithPolynomials(t *testing.T) {
	r := newRandom()
	var one fp12
	one.setOne()
	for range 10 {
		x, y := r.fp12(), r.fp12()
		a, b := refOfFp12(&x), refOfFp12(&y)
		var z fp12
		if z.mul(&x, &y); !refOfFp12(&z).equal(a.mul(b)) {
			t.Error("mul")
		}
		if z.square(&x); !refOfFp12(&z).equal(a.mul(a)) {
			t.Error("square")
		}
		if z = x; !refOfFp12(z.mul(&z, &z)).equal(a.mul(a)) {
			t.Error("mul in place")
		}
		z.inverse(&x)
		if z.mul(&z, &x); z != one {
			t.Error("inverse")
		}
		l0, l1 := r.fp2(), r.fp2()
		line := refFp12{refOfFp2(&l0), ref(0, 0), refOfFp2(&l1), ref(1, 0), ref(0, 0), ref(0, 0)}
		if z.mulLine(&x, &l0, &l1); !refOfFp12(&z).equal(a.mul(line)) {
			t.Error("mulLine")
		}
	}
	var zero, z fp12
	if z.inverse(&zero); z != zero {
		t.Error("the inverse of 0 is not 0")
	}
}

func TestFrobeniusIsThePowerOfP(t *testing.T) {
	x := newRandom().fp12()
	var f1, f2, f6 fp12
	if f1.frobenius(&x); f1 != exp(x, bigP) {
		t.Error("frobenius")
	}
	if f2.frobenius2(&x); f2 != exp(x, new(big.Int).Exp(bigP, big.NewInt(2), nil)) {
		t.Error("frobenius2")
	}
	if f6.conj(&x); f6 != exp(x, new(big.Int).Exp(bigP, big.NewInt(6), nil)) {
		t.Error("conj")
	}
	f2 = x
	f2.frobenius(&f2).frobenius(&f2).frobenius2(&f2).frobenius2(&f2)
	if f2 != f6 {
		t.Error("in place")
	}
}

func TestCyclotomicSubgroup(t *testing.T) {
	r := newRandom()
	for range 5 {
		x := r.fp12()
		var inv, easy fp12
		inv.inverse(&x)
		easy.conj(&x).mul(&easy, &inv)
		inv.frobenius2(&easy)
		easy.mul(&inv, &easy)

		var square, cyclotomic, power fp12
		square.mul(&easy, &easy)
		if cyclotomic.cyclotomicSquare(&easy); cyclotomic != square {
			t.Error("cyclotomicSquare")
		}
		if cyclotomic = easy; *cyclotomic.cyclotomicSquare(&cyclotomic) != square {
			t.Error("cyclotomicSquare in place")
		}
		inv.inverse(&easy)
		if power.conj(&easy); power != inv {
			t.Error("conjugation does not invert")
		}
		if power.expU(&easy); power != exp(inv, new(big.Int).Neg(bigU)) {
			t.Error("expU")
		}
	}
}

func TestFinalExponentiationIsTheExactPower(t *testing.T) {
	e := new(big.Int).Exp(bigP, big.NewInt(12), nil)
	e, rest := e.Sub(e, big.NewInt(1)).DivMod(e, bigN, new(big.Int))
	if rest.Sign() != 0 {
		t.Fatal("n does not divide p¹²-1")
	}
	x := newRandom().fp12()
	var got fp12
	if got.finalExponentiation(&x); got != exp(x, e) {
		t.Error("another power")
	}
	if exp(got, bigN) != exp(got, new(big.Int)) {
		t.Error("the result is not of order n")
	}
}

// exp returns x^k with the plain product only, which another test checks.
func exp(x fp12, k *big.Int) fp12 {
	var r fp12
	r.setOne()
	for i := k.BitLen() - 1; i >= 0; i-- {
		r.mul(&r, &r)
		if k.Bit(i) == 1 {
			r.mul(&r, &x)
		}
	}
	return r
}
