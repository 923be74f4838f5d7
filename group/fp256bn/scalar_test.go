package fp256bn

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"strings"
	"testing"
)

func TestScalarAgreesWithMathBig(t *testing.T) {
	list := edgeScalars(t)
	r := newRandom()
	for range 10 {
		list = append(list, r.scalar())
	}
	for _, x := range list {
		a := bigScalar(x)
		check := func(name string, got Scalar, want *big.Int) {
			t.Helper()
			if bigScalar(got).Cmp(want.Mod(want, bigN)) != 0 {
				t.Errorf("%s of %x = %x", name, a, bigScalar(got))
			}
		}
		check("Neg", x.Neg(), new(big.Int).Neg(a))
		if a.Sign() == 0 {
			check("Inverse", x.Inverse(), new(big.Int))
		} else {
			check("Inverse", x.Inverse(), new(big.Int).ModInverse(a, bigN))
		}
		if x.IsZero() != (a.Sign() == 0) {
			t.Errorf("IsZero of %x", a)
		}
		for _, y := range list {
			b := bigScalar(y)
			check("Add", x.Add(y), new(big.Int).Add(a, b))
			check("Sub", x.Sub(y), new(big.Int).Sub(a, b))
			check("Mul", x.Mul(y), new(big.Int).Mul(a, b))
			if x.Equal(y) != (a.Cmp(b) == 0) {
				t.Errorf("Equal of %x and %x", a, b)
			}
		}
	}
	if bigScalar(ScalarFromUint64(1<<64-1)).Cmp(new(big.Int).SetUint64(1<<64-1)) != 0 {
		t.Error("ScalarFromUint64")
	}
}

func TestScalarIsReduced(t *testing.T) {
	r := newRandom()
	for length := range 130 {
		for _, b := range [][]byte{r.bytes(length), make([]byte, length), bytes.Repeat([]byte{0xff}, length)} {
			want := new(big.Int).SetBytes(b)
			if got := bigScalar(ReduceScalar(b)); got.Cmp(want.Mod(want, bigN)) != 0 {
				t.Errorf("%d bytes reduced to another value", length)
			}
		}
	}
}

func TestParseScalarRefuses(t *testing.T) {
	encode := func(x *big.Int) []byte { return x.FillBytes(make([]byte, 32)) }
	one := big.NewInt(1)
	last := encode(new(big.Int).Sub(bigN, one))
	for name, b := range map[string][]byte{
		"nothing":          nil,
		"31 bytes":         last[:31],
		"33 bytes":         append([]byte{0}, last...),
		"the group order":  encode(bigN),
		"one more than it": encode(new(big.Int).Add(bigN, one)),
		"the largest":      bytes.Repeat([]byte{0xff}, 32),
	} {
		if _, err := ParseScalar(b); !errors.Is(err, ErrScalar) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, b := range [][]byte{last, make([]byte, 32)} {
		s, err := ParseScalar(b)
		if got := s.Bytes(); err != nil || !bytes.Equal(got[:], b) {
			t.Errorf("%x came back as %x, %v", b, got, err)
		}
	}
}

func TestRandomScalar(t *testing.T) {
	a, err := RandomScalar(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := RandomScalar(rand.Reader); a.Equal(b) {
		t.Error("twice the same")
	}

	zero, over := make([]byte, 32), bytes.Repeat([]byte{0xff}, 32)
	five := append(make([]byte, 31), 5)
	s, err := RandomScalar(io.MultiReader(bytes.NewReader(over), bytes.NewReader(zero), bytes.NewReader(five)))
	if err != nil || !s.Equal(ScalarFromUint64(5)) {
		t.Errorf("0 and numbers not below n are not drawn again: %x, %v", bigScalar(s), err)
	}
	if _, err := RandomScalar(bytes.NewReader(make([]byte, 1<<10))); err == nil {
		t.Error("zeros for ever are taken for random")
	}
	if _, err := RandomScalar(bytes.NewReader(five[:31])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a short read gives %v", err)
	}
}

func TestScalarDoesNotShow(t *testing.T) {
	s := ScalarFromUint64(0xabcdef)
	holder := struct{ Key Scalar }{s}
	private := struct{ key Scalar }{s}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%T%v"} {
		var args []any
		for range strings.Count(format, "%") {
			args = append(args, s)
		}
		for _, got := range []string{fmt.Sprintf(format, args...), fmt.Sprintf("%v %+v %x", holder, holder, holder)} {
			if !strings.Contains(got, "[redacted]") || strings.Contains(strings.ToLower(got), "abcdef") || strings.Contains(got, "11259375") {
				t.Errorf("%s prints %s", format, got)
			}
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%x", "%d"} {
		words := s.element()
		for _, secret := range append(words[:], 0xabcdef) {
			if got := fmt.Sprintf(format, private); strings.Contains(got, fmt.Sprintf("%x", secret)) || strings.Contains(got, fmt.Sprint(secret)) {
				t.Errorf("%s of an unexported field prints %s", format, got)
			}
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("made", "key", s)
	if !strings.Contains(log.String(), "key=[redacted]") {
		t.Errorf("logged as %s", log.String())
	}
	if b, err := json.Marshal(holder); err == nil {
		t.Errorf("marshalled as %s", b)
	}
	if s.String() != "[redacted]" || s.GoString() != "[redacted]" {
		t.Error("String or GoString")
	}
}

func TestSplitScalar(t *testing.T) {
	lambda := polynomialInU(36, 0, 0, 0, -1)
	limit := new(big.Int).Lsh(big.NewInt(1), 127)
	list := edgeScalars(t)
	r := newRandom()
	for range 2000 {
		list = append(list, r.scalar())
	}
	// The corners of the lattice's cell, where the halves are largest: the
	// scalars (±(a1,b1) ± (a2,b2))/2 · (1, λ), and their neighbours.
	half := new(big.Int).ModInverse(big.NewInt(2), bigN)
	for _, a := range []*big.Int{polynomialInU(6, 0, -1), polynomialInU(6, 4, 1)} {
		for _, b := range []*big.Int{polynomialInU(-6, -6, -2), polynomialInU(6, 2, 0)} {
			corner := new(big.Int).Mul(b, lambda)
			corner.Add(corner, a).Mul(corner, half)
			for d := int64(-2); d <= 2; d++ {
				list = append(list, scalarFromBig(t, new(big.Int).Add(corner, big.NewInt(d))))
			}
		}
	}
	for _, s := range list {
		k1, k2 := s.split()
		a, b := bigHalf(t, k1), bigHalf(t, k2)
		if a.CmpAbs(limit) >= 0 || b.CmpAbs(limit) >= 0 {
			t.Errorf("%x has a half not below 2^127", bigScalar(s))
		}
		sum := new(big.Int).Mul(b, lambda)
		sum.Add(sum, a).Sub(sum, bigScalar(s))
		if sum.Mod(sum, bigN).Sign() != 0 {
			t.Errorf("the halves of %x do not make it up", bigScalar(s))
		}
	}
}

func bigHalf(t *testing.T, h half) *big.Int {
	t.Helper()
	x := bigWords(h.abs)
	switch h.negative {
	case 0:
	case ^uint64(0):
		x.Neg(x)
	default:
		t.Fatal("negative is neither zero nor all ones")
	}
	return x
}

func TestWNAF(t *testing.T) {
	list := edgeScalars(t)
	r := newRandom()
	for range 50 {
		list = append(list, r.scalar())
	}
	values := edgeWords(bigN)
	for _, s := range list {
		values = append(values, s.words())
	}
	for width := 2; width <= preparedWidth; width++ {
		for _, w := range values {
			checkWNAF(t, w, width)
		}
	}
}

func checkWNAF(t *testing.T, w [4]uint64, width int) {
	t.Helper()
	var d, minus wnaf
	d.set(&w, false, width)
	minus.set(&w, true, width)
	if bigDigits(d.digits[:]).Cmp(bigWords(w)) != 0 {
		t.Errorf("%x recoded as %x", bigWords(w), bigDigits(d.digits[:]))
	}
	if sum := bigDigits(minus.digits[:]); sum.Add(sum, bigWords(w)).Sign() != 0 || minus.length != d.length {
		t.Errorf("minus %x recoded as %x", bigWords(w), bigDigits(minus.digits[:]))
	}
	last := -width
	for i, digit := range d.digits {
		if digit == 0 {
			continue
		}
		if digit%2 == 0 || abs(int(digit)) >= 1<<(width-1) || i-last < width || i >= d.length {
			t.Errorf("width %d: digit %d of %x is %d", width, i, bigWords(w), digit)
		}
		last = i
	}
	if last+1 != max(d.length, 1-width) && bigWords(w).Sign() != 0 {
		t.Errorf("width %d: length %d of %x", width, d.length, bigWords(w))
	}
}
