package ledger

import "errors"

// Errors of Ledger and Register. Drivers wrap them with context; match them
// with errors.Is.
var (
	// ErrNotFound: no such op, hold, account, token, session, member or meta key.
	ErrNotFound = errors.New("not found")
	// ErrMalformed: a value is outside its documented form. A bug of the
	// caller, or foreign bytes that he passed on (a Cursor).
	ErrMalformed = errors.New("malformed")
	// ErrUnbalanced: the postings of an op do not sum to zero.
	ErrUnbalanced = errors.New("postings do not sum to zero")
	// ErrOverflow: a balance would leave ±MaxAmount.
	ErrOverflow = errors.New("balance out of range")
	// ErrUnknownEpoch: a spend names an epoch that OpenEpoch was not called
	// for.
	ErrUnknownEpoch = errors.New("unknown epoch")
	// ErrDuplicate: a unique value is taken. It is wrapped in a
	// *DuplicateError that says which.
	ErrDuplicate = errors.New("already taken")
	// ErrStale: the record changed since it was read.
	ErrStale = errors.New("record has changed")
	// ErrAnswered: the op's state or answer is final, and another.
	ErrAnswered = errors.New("op already has another answer")
	// ErrState: the member's state, or the store's, does not allow the change.
	ErrState = errors.New("wrong state")
	// ErrReadmission: no readmission that is open stands behind the code.
	ErrReadmission = errors.New("no such readmission")
	// ErrFull: there are as many sessions as the caller allows, or as many tokens
	// as an account may have.
	ErrFull = errors.New("too many")
	// ErrExpired: the session is past its time.
	ErrExpired = errors.New("session expired")
	// ErrBehind: the store lacks what its Witness saw, or has another history.
	// It is wrapped in a *BehindError that says which.
	ErrBehind = errors.New("behind its witness")
	// ErrUnavailable: the store could not answer. A write may or may not
	// have been recorded: replay it.
	ErrUnavailable = errors.New("store unavailable")
	// ErrClosed: Close was called. Nothing was recorded.
	ErrClosed = errors.New("store closed")
	// ErrSchema: the file or database was written by a newer version, or is
	// not a store of this kind. Nothing was touched.
	ErrSchema = errors.New("schema not understood")
	// ErrCorrupt: the file is damaged, or Verify found rows that disagree
	// with each other or with the journal.
	ErrCorrupt = errors.New("store corrupt")
)

// Fields that a DuplicateError can name.
const (
	FieldAccount = "account" // Account.ID
	FieldToken   = "token"   // AccessToken.Hash
	FieldSession = "session" // Session.ID, or a Session.Nonce
	FieldMember  = "member"  // Member.ID
	FieldEK      = "ek"      // Member.EK, held by another member
	FieldTag     = "tag"     // Member.F
	FieldUh      = "uh"      // Member.Uh
	FieldCode    = "code"    // Readmission.Code
	FieldWarrant = "warrant" // Warrant.Digest
)

// DuplicateError says which unique value was taken. It matches ErrDuplicate.
type DuplicateError struct {
	Field string // one of the Field constants
}

// Error names the field and never the value.
func (e *DuplicateError) Error() string { return e.Field + " already taken" }

// Unwrap makes errors.Is(err, ErrDuplicate) true.
func (e *DuplicateError) Unwrap() error { return ErrDuplicate }
