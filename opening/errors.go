package opening

import "errors"

// The refusals of this package.
var (
	// ErrMalformed: bytes are not of the accepted form or size.
	ErrMalformed = errors.New("opening: malformed")
	// ErrNoCase: the two spends are not a double spend of that coin: it is
	// not in both, is no bound coin, or both are the same payment.
	ErrNoCase = errors.New("opening: not a double spend of a bound coin")
	// ErrForeign: a part or opening about another case or group.
	ErrForeign = errors.New("opening: belongs to something else")
	// ErrStatement: the manager's statement does not prove that its member
	// has the opened tag.
	ErrStatement = errors.New("opening: member statement refused")
)
