package officer

import "errors"

// The refusals of this package.
var (
	// ErrMalformed: a file is not of the accepted form or size.
	ErrMalformed = errors.New("officer: malformed")
	// ErrPassphrase: the key file is encrypted and the passphrase is missing,
	// empty or wrong.
	ErrPassphrase = errors.New("officer: passphrase refused")
	// ErrNotCertified: the officer has not accepted a certificate yet.
	ErrNotCertified = errors.New("officer: no certificate accepted yet")
	// ErrForeign: a certificate, dealing, payload or share of somebody else
	// or of another ceremony.
	ErrForeign = errors.New("officer: not this officer's or not of this ceremony")
	// ErrDealing: dealings that do not fit together: one is missing, stands
	// twice, or was made for other officers, another group or threshold.
	ErrDealing = errors.New("officer: dealings refused")
)
