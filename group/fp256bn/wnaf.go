package fp256bn

// Widths of the recodings below: of a point that comes once a table of 8 odd
// multiples is made on the spot, of one that comes often a table of 64 is kept.
const (
	wnafWidth     = 5
	wnafEntries   = 1 << (wnafWidth - 2)
	preparedWidth = 8
	preparedCount = 1 << (preparedWidth - 2)
)

// wnaf is the non-adjacent form of some width w of an integer below 2^256,
// least significant digit first: every digit is 0 or odd, below 2^(w-1) in
// absolute value, and of any w in a row at most one is not 0.
type wnaf struct {
	digits [257]int8
	length int // digits from here on are 0
}

// set recodes w, least significant word first, or minus w, with the given
// width, from 2 to 8.
func (d *wnaf) set(w *[4]uint64, negative bool, width int) {
	*d = wnaf{}
	carry := uint64(0)
	for i := 0; i < 256; {
		if w[i/64]>>(i%64)&1 == carry {
			i++ // the bit and the carry make 0 or 2
			continue
		}
		digit := int(window(w, i, width) + carry)
		carry = uint64(digit) >> (width - 1) & 1
		digit -= int(carry) << width
		if negative {
			digit = -digit
		}
		d.digits[i] = int8(digit)
		d.length = i + 1
		i += width
	}
	if carry != 0 {
		d.digits[256] = 1
		if negative {
			d.digits[256] = -1
		}
		d.length = 257
	}
}

// window returns the width bits of w from bit i on; those above w are 0.
func window(w *[4]uint64, i, width int) uint64 {
	v := w[i/64] >> (i % 64)
	if i%64+width > 64 && i < 192 {
		v |= w[i/64+1] << (64 - i%64)
	}
	return v & (1<<width - 1)
}
