package warrant

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/trust/strictjson"
)

// MaxEntry bounds one entry's JSON, in bytes.
const MaxEntry = 512

// Entry is one line of a group's register of warrants. It says nothing of the
// case, the member or the reason.
type Entry struct {
	// Seq is 1 for the first.
	Seq uint64
	// Prev is the hash of the entry before, zeros for the first.
	Prev [32]byte
	// At is when the manager entered it, UTC, whole seconds, never before the
	// entry before.
	At    time.Time
	Scope Scope
	// Warrant is the warrant's digest.
	Warrant [32]byte
}

// Hash is SHA-256(frame("specie/warrant-register/1", seq, prev, at as seconds
// since 1970, scope, warrant)), integers as 8 bytes big-endian.
func (e *Entry) Hash() [32]byte {
	return frame.Digest([]byte("specie/warrant-register/1"), frame.Uint64(e.Seq), e.Prev[:],
		frame.Uint64(uint64(e.At.Unix())), []byte(e.Scope), e.Warrant[:])
}

// Head is the register's head after this entry; that of the zero Entry is an
// empty register's.
func (e *Entry) Head() groupdoc.WarrantHead {
	if e.Seq == 0 {
		return groupdoc.WarrantHead{}
	}
	return groupdoc.WarrantHead{Size: e.Seq, Head: e.Hash()}
}

// Next is the entry of a warrant after the last one of the register, which is
// the zero Entry if there is none. A clock that went back since is held at the
// last entry's time. Error: ErrExpired if the warrant is not in force.
func Next(last Entry, w *Warrant, at time.Time) (Entry, error) {
	at = at.UTC().Truncate(time.Second)
	if at.Before(last.At) {
		at = last.At
	}
	if err := w.InForce(at); err != nil {
		return Entry{}, err
	}
	return Entry{Seq: last.Seq + 1, Prev: last.Head().Head, At: at, Scope: w.Scope, Warrant: w.Digest}, nil
}

type entryJSON struct {
	Seq     uint64 `json:"seq"`
	Prev    string `json:"prev"`
	At      string `json:"at"`
	Scope   Scope  `json:"scope"`
	Warrant string `json:"warrant"`
}

// MarshalJSON implements json.Marshaler: bytes as base64url, the time as
// RFC 3339.
func (e Entry) MarshalJSON() ([]byte, error) {
	return json.Marshal(entryJSON{Seq: e.Seq, Prev: encode(e.Prev), At: formatTime(e.At), Scope: e.Scope, Warrant: encode(e.Warrant)})
}

// UnmarshalJSON implements json.Unmarshaler. Errors: ErrMalformed.
func (e *Entry) UnmarshalJSON(text []byte) error {
	var j entryJSON
	if err := strictjson.Unmarshal(text, MaxEntry, &j); err != nil {
		return fmt.Errorf("%w: entry: %v", ErrMalformed, err)
	}
	out := Entry{Seq: j.Seq, Scope: j.Scope}
	if j.Seq == 0 || j.Seq > maxSeq {
		return fmt.Errorf("%w: entry without a number", ErrMalformed)
	}
	switch j.Scope {
	case Open, Trace, Expel:
	default:
		return fmt.Errorf("%w: entry %d: scope: open, trace or expel", ErrMalformed, j.Seq)
	}
	var err error
	if out.Prev, err = decode("prev", j.Prev); err != nil {
		return err
	}
	if out.At, err = parseTime("at", j.At); err != nil {
		return err
	}
	if out.Warrant, err = decode("warrant", j.Warrant); err != nil {
		return err
	}
	*e = out
	return nil
}

// maxSeq keeps numbers exact in every JSON reader.
const maxSeq = 1<<53 - 1

// Extends says whether entries, all that were made after the head old, lead to
// the head new: numbered without a gap, each naming the one before, none
// before the time of the one before. Nothing else can have been in the
// register when either head was published. Error: ErrRegister.
func Extends(old groupdoc.WarrantHead, entries []Entry, new groupdoc.WarrantHead) error {
	for i := range entries {
		e := &entries[i]
		if e.Seq != old.Size+1 || e.Prev != old.Head {
			return fmt.Errorf("%w: entry %d does not follow entry %d", ErrRegister, e.Seq, old.Size)
		}
		if i > 0 && e.At.Before(entries[i-1].At) {
			return fmt.Errorf("%w: entry %d is older than the one before", ErrRegister, e.Seq)
		}
		old = e.Head()
	}
	if old != new {
		return fmt.Errorf("%w: entry %d is not the head of %d entries that was published", ErrRegister, old.Size, new.Size)
	}
	return nil
}
