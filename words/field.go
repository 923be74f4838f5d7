package words

// elem is an element of GF(2^11), its polynomial's coefficients as bits.
type elem uint16

// modulus is a^11 + a^2 + 1, which is primitive.
const modulus = 1<<11 | 1<<2 | 1

func mul(x, y elem) elem {
	var z uint32
	for i := range 11 {
		if y>>i&1 == 1 {
			z ^= uint32(x) << i
		}
	}
	for i := 21; i >= 11; i-- {
		if z>>i&1 == 1 {
			z ^= modulus << (i - 11)
		}
	}
	return elem(z)
}

func pow(x elem, n int) elem {
	y := elem(1)
	for range n {
		y = mul(y, x)
	}
	return y
}

// inverse is x^-1 = x^(2^11-2); that of 0 is 0.
func inverse(x elem) elem {
	y := elem(1)
	for range 10 { // 2 + 4 + … + 2^10
		x = mul(x, x)
		y = mul(y, x)
	}
	return y
}

// at is a^i.
func at(i int) elem { return pow(2, i) }

// sums are the two that are 0 for what was written down; w[i] < 0 counts as 0.
func sums(w []int) (s0, s1 elem) {
	for i, x := range w {
		if x >= 0 {
			s0 ^= elem(x)
			s1 ^= mul(elem(x), at(i))
		}
	}
	return s0, s1
}

// fillIn computes the one or two members that are unknown, in place. It says no if
// there are more, or if there is one and the others contradict each other.
func fillIn(w []int) bool {
	var p []int
	for i, x := range w {
		if x < 0 {
			p = append(p, i)
		}
	}
	s0, s1 := sums(w)
	switch len(p) {
	case 0:
	case 1:
		w[p[0]] = int(s0)
	case 2:
		second := mul(s1^mul(s0, at(p[0])), inverse(at(p[0])^at(p[1])))
		w[p[0]], w[p[1]] = int(s0^second), int(second)
	default:
		return false
	}
	s0, s1 = sums(w)
	return s0 == 0 && s1 == 0
}
