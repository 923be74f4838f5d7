package coin_test

import (
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/speciecash/specie/coin"
	"pgregory.net/rapid"
)

func TestParseAmount(t *testing.T) {
	cases := []struct {
		in       string
		exponent int
		want     coin.Amount
		err      error
	}{
		{"12.34", 2, 1234, nil},
		{"12", 2, 1200, nil},
		{"12.3", 2, 1230, nil},
		{"0", 2, 0, nil},
		{"0.01", 2, 1, nil},
		{"7", 0, 7, nil},
		{"0.00000001", 8, 1, nil},
		{"90071992547409.91", 2, coin.MaxAmount, nil},
		{"90071992547409.92", 2, 0, coin.ErrOverflow},
		{"9999999999999999999999", 2, 0, coin.ErrOverflow},
		{"", 2, 0, coin.ErrMalformed},
		{".5", 2, 0, coin.ErrMalformed},
		{"5.", 2, 0, coin.ErrMalformed},
		{"1.234", 2, 0, coin.ErrMalformed},
		{"1.5", 0, 0, coin.ErrMalformed},
		{"1.2.3", 2, 0, coin.ErrMalformed},
		{"01", 2, 0, coin.ErrMalformed},
		{"-1", 2, 0, coin.ErrMalformed},
		{"+1", 2, 0, coin.ErrMalformed},
		{" 1", 2, 0, coin.ErrMalformed},
		{"1,50", 2, 0, coin.ErrMalformed},
		{"1e3", 2, 0, coin.ErrMalformed},
		{"0x10", 2, 0, coin.ErrMalformed},
		{"１", 2, 0, coin.ErrMalformed},
		{"1", -1, 0, coin.ErrMalformed},
		{"1", 9, 0, coin.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(name("%q with %d decimals", c.in, c.exponent), func(t *testing.T) {
			got, err := coin.ParseAmount(c.in, c.exponent)
			expect(t, err, c.err)
			if got != c.want {
				t.Fatalf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestAmountArithmeticAtTheEdges(t *testing.T) {
	max := coin.MaxAmount
	cases := []struct {
		name string
		do   func() (coin.Amount, error)
		want coin.Amount
		err  error
	}{
		{"up to the largest", func() (coin.Amount, error) { return (max - 1).Add(1) }, max, nil},
		{"one more than the largest", func() (coin.Amount, error) { return max.Add(1) }, 0, coin.ErrOverflow},
		{"a negative summand", func() (coin.Amount, error) { return coin.Amount(5).Add(-1) }, 0, coin.ErrOverflow},
		{"down to nothing", func() (coin.Amount, error) { return max.Sub(max) }, 0, nil},
		{"below nothing", func() (coin.Amount, error) { return coin.Amount(1).Sub(2) }, 0, coin.ErrOverflow},
		{"times nothing", func() (coin.Amount, error) { return max.Mul(0) }, 0, nil},
		{"nothing times a lot", func() (coin.Amount, error) { return coin.Amount(0).Mul(1 << 62) }, 0, nil},
		{"a product too large", func() (coin.Amount, error) { return (max/2 + 1).Mul(2) }, 0, coin.ErrOverflow},
		{"a product that wraps in 64 bits", func() (coin.Amount, error) { return coin.Amount(1 << 33).Mul(1 << 33) }, 0, coin.ErrOverflow},
		{"times a negative number", func() (coin.Amount, error) { return coin.Amount(1).Mul(-1) }, 0, coin.ErrOverflow},
		{"an amount out of range", func() (coin.Amount, error) { return (max + 1).Sub(1) }, 0, coin.ErrOverflow},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.do()
			expect(t, err, c.err)
			if got != c.want {
				t.Fatalf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestAmountArithmeticAgreesWithBigIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		any64 := rapid.OneOf(rapid.Int64(), rapid.Int64Range(0, int64(coin.MaxAmount)), rapid.Int64Range(0, 1<<27))
		a, b := any64.Draw(t, "a"), any64.Draw(t, "b")
		max := big.NewInt(int64(coin.MaxAmount))
		check := func(what string, got coin.Amount, err error, want *big.Int, operandsOK bool) {
			fits := operandsOK && want.Sign() >= 0 && want.Cmp(max) <= 0
			if (err == nil) != fits || (fits && want.Cmp(big.NewInt(int64(got))) != 0) {
				t.Fatalf("%d %s %d: got %d, %v", a, what, b, got, err)
			}
		}
		ok := func(x int64) bool { return x >= 0 && x <= int64(coin.MaxAmount) }
		x, y := big.NewInt(a), big.NewInt(b)
		sum, err := coin.Amount(a).Add(coin.Amount(b))
		check("plus", sum, err, new(big.Int).Add(x, y), ok(a) && ok(b))
		diff, err := coin.Amount(a).Sub(coin.Amount(b))
		check("minus", diff, err, new(big.Int).Sub(x, y), ok(a) && ok(b))
		product, err := coin.Amount(a).Mul(b)
		check("times", product, err, new(big.Int).Mul(x, y), ok(a) && b >= 0)
	})
}

func TestFormatAndParseAreInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := coin.Amount(rapid.Int64Range(0, int64(coin.MaxAmount)).Draw(t, "a"))
		exponent := rapid.IntRange(0, coin.MaxExponent).Draw(t, "exponent")
		text := a.Format(exponent)
		back, err := coin.ParseAmount(text, exponent)
		if err != nil || back != a {
			t.Fatalf("%d became %q became %d, %v", a, text, back, err)
		}
	})
	if got := coin.Amount(-5).Format(2); got != "-0.05" {
		t.Fatalf("got %q", got)
	}
}

func FuzzParseAmount(f *testing.F) {
	for _, s := range []string{"12.34", "0", "0.01", "90071992547409.91", "-1", "1e5", ".", "00"} {
		f.Add(s, 2)
	}
	f.Fuzz(func(t *testing.T, s string, exponent int) {
		a, err := coin.ParseAmount(s, exponent)
		if err != nil {
			return
		}
		if a.Check() != nil {
			t.Fatalf("%q gives %d", s, a)
		}
		// The same number by another road.
		whole, part, _ := strings.Cut(s, ".")
		n, err := strconv.ParseInt(whole+part+strings.Repeat("0", exponent-len(part)), 10, 64)
		if err != nil || coin.Amount(n) != a {
			t.Fatalf("%q gives %d, want %d", s, a, n)
		}
	})
}
