package words

import "testing"

func TestTheFieldIsOne(t *testing.T) {
	x, order := elem(2), 1
	for ; x != 1; order++ {
		x = mul(x, 2)
	}
	if order != 2047 {
		t.Errorf("a has the order %d: the modulus is not primitive", order)
	}
	for x := elem(1); x < 2048; x++ {
		if mul(x, inverse(x)) != 1 {
			t.Fatalf("the inverse of %d", x)
		}
	}
}
