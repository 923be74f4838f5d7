package hsm

import (
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

var (
	// ErrPIN: the token does not take the PIN, or its PIN flags say that it
	// must not be tried. Never retried: each try brings the token nearer to
	// locking itself.
	ErrPIN = errors.New("hsm: PIN refused")
	// ErrModule: the PKCS#11 library can't be used: not an absolute path, not
	// there, writable by others, or already initialised by this process.
	ErrModule = errors.New("hsm: module unusable")
	// ErrTokenNotFound: no initialised token has the label (and serial).
	ErrTokenNotFound = errors.New("hsm: token not found")
	// ErrKeyNotFound: no key of that kind has the label.
	ErrKeyNotFound = errors.New("hsm: key not found")
	// ErrDuplicateLabel: two tokens or two keys answer to one label, or a key
	// is to be made under a label that is taken.
	ErrDuplicateLabel = errors.New("hsm: label is not unique")
	// ErrAudit: a key's attributes are not the ones its kind must have. The
	// text names the key and the first attribute that differs.
	ErrAudit = errors.New("hsm: key attributes refused")
	// ErrUnsupported: the token makes no key that is as Specie's keys must be.
	// No key was made; see Probe for what the token lacks.
	ErrUnsupported = errors.New("hsm: the token makes no such key")
	// ErrUnavailable: the token does not answer, or the Token is closed. The
	// same request may be made again later.
	ErrUnavailable = errors.New("hsm: token unavailable")
	// ErrBusy: more calls wait for the token than may (Config.Queue). It
	// matches ErrUnavailable.
	ErrBusy = fmt.Errorf("%w: too many calls wait", ErrUnavailable)
	// ErrInput: the caller's bytes were refused before the module saw them.
	ErrInput = errors.New("hsm: input refused")
	// ErrFaulty: the token returned a wrong signature or ciphertext. It was
	// not released; the hardware needs a look.
	ErrFaulty = errors.New("hsm: faulty result from the token")
	// ErrURI: a PKCS#11 URI that is malformed or says what Specie does not take
	// from one. The text names the attribute and never its value.
	ErrURI = errors.New("hsm: PKCS#11 URI refused")
	// ErrSealed: a sealed box does not open: altered, truncated, sealed under
	// another key or with other associated data.
	ErrSealed = errors.New("hsm: sealed box does not open")
)

// A Class says what a caller may do about an Error.
type Class int

const (
	// ClassBug: the call should not have been made like that, or the module
	// answered what it may not answer. Repeating it changes nothing.
	ClassBug Class = iota
	// ClassRetry: the token was busy or hiccuped; the same call may succeed.
	ClassRetry
	// ClassReopen: session, login or handles are gone; they must be opened
	// and found again.
	ClassReopen
	// ClassOperator: a person must act: PIN, lock-out, token state. Never
	// repeated by the program.
	ClassOperator
)

// String returns retry, reopen, operator or bug.
func (c Class) String() string {
	switch c {
	case ClassRetry:
		return "retry"
	case ClassReopen:
		return "reopen"
	case ClassOperator:
		return "operator"
	default:
		return "bug"
	}
}

// An Error is a return value other than CKR_OK of one PKCS#11 call. It
// matches ErrUnavailable if its class is retry or reopen, and ErrPIN if it is
// about the PIN.
type Error struct {
	Call string // the C function, "C_Sign"
	Code uint   // CKR_*
}

// Error returns the call, the code's name and the code.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s (0x%x)", e.Call, codeName(e.Code), e.Code)
}

// Class tells what may be done about the error.
func (e *Error) Class() Class { return codeClass(e.Code) }

// Is matches the sentinels that the code stands for.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrUnavailable:
		c := e.Class()
		return c == ClassRetry || c == ClassReopen
	case ErrPIN:
		return codeIsPIN(e.Code)
	default:
		return false
	}
}

// called turns what miekg/pkcs11 returns into an *Error that names the call.
func called(call string, err error) error {
	if err == nil {
		return nil
	}
	var code pkcs11.Error
	if errors.As(err, &code) {
		return &Error{Call: call, Code: uint(code)}
	}
	return fmt.Errorf("hsm: %s: %w", call, err)
}

// hasCode tells whether err is an Error with one of the codes.
func hasCode(err error, codes ...uint) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.Code == c {
			return true
		}
	}
	return false
}

// refused tells whether err is an answer to what a new key was asked to be.
func refused(err error) bool {
	var e *Error
	return errors.As(err, &e) && codeIsRefusal(e.Code)
}

// isClass tells whether err is an Error of class c.
func isClass(err error, c Class) bool {
	var e *Error
	return errors.As(err, &e) && e.Class() == c
}
