package transcript

import "errors"

// The refusals of this package.
var (
	// ErrBroken: a line was removed, changed or moved, follows after the end,
	// or is not of the accepted form.
	ErrBroken = errors.New("transcript: broken")
	// ErrOpen: the ceremony was not brought to its end.
	ErrOpen = errors.New("transcript: not closed")
	// ErrAbandoned: the ceremony was given up, and nothing of it counts.
	ErrAbandoned = errors.New("transcript: the ceremony was abandoned")
	// ErrClosed: the ceremony has ended; nothing can be appended.
	ErrClosed = errors.New("transcript: closed already")
	// ErrBusy: another process is writing this transcript.
	ErrBusy = errors.New("transcript: in use by another process")
	// ErrSignature: the closing signature is not by the key it names.
	ErrSignature = errors.New("transcript: closing signature refused")
)
