package warrant

import "errors"

// The refusals of this package.
var (
	// ErrMalformed: bytes are not of the accepted form or size, or say what no
	// warrant may say.
	ErrMalformed = errors.New("warrant: malformed")
	// ErrGroup: the warrant or register is another group's.
	ErrGroup = errors.New("warrant: another group's")
	// ErrSigner: somebody signed who is no supervisor of the group, or other
	// bytes than the rest.
	ErrSigner = errors.New("warrant: signature refused")
	// ErrQuorum: fewer different supervisors signed than must come together.
	ErrQuorum = errors.New("warrant: not enough supervisors signed")
	// ErrExpired: the warrant's term is over, or has not begun.
	ErrExpired = errors.New("warrant: not in force")
	// ErrScope: the warrant allows something else.
	ErrScope = errors.New("warrant: does not allow this")
	// ErrSubject: the warrant is about another case or member.
	ErrSubject = errors.New("warrant: about something else")
	// ErrUnregistered: the warrant does not stand in the register.
	ErrUnregistered = errors.New("warrant: not in the register")
	// ErrRegister: entries do not follow each other, or do not lead to the head
	// that was published: the register is incomplete, or was rewritten.
	ErrRegister = errors.New("warrant: register refused")
)
