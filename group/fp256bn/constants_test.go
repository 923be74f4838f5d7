package fp256bn

import (
	"math/big"
	"testing"

	"github.com/speciecash/specie/group/fp256bn/fp"
	"github.com/speciecash/specie/group/fp256bn/fr"
)

func TestModuliComeFromU(t *testing.T) {
	if fp.Modulus().Cmp(bigP) != 0 || bigWords(fieldModulus).Cmp(bigP) != 0 {
		t.Errorf("p = %x", fp.Modulus())
	}
	if fr.Modulus().Cmp(bigN) != 0 || bigWords(groupOrder).Cmp(bigN) != 0 {
		t.Errorf("n = %x and %x", fr.Modulus(), bigWords(groupOrder))
	}
	if !bigP.ProbablyPrime(20) || !bigN.ProbablyPrime(20) {
		t.Error("p or n is not prime")
	}
	if got := new(big.Int).Sub(bigWords(sqrtExponent), big.NewInt(1)); got.Lsh(got, 2).Cmp(new(big.Int).Sub(bigP, big.NewInt(3))) != 0 {
		t.Error("the exponent of the square root is not (p+1)/4")
	}
}

func TestRecodedLoopsComeFromU(t *testing.T) {
	if got := bigDigits(minusU[:]); got.Cmp(new(big.Int).Neg(bigU)) != 0 {
		t.Errorf("minusU is %x", got)
	}
	if got := bigDigits(minusAte[:]); got.Cmp(polynomialInU(-6, -2)) != 0 {
		t.Errorf("minusAte is %x", got)
	}
	if minusU[len(minusU)-1] != 1 || minusAte[len(minusAte)-1] != 1 {
		t.Error("the leading digit must be 1")
	}
	if got := len(Prepare(Generator2()).lines); got != lineCount {
		t.Errorf("%d lines", got)
	}
}

func TestGenerator2IsTheGivenPoint(t *testing.T) {
	want := refPoint{
		x: refFp2{
			hexInt("fe0c3350b4c96c2028560f577c28913ace1c539a12bf843cd22616b689c09efb"),
			hexInt("4ea66057738ac054db5ae1c637d813b924dd78e287d03589d269ed34a37e6a2b"),
		},
		y: refFp2{
			hexInt("702046e7c542a3b376770d75124e3e51efcb24758d615848e909b481bedc27ff"),
			hexInt("0554e3bcd388c29042eea649297eb29f8b4cbe80821a98b3e01281114aad049b"),
		},
	}
	if !refOfG2(Generator2()).equal(want) {
		t.Error("another point")
	}
	rhs := want.x.mul(want.x).mul(want.x).add(ref(3, 0).mul(refXi))
	if !want.y.mul(want.y).equal(rhs) {
		t.Error("not on the twist")
	}
	if !want.mul(bigN).infinity {
		t.Error("not of order n")
	}
}

func TestFrobeniusConstantsComeFromXi(t *testing.T) {
	one := big.NewInt(1)
	p1 := new(big.Int).Sub(bigP, one)                         // p-1
	p2 := new(big.Int).Sub(new(big.Int).Mul(bigP, bigP), one) // p²-1
	power := func(e *big.Int, j, divisor int64) refFp2 {
		k := new(big.Int).Mul(e, big.NewInt(j))
		if new(big.Int).Mod(k, big.NewInt(divisor)).Sign() != 0 {
			t.Fatal("not a whole exponent")
		}
		return refXi.exp(k.Div(k, big.NewInt(divisor)))
	}
	for j := range int64(6) {
		if !refOfFp2(&frobenius1[j]).equal(power(p1, j, 6)) {
			t.Errorf("frobenius1[%d]", j)
		}
		if !refOfFp2(&fp2{a0: frobenius2[j]}).equal(power(p2, j, 6)) {
			t.Errorf("frobenius2[%d]", j)
		}
	}
	if !refOfFp2(&twistFrobeniusX).equal(power(p1, 1, 3).inverse()) {
		t.Error("twistFrobeniusX")
	}
	if !refOfFp2(&twistFrobeniusY).equal(power(p1, 1, 2).inverse()) {
		t.Error("twistFrobeniusY")
	}
	if !refOfFp2(&fp2{a0: twistFrobenius2X}).equal(power(p2, 1, 3).inverse()) {
		t.Error("twistFrobenius2X")
	}
	if !power(p2, 1, 2).equal(ref(-1, 0)) {
		t.Error("the square of the Frobenius map would not negate y")
	}
}

func TestEndomorphismConstantsComeFromU(t *testing.T) {
	if bigFp(&glvBeta).Cmp(modP(polynomialInU(-18, -18, -9, -2))) != 0 {
		t.Error("glvBeta")
	}
	modN := func(x *big.Int) *big.Int { return new(big.Int).Mod(x, bigN) }
	a1, b1 := polynomialInU(6, 2, 0), polynomialInU(-2, -1)
	a2, b2 := polynomialInU(-2, -1), polynomialInU(-6, -4, -1)
	lambda := polynomialInU(36, 0, 0, 0, -1)
	for _, v := range [][2]*big.Int{{a1, b1}, {a2, b2}} {
		if s := new(big.Int).Mul(v[1], lambda); modN(s.Add(s, v[0])).Sign() != 0 {
			t.Error("a vector is not in the lattice")
		}
	}
	for _, c := range []struct {
		name string
		got  *fr.Element
		want *big.Int
	}{
		{"glvLambda", &glvLambda, lambda},
		{"glvMinusB1", &glvMinusB1, new(big.Int).Neg(b1)},
		{"glvMinusB2", &glvMinusB2, new(big.Int).Neg(b2)},
	} {
		if bigWords(c.got.WordsCT()).Cmp(modN(c.want)) != 0 {
			t.Error(c.name)
		}
	}
	rounded := func(x *big.Int) *big.Int { // x·2^320/n
		x = new(big.Int).Lsh(x, 321)
		x.Add(x, bigN)
		return x.Div(x, new(big.Int).Lsh(bigN, 1))
	}
	if bigWords(glvG1).Cmp(rounded(new(big.Int).Neg(b2))) != 0 {
		t.Error("glvG1")
	}
	if bigWords(glvG2).Cmp(rounded(b1)) != 0 {
		t.Error("glvG2")
	}
}

func bigWords(w [4]uint64) *big.Int {
	b := wordsBytes(w)
	return new(big.Int).SetBytes(b[:])
}

func bigDigits(d []int8) *big.Int {
	r := new(big.Int)
	for i := len(d) - 1; i >= 0; i-- {
		r.Lsh(r, 1).Add(r, big.NewInt(int64(d[i])))
	}
	return r
}
