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
		digit := int64(0)
		if w[0]&1 == 1 {
			digit = int64(w[0] & (1<<wnafWidth - 1))
			if digit >= 1<<(wnafWidth-1) {
				digit -= 1 << wnafWidth
			}
			d.length = i + 1
		}
		subtractAndHalve(&w, digit)
		if negative {
			digit = -digit
		}
		d.digits[i] = int8(digit)
	}
}

// subtractAndHalve sets w = (w-digit)/2. The difference is even, not negative,
// and may take 257 bits.
func subtractAndHalve(w *[4]uint64, digit int64) {
	minus, sign := uint64(-digit), uint64(-digit>>63) // -digit over all words
	var c uint64
	w[0], c = bits.Add64(w[0], minus, 0)
	w[1], c = bits.Add64(w[1], sign, c)
	w[2], c = bits.Add64(w[2], sign, c)
	w[3], c = bits.Add64(w[3], sign, c)
	top := (c + sign) & 1
	w[0] = w[0]>>1 | w[1]<<63
	w[1] = w[1]>>1 | w[2]<<63
	w[2] = w[2]>>1 | w[3]<<63
	w[3] = w[3]>>1 | top<<63
}
