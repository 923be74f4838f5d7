package fp256bn

import "errors"

var (
	// ErrPoint means that bytes are not the canonical encoding of a point of
	// the group asked for, other than infinity.
	ErrPoint = errors.New("not a point of the group")

	// ErrScalar means that bytes are not the canonical encoding of a scalar,
	// 32 bytes big-endian and below n.
	ErrScalar = errors.New("not a canonical scalar")
)
