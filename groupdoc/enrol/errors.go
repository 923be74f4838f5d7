package enrol

import "errors"

// The refusals of this package.
var (
	// ErrMalformed: bytes or a name outside their documented form.
	ErrMalformed = errors.New("enrol: malformed")
	// ErrForm: the sealed form can't be opened with this key for this
	// session, or is not the one that its digest promises.
	ErrForm = errors.New("enrol: registration form refused")
	// ErrMAC: the activation was not made with the challenge's secret.
	ErrMAC = errors.New("enrol: activation refused")
	// ErrCredential: the encrypted credential does not open.
	ErrCredential = errors.New("enrol: credential does not open")
	// ErrStatement: a member statement contradicts itself or the group.
	ErrStatement = errors.New("enrol: member statement refused")
	// ErrSuccession: a succession contradicts itself, or is another group's.
	ErrSuccession = errors.New("enrol: succession refused")
)
