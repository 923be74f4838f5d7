package group

import (
	"encoding/binary"
	"fmt"

	"github.com/speciecash/specie/group/fp256bn"
)

// reader takes fixed-size fields off a buffer whose length was checked, and
// keeps the first refusal.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || len(r.b) < n {
		if r.err == nil {
			r.err = fmt.Errorf("%w: short", ErrMalformed)
		}
		return make([]byte, n)
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) g1() fp256bn.G1 {
	p, err := fp256bn.ParseG1(r.take(33))
	r.keep(err)
	return p
}

func (r *reader) g2() fp256bn.G2 {
	p, err := fp256bn.ParseG2(r.take(65))
	r.keep(err)
	return p
}

func (r *reader) scalar() fp256bn.Scalar {
	s, err := fp256bn.ParseScalar(r.take(32))
	r.keep(err)
	return s
}

func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

func (r *reader) bytes32() (out [32]byte) {
	copy(out[:], r.take(32))
	return out
}

func (r *reader) keep(err error) {
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%w: %w", ErrMalformed, err)
	}
}
