package fp256bn

import "math/bits"

// wnafWidth is the window of the recoding below: odd digits up to ±15, so
// tables of the 8 odd multiples 1, 3, … 15.
const (
	wnafWidth   = 5
	wnafEntries = 1 << (wnafWidth - 2)
)

// wnaf is the width-5 non-adjacent form of an integer below 2^256, least
// significant digit first: every digit is 0 or odd, from -15 to 15, and of
// any five in a row at most one is not 0.
type wnaf struct {
	digits [257]int8
	length int // digits from here on are 0
}

// set recodes w, least significant word first, or minus w.
func (d *wnaf) set(w [4]uint64, negative bool) {
	*d = wnaf{}
	for i := 0; w != [4]uint64{}; i++ {
		if w[0]&1 == 1 {
			digit := int64(w[0] & (1<<wnafWidth - 1))
			if digit >= 1<<(wnafWidth-1) {
				digit -= 1 << wnafWidth
			}
			carry := shiftAfter(&w, digit)
			d.digits[i] = int8(digit)
			if negative {
				d.digits[i] = int8(-digit)
			}
			d.length = i + 1
			// The shift drops the lowest bit, now 0, and takes in
			// the carry of a negative digit.
			w[3] |= carry << 63
			continue
		}
		shiftAfter(&w, 0)
	}
}

// shiftAfter sets w = (w-digit)/2 and returns the bit that belongs on top.
func shiftAfter(w *[4]uint64, digit int64) uint64 {
	var carry uint64
	if digit >= 0 {
		w[0], carry = bits.Sub64(w[0], uint64(digit), 0)
		w[1], carry = bits.Sub64(w[1], 0, carry)
		w[2], carry = bits.Sub64(w[2], 0, carry)
		w[3], carry = bits.Sub64(w[3], 0, carry)
	} else {
		w[0], carry = bits.Add64(w[0], uint64(-digit), 0)
		w[1], carry = bits.Add64(w[1], 0, carry)
		w[2], carry = bits.Add64(w[2], 0, carry)
		w[3], carry = bits.Add64(w[3], 0, carry)
	}
	w[0] = w[0]>>1 | w[1]<<63
	w[1] = w[1]>>1 | w[2]<<63
	w[2] = w[2]>>1 | w[3]<<63
	w[3] >>= 1
	return carry
}
