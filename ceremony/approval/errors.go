package approval

import "errors"

// The refusals of this package.
var (
	// ErrRoster: the roster is not of the accepted form, has an officer or
	// key twice, or a threshold that its officers can't reach.
	ErrRoster = errors.New("approval: roster refused")
	// ErrApproval: the file is not an approval of the accepted form, or its
	// signature is not by the key of the officer it names.
	ErrApproval = errors.New("approval: refused")
	// ErrUnknownOfficer: the approval is by somebody who is not on the roster.
	ErrUnknownOfficer = errors.New("approval: officer is not on the roster")
	// ErrDigest: the approval is of another plan, or of this one before it or
	// one of its inputs was changed.
	ErrDigest = errors.New("approval: of another plan")
	// ErrQuorum: fewer officers approved than the roster demands.
	ErrQuorum = errors.New("approval: not enough officers approved")
	// ErrKey: the private key is of a kind that is not accepted, malformed,
	// or encrypted under another passphrase.
	ErrKey = errors.New("approval: key refused")
)
