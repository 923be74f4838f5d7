package ledger

import (
	"encoding/base64"
	"encoding/binary"
	"time"
)

// Sizes of a page, in rows.
const (
	DefaultPage = 50
	MaxPage     = 500
)

// Page asks for one page of a list that runs from newest to oldest.
type Page struct {
	// After is the cursor that came with the page before; empty for the
	// newest.
	After Cursor
	// Limit is the number of rows wanted: DefaultPage when zero or less,
	// never more than MaxPage.
	Limit int
	// From and Until, if not zero, leave out what is earlier than From, and
	// what is not earlier than Until.
	From, Until time.Time
}

// Size returns the number of rows that the page may hold.
func (p Page) Size() int {
	if p.Limit <= 0 {
		return DefaultPage
	}
	return min(p.Limit, MaxPage)
}

// Cursor is an opaque place in a list, fit for a URL. It names an op and one
// of its postings rather than a row number, which would tell an account how
// busy the bank is.
type Cursor string

// cursorSize: an op id and the index of a posting, 2 bytes big-endian.
const cursorSize = 32 + 2

// NewCursor returns the cursor of posting n of op. n is less than
// MaxPostings.
func NewCursor(op ID, n int) Cursor {
	b := binary.BigEndian.AppendUint16(append(make([]byte, 0, cursorSize), op[:]...), uint16(n))
	return Cursor(base64.RawURLEncoding.EncodeToString(b))
}

// Position decodes a cursor, which may come from anybody: ErrMalformed unless
// NewCursor made those very bytes.
func (c Cursor) Position() (op ID, n int, err error) {
	if len(c) != base64.RawURLEncoding.EncodedLen(cursorSize) {
		return op, 0, malformed("cursor of %d bytes", len(c))
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(string(c))
	if err != nil || len(b) != cursorSize {
		return op, 0, malformed("cursor is not base64url")
	}
	copy(op[:], b)
	n = int(binary.BigEndian.Uint16(b[32:]))
	if n >= MaxPostings {
		return op, 0, malformed("cursor out of range")
	}
	return op, n, nil
}

// Entry is one line of an account's statement: a posting with the op it
// belongs to.
type Entry struct {
	Op       ID
	Kind     string
	State    string
	Account  string
	Amount   int64 // minor units; positive adds
	Currency string
	At       time.Time
}
