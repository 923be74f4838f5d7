package trust

import "errors"

// The refusals of this package.
var (
	// ErrMalformed: the bytes are not a document, certificate or name of the
	// accepted form and size.
	ErrMalformed = errors.New("trust: malformed")
	// ErrType: the document is of another type than the one asked for.
	ErrType = errors.New("trust: wrong document type")
	// ErrChain: the certificates do not lead to the pinned root in the one
	// accepted shape.
	ErrChain = errors.New("trust: certificate chain refused")
	// ErrRole: the certificate speaks for another role or another party.
	ErrRole = errors.New("trust: wrong role")
	// ErrExpired: a certificate of the chain is outside its validity, before
	// or after.
	ErrExpired = errors.New("trust: certificate outside its validity")
	// ErrSignature: the signature does not verify under the key.
	ErrSignature = errors.New("trust: signature refused")
)
