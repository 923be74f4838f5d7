package fp256bn

import (
	"math/bits"

	"github.com/speciecash/specie/group/fp256bn/fp"
)

// fpIsSquare reports whether x is 0 or a square, in an eighth of the time of
// a root: for hashing to the curve, where every second try has none. Its time
// depends on x.
//
// It is the Jacobi symbol (x/p) by the binary algorithm: of the pair (a, b)
// with b odd, factors 2 leave a with the sign that b mod 8 says, the smaller
// goes below by quadratic reciprocity, and the difference is even again.
func fpIsSquare(x *fp.Element) bool {
	a, b := x.WordsCT(), fieldModulus
	sign := uint64(0) // its second bit counts
	for a[1]|a[2]|a[3] != 0 || b[1]|b[2]|b[3] != 0 {
		if a == [4]uint64{} {
			return true // b, the divisor of both, is p: x is 0
		}
		for a[0] == 0 { // 64 is even: no sign
			a[0], a[1], a[2], a[3] = a[1], a[2], a[3], 0
		}
		n := bits.TrailingZeros64(a[0])
		sign ^= uint64(n) << 1 & (b[0] ^ b[0]>>1)
		shiftRight(&a, n)
		sign ^= subtractOrSwap(&a, &b)
	}
	u, v := a[0], b[0]
	for u != 0 {
		n := bits.TrailingZeros64(u)
		sign ^= uint64(n) << 1 & (v ^ v>>1)
		u >>= n
		if u < v {
			sign ^= u & v
			u, v = v, u
		}
		u -= v
	}
	return v != 1 || sign&2 == 0
}

// shiftRight shifts a by n bits, fewer than 64.
func shiftRight(a *[4]uint64, n int) {
	a[0] = a[0]>>n | a[1]<<(64-n)
	a[1] = a[1]>>n | a[2]<<(64-n)
	a[2] = a[2]>>n | a[3]<<(64-n)
	a[3] >>= n
}

// subtractOrSwap sets (a, b) to (a-b, b), or to (b-a, a) if a is below b, and
// returns the sign of the exchange in the second bit. There is no branch that
// could be mispredicted every other time.
func subtractOrSwap(a, b *[4]uint64) (sign uint64) {
	d0, c := bits.Sub64(a[0], b[0], 0)
	d1, c := bits.Sub64(a[1], b[1], c)
	d2, c := bits.Sub64(a[2], b[2], c)
	d3, c := bits.Sub64(a[3], b[3], c)
	below := -c // all ones if a < b
	sign = a[0] & b[0] & below
	for i := range b {
		b[i] ^= below & (b[i] ^ a[i])
	}
	// The negative of the difference: its complement and one.
	a[0], c = bits.Add64(d0^below, c, 0)
	a[1], c = bits.Add64(d1^below, 0, c)
	a[2], c = bits.Add64(d2^below, 0, c)
	a[3], _ = bits.Add64(d3^below, 0, c)
	return sign
}
