package coin

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxAmount is the largest amount, 2^53-1 minor units: the largest integer
// that every JSON reader keeps exactly.
const MaxAmount Amount = 1<<53 - 1

// MaxExponent is the largest number of decimals a currency may have.
const MaxExponent = 8

// Amount is money in minor units (cents) of some currency, 0 to MaxAmount.
// The currency stands beside it, in the keyset, the offer and the spend.
type Amount int64

// Check returns ErrOverflow unless the amount is within 0 and MaxAmount.
func (a Amount) Check() error {
	if a < 0 || a > MaxAmount {
		return ErrOverflow
	}
	return nil
}

// Add returns a+b or ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.Check() != nil || b.Check() != nil || a > MaxAmount-b {
		return 0, ErrOverflow
	}
	return a + b, nil
}

// Sub returns a-b, or ErrOverflow if that is below zero.
func (a Amount) Sub(b Amount) (Amount, error) {
	if a.Check() != nil || b.Check() != nil || b > a {
		return 0, ErrOverflow
	}
	return a - b, nil
}

// Mul returns n times a or ErrOverflow.
func (a Amount) Mul(n int64) (Amount, error) {
	if a.Check() != nil || n < 0 {
		return 0, ErrOverflow
	}
	if a != 0 && n > int64(MaxAmount/a) {
		return 0, ErrOverflow
	}
	return a * Amount(n), nil
}

// Format writes the amount with exponent decimals: 1234 with 2 is "12.34".
// An exponent outside 0 to MaxExponent counts as 0.
func (a Amount) Format(exponent int) string {
	digits, sign := strconv.FormatInt(int64(a), 10), ""
	if a < 0 {
		digits, sign = digits[1:], "-"
	}
	if exponent <= 0 || exponent > MaxExponent {
		return sign + digits
	}
	if n := exponent + 1 - len(digits); n > 0 {
		digits = strings.Repeat("0", n) + digits
	}
	cut := len(digits) - exponent
	return sign + digits[:cut] + "." + digits[cut:]
}

// ParseAmount reads "12.34" as 1234 when exponent is 2. Digits and at most
// one point are accepted, with at least one digit before it and one to
// exponent digits after it; no sign, space, separator or leading zero. It
// returns ErrMalformed, or ErrOverflow above MaxAmount.
func ParseAmount(s string, exponent int) (Amount, error) {
	if exponent < 0 || exponent > MaxExponent {
		return 0, fmt.Errorf("%w: exponent %d", ErrMalformed, exponent)
	}
	whole, part, point := strings.Cut(s, ".")
	if whole == "" || (len(whole) > 1 && whole[0] == '0') || !onlyDigits(whole) || !onlyDigits(part) ||
		(point && part == "") || len(part) > exponent {
		return 0, fmt.Errorf("%w: an amount is written like %s", ErrMalformed, Amount(1234).Format(exponent))
	}
	digits := whole + part + strings.Repeat("0", exponent-len(part))
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || Amount(n) > MaxAmount {
		return 0, ErrOverflow
	}
	return Amount(n), nil
}

func onlyDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// checkCurrency returns ErrMalformed unless c is 3 to 8 of [A-Z0-9]; ISO 4217
// codes are, and so are units that ISO does not know.
func checkCurrency(c string) error {
	if len(c) < 3 || len(c) > 8 {
		return fmt.Errorf("%w: a currency has 3 to 8 characters", ErrMalformed)
	}
	for i := 0; i < len(c); i++ {
		if (c[i] < 'A' || c[i] > 'Z') && (c[i] < '0' || c[i] > '9') {
			return fmt.Errorf("%w: a currency has characters A-Z and 0-9 only", ErrMalformed)
		}
	}
	return nil
}
