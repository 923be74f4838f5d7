package fp256bn

import "github.com/speciecash/specie/group/fp256bn/fp"

// sqrtExponent is (p+1)/4: p is 3 mod 4, so a square's root is that power.
var sqrtExponent = [4]uint64{0xb4ca4b76ebb4cc05, 0xc337197ec4a602a0, 0x51b97c97bb9c6927, 0x3fffffffffff3c33}

// fpSqrt sets z to a square root of x and reports whether there is one. If
// there is none z is left in an undefined state.
func fpSqrt(z, x *fp.Element) bool {
	var root, square fp.Element
	root.ExpCT(x, &sqrtExponent)
	square.SquareCT(&root)
	ok := square == *x // before z is written: it may be x
	*z = root
	return ok
}

// fpOdd returns 1 if the canonical integer of x is odd, else 0.
func fpOdd(x *fp.Element) byte {
	w := x.WordsCT()
	return byte(w[0] & 1)
}

// fpBytes returns x as 32 bytes big-endian.
func fpBytes(x *fp.Element) [32]byte { return wordsBytes(x.WordsCT()) }

// fpSetCanonical sets z to the big-endian integer b, at most 32 bytes long,
// and reports whether it was below p.
func fpSetCanonical(z *fp.Element, b []byte) bool {
	w := parseWords(b)
	z.SetWordsCT(&w)
	return fp.BelowModulus(&w)
}

// fpReduce sets z to the big-endian integer b, of any length, modulo p.
func fpReduce(z *fp.Element, b []byte) {
	*z = fp.Element{}
	for len(b) > 0 {
		k := (len(b)-1)%32 + 1 // the first chunk takes the odd bytes
		w := parseWords(b[:k])
		var chunk fp.Element
		chunk.SetWordsCT(&w)
		z.ShiftWordsCT(z)
		z.AddCT(z, &chunk)
		b = b[k:]
	}
}

// fpSelect sets z to y where mask is all ones, to x where it is zero.
func fpSelect(z, x, y *fp.Element, mask uint64) {
	for i := range z {
		z[i] = x[i] ^ mask&(x[i]^y[i])
	}
}

// fpZeroMask returns all ones if x is zero, else zero.
func fpZeroMask(x *fp.Element) uint64 { return zeroMask(x[0] | x[1] | x[2] | x[3]) }

// zeroMask returns all ones if v is zero, else zero, without a branch.
func zeroMask(v uint64) uint64 { return ((v | -v) >> 63) - 1 }
