// Package qr owns QR codes (ISO/IEC 18004): text to a picture on paper, on a
// page or in a terminal, and pictures back to text.
//
// A text that is too long for one picture that a telephone can read is split
// over several ([Split]); [Join] puts them together in whatever order they were
// taken, and names those that are missing. What is in a text is its writer's
// affair: nothing here knows of money.
//
// # Trust
//
// A picture is from anywhere. [Read] bounds its bytes, and its pixels before it
// decodes any, and the time that it looks for codes. A panic in the libraries
// below becomes [ErrPicture]. What it finds is a claim like any other text from
// outside: it may hold anything, escape sequences too.
//
// Encoding is rsc.io/qr's, reading github.com/makiuchi-d/gozxing's; neither needs
// cgo, and both stay behind this package.
//
// # Errors
//
// The Err variables, matched with errors.Is.
//
// # Concurrency
//
// Functions keep no state. A Read that took too long leaves a goroutine behind
// that ends when the library does.
//
// The package imports nothing of this module.
package qr

import "errors"

// The errors.
var (
	// ErrText is a text with anything but printable ASCII in it, or none.
	ErrText = errors.New("text is not printable ascii")
	// ErrTooLong is a text longer than one picture holds: see Split.
	ErrTooLong = errors.New("text is too long for one picture")
	// ErrPicture is no PNG, JPEG or GIF, or one that is damaged.
	ErrPicture = errors.New("not a picture that can be read")
	// ErrTooLarge is a picture of more than MaxPicture bytes or MaxPixels pixels.
	ErrTooLarge = errors.New("picture is too large")
	// ErrNone is a picture in which no code is found.
	ErrNone = errors.New("no qr code found in the picture")
	// ErrParts is a set of parts that does not make one text: see Join.
	ErrParts = errors.New("parts do not make one text")
)
