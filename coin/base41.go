package coin

import (
	"fmt"
	"strings"
)

// alphabet41 is what QR codes write in 5½ bits a character (ISO/IEC 18004,
// alphanumeric mode), less "$", "%", "*" and the space, which a shell or a URL
// takes for something else. 41³ is just over 2¹⁶, so it holds as much as the
// base 45 of RFC 9285.
const alphabet41 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ+-./:"

// encode41 writes two bytes, as a number big-endian, in three characters, the
// most significant first, and a single byte at the end in two.
func encode41(b []byte) string {
	var s strings.Builder
	for ; len(b) >= 2; b = b[2:] {
		n := int(b[0])<<8 | int(b[1])
		s.WriteByte(alphabet41[n/41/41])
		s.WriteByte(alphabet41[n/41%41])
		s.WriteByte(alphabet41[n%41])
	}
	if len(b) == 1 {
		s.WriteByte(alphabet41[b[0]/41])
		s.WriteByte(alphabet41[b[0]%41])
	}
	return s.String()
}

// decode41 reads what encode41 writes and nothing else, at most max bytes.
func decode41(s string, max int) ([]byte, error) {
	if len(s) > (max+1)/2*3 {
		return nil, fmt.Errorf("%w: more than %d bytes of base 41", ErrTooLarge, max)
	}
	out := make([]byte, 0, len(s)/3*2+1)
	for len(s) > 0 {
		group := s[:min(3, len(s))]
		n := 0
		for i := range len(group) {
			v := strings.IndexByte(alphabet41, group[i])
			if v < 0 {
				return nil, fmt.Errorf("%w: not base 41", ErrMalformed)
			}
			n = n*41 + v
		}
		switch {
		case len(group) == 3 && n < 1<<16:
			out = append(out, byte(n>>8), byte(n))
		case len(group) == 2 && n < 1<<8:
			out = append(out, byte(n))
		default:
			return nil, fmt.Errorf("%w: not base 41", ErrMalformed)
		}
		s = s[len(group):]
	}
	return out, nil
}
