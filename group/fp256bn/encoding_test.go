package fp256bn

import (
	"bytes"
	"errors"
	"math/big"
	"slices"
	"testing"
)

func TestG1RoundTrips(t *testing.T) {
	r := newRandom()
	p := Generator1()
	for range 50 {
		for _, p := range []G1{p, p.Neg()} {
			b := p.Bytes()
			if got, err := ParseG1(b[:]); err != nil || !got.Equal(p) {
				t.Errorf("%x: %v", b, err)
			}
			x, y := p.XY()
			if got, err := G1FromXY(x[:], y[:]); err != nil || !got.Equal(p) {
				t.Errorf("%x, %x: %v", x, y, err)
			}
			if want := 2 + y[31]&1; b[0] != want || !bytes.Equal(b[1:], x[:]) {
				t.Errorf("%x does not follow SEC 1", b)
			}
			lifted, ok := LiftX(x[:])
			_, ly := lifted.XY()
			_, my := lifted.Neg().XY()
			if !ok || !lifted.Equal(p) && !lifted.Equal(p.Neg()) || bytes.Compare(ly[:], my[:]) >= 0 {
				t.Errorf("LiftX(%x) = %x, %v", x, ly, ok)
			}
		}
		p = p.Mul(r.scalar())
	}
	if b := Generator1().Bytes(); !bytes.Equal(b[:], append(append([]byte{2}, make([]byte, 31)...), 1)) {
		t.Errorf("the generator is %x", b)
	}
	if got, err := G1FromXY([]byte{1}, []byte{2}); err != nil || !got.Equal(Generator1()) {
		t.Errorf("coordinates without leading zeros: %v", err)
	}
}

func TestG2RoundTrips(t *testing.T) {
	r := newRandom()
	p := Generator2()
	for range 20 {
		for _, p := range []G2{p, p.Neg()} {
			b := p.Bytes()
			if got, err := ParseG2(b[:]); err != nil || !got.Equal(p) {
				t.Errorf("%x: %v", b, err)
			}
		}
		p = p.Mul(r.scalar())
	}
}

func TestInfinityIsNotParsed(t *testing.T) {
	b1, b2 := G1{}.Bytes(), G2{}.Bytes()
	if b1 != [G1Size]byte{} || b2 != [G2Size]byte{} {
		t.Errorf("infinity is %x and %x", b1, b2)
	}
	for _, prefix := range []byte{0, 2, 3} {
		b1[0], b2[0] = prefix, prefix
		if _, err := ParseG1(b1[:]); prefix == 0 && !errors.Is(err, ErrPoint) {
			t.Errorf("ParseG1(%x): %v", b1, err)
		}
		if p, err := ParseG1(b1[:]); err == nil && (p.IsInfinity() || !p.onCurve()) {
			t.Errorf("ParseG1(%x) is infinity or off the curve", b1)
		}
		if p, err := ParseG2(b2[:]); err == nil {
			t.Errorf("ParseG2(%x) = %v", b2, p)
		}
	}
	x, y := G1{}.XY()
	if _, err := G1FromXY(x[:], y[:]); !errors.Is(err, ErrPoint) {
		t.Errorf("G1FromXY of zeros: %v", err)
	}
	if _, err := G1FromXY(nil, nil); !errors.Is(err, ErrPoint) {
		t.Errorf("G1FromXY of nothing: %v", err)
	}
}

func TestParseG1Refuses(t *testing.T) {
	good := Generator1().Mul(newRandom().scalar()).Bytes()
	point := func(prefix byte, x *big.Int) []byte {
		return append([]byte{prefix}, x.FillBytes(make([]byte, 32))...)
	}
	prefixed := func(prefix byte) []byte { return append([]byte{prefix}, good[1:]...) }
	one := Generator1().Bytes() // its x is 1, and p+1 is below 2^256
	for name, b := range map[string][]byte{
		"nothing":                        nil,
		"a byte too few":                 good[:32],
		"a byte too many":                append(slices.Clone(good[:]), 0),
		"the prefix 00":                  prefixed(0),
		"the prefix 01":                  prefixed(1),
		"the prefix 04":                  prefixed(4),
		"the hybrid prefix 06":           prefixed(6),
		"the prefix 82":                  prefixed(0x82),
		"x = p":                          point(2, bigP),
		"x = p+1, which is 1 modulo p":   point(one[0], new(big.Int).Add(bigP, big.NewInt(1))),
		"x = 2^256-1":                    append([]byte{2}, bytes.Repeat([]byte{0xff}, 32)...),
		"an x that has no point":         point(2, notOnCurve(t)),
		"an x that has no point, odd":    point(3, notOnCurve(t)),
		"an uncompressed point":          append(prefixed(4), make([]byte, 32)...),
		"32 bytes of x without a prefix": good[1:],
	} {
		if p, err := ParseG1(b); !errors.Is(err, ErrPoint) || !p.IsInfinity() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestG1FromXYRefuses(t *testing.T) {
	one, two := []byte{1}, []byte{2}
	plus := func(d int64) []byte { return new(big.Int).Add(bigP, big.NewInt(d)).Bytes() }
	for name, c := range map[string][2][]byte{
		"a point off the curve":   {one, one},
		"x = p+1":                 {plus(1), two},
		"y = p+2":                 {one, plus(2)},
		"x of 33 bytes":           {append(make([]byte, 32), 1), two},
		"y of 33 bytes":           {one, append(make([]byte, 32), 2)},
		"no x":                    {nil, two},
		"no y":                    {one, nil},
		"the coordinates swapped": {two, one},
	} {
		if p, err := G1FromXY(c[0], c[1]); !errors.Is(err, ErrPoint) || !p.IsInfinity() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLiftXReduces(t *testing.T) {
	want := Generator1() // y = 2 is the smaller root
	long := new(big.Int).Lsh(bigP, 200)
	for _, x := range []*big.Int{big.NewInt(1), new(big.Int).Add(bigP, big.NewInt(1)), long.Add(long, big.NewInt(1))} {
		if p, ok := LiftX(x.Bytes()); !ok || !p.Equal(want) {
			t.Errorf("LiftX(%x) = %v, %v", x, p, ok)
		}
	}
	if p, ok := LiftX(notOnCurve(t).Bytes()); ok || !p.IsInfinity() {
		t.Errorf("an x that has no point is lifted to %v", p)
	}
}

// notOnCurve returns the least x for which x³+3 is not a square.
func notOnCurve(t *testing.T) *big.Int {
	t.Helper()
	for x := int64(0); ; x++ {
		rhs := big.NewInt(x*x*x + 3)
		if big.Jacobi(rhs, bigP) == -1 {
			return big.NewInt(x)
		}
	}
}

func TestParseG2Refuses(t *testing.T) {
	good := Generator2().Mul(newRandom().scalar()).Bytes()
	replaced := func(at int, by []byte) []byte { return slices.Replace(slices.Clone(good[:]), at, at+len(by), by...) }
	outside := outsideSubgroup(t)
	for name, b := range map[string][]byte{
		"nothing":                    nil,
		"a byte too few":             good[:64],
		"a byte too many":            append(slices.Clone(good[:]), 0),
		"the prefix 00":              replaced(0, []byte{0}),
		"the prefix 01":              replaced(0, []byte{1}),
		"the prefix 04":              replaced(0, []byte{4}),
		"a1 = p":                     replaced(1, bigP.Bytes()),
		"a0 = p":                     replaced(33, bigP.Bytes()),
		"a1 = 2^256-1":               replaced(1, bytes.Repeat([]byte{0xff}, 32)),
		"a0 = 2^256-1":               replaced(33, bytes.Repeat([]byte{0xff}, 32)),
		"an abscissa with no point":  notOnTwist(t),
		"a point outside the group":  outside,
		"its opposite":               append([]byte{outside[0] ^ 1}, outside[1:]...),
		"a point of G1":              append(good[:1:1], append(make([]byte, 63), 1)...),
		"one of the cofactor's part": cofactorPart(t),
	} {
		if p, err := ParseG2(b); !errors.Is(err, ErrPoint) || !p.IsInfinity() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// pointOnTwist returns the point with abscissa x+i, and whether there is one.
func pointOnTwist(x int64) (G2, bool) {
	var p G2
	var t fp2
	p.x = fp2FromRef(ref(x, 1))
	p.rhs(&t)
	return p, p.y.sqrt(&t)
}

// firstOnTwist returns the point of pointOnTwist for the least x that has one.
func firstOnTwist() G2 {
	for x := int64(0); ; x++ {
		if p, ok := pointOnTwist(x); ok {
			return p
		}
	}
}

// outsideSubgroup returns the encoding of a point of the twist that has not
// the order n, by the reference arithmetic.
func outsideSubgroup(t *testing.T) []byte {
	t.Helper()
	p := firstOnTwist()
	if !p.onCurve() || refOfG2(p).mul(bigN).infinity {
		t.Fatal("the point is off the twist or of order n")
	}
	b := p.Bytes()
	return b[:]
}

// cofactorPart returns the encoding of a point whose order divides the
// cofactor 2p-n.
func cofactorPart(t *testing.T) []byte {
	t.Helper()
	cofactor := new(big.Int).Lsh(bigP, 1)
	cofactor.Sub(cofactor, bigN)
	part := refOfG2(firstOnTwist()).mul(bigN)
	if part.infinity || !part.mul(cofactor).infinity {
		t.Fatal("the cofactor is not 2p-n")
	}
	b := G2{fp2FromRef(part.x), fp2FromRef(part.y)}.Bytes()
	return b[:]
}

func notOnTwist(t *testing.T) []byte {
	t.Helper()
	for x := int64(0); ; x++ {
		if p, ok := pointOnTwist(x); !ok {
			p.y = fp2FromRef(ref(2, 0)) // any y that gives the prefix 02
			b := p.Bytes()
			return b[:]
		}
	}
}
