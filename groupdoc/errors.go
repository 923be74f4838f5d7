package groupdoc

import "errors"

// The refusals of this package, beside those of package trust.
var (
	// ErrMalformed: the payload is not of the accepted form or size.
	ErrMalformed = errors.New("groupdoc: malformed")
	// ErrSupervision: not every named supervisor signed these very bytes, or
	// somebody else did, or one supervisor alone could open.
	ErrSupervision = errors.New("groupdoc: supervision refused")
	// ErrGroup: the document is another group's than its certificate's, or
	// embeds another group's supervision.
	ErrGroup = errors.New("groupdoc: another group's")
	// ErrIssuerKey: the manager's proof that he knows the secret of W fails.
	ErrIssuerKey = errors.New("groupdoc: issuing key refused")
	// ErrUnsupported: the document says that who can't read a certain member
	// must refuse it, or it offers no class of TPM key known here.
	ErrUnsupported = errors.New("groupdoc: unsupported")
	// ErrEpoch: the document says nothing about the epoch of that time.
	ErrEpoch = errors.New("groupdoc: no epoch for this time")
	// ErrRollback: the document is from before one that was seen already.
	ErrRollback = errors.New("groupdoc: older than what has been seen")
)
