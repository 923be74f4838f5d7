package warrant

import (
	"encoding/json"
	"fmt"

	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// Bounds of a register's file, which may hold a part of the register.
const (
	MaxEntries  = 1 << 14
	MaxRegister = 4 << 20 // bytes
)

// Register is entries that follow each other, from some number on: what the
// manager publishes.
type Register struct {
	// Group is the manager's id.
	Group   string
	Entries []Entry
}

type registerJSON struct {
	Version int     `json:"v"`
	Group   string  `json:"group"`
	Entries []Entry `json:"entries"`
}

// Marshal returns the register's file, which is also what the manager's REST
// API answers.
func (r *Register) Marshal() ([]byte, error) {
	j := registerJSON{Version: 1, Group: r.Group, Entries: r.Entries}
	if j.Entries == nil {
		j.Entries = []Entry{}
	}
	out, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("warrant: register: %w", err)
	}
	return out, nil
}

// ParseRegister reads a register's file of at most MaxRegister bytes and
// MaxEntries entries that follow each other. That they are the published ones
// shows only when they are held against a head. Errors: ErrMalformed,
// ErrRegister.
func ParseRegister(data []byte) (*Register, error) {
	var j registerJSON
	if err := strictjson.Unmarshal(data, MaxRegister, &j); err != nil {
		return nil, fmt.Errorf("%w: register: %v", ErrMalformed, err)
	}
	if j.Version != 1 || len(j.Entries) > MaxEntries {
		return nil, fmt.Errorf("%w: not a register of version 1 with at most %d entries", ErrMalformed, MaxEntries)
	}
	if err := trust.CheckID(j.Group); err != nil {
		return nil, fmt.Errorf("%w: register: group: %v", ErrMalformed, err)
	}
	r := &Register{Group: j.Group, Entries: j.Entries}
	return r, r.Check()
}

// Check says whether the entries follow each other and whether each of the
// heads is where its entry leads: all of them heads of one register, of which
// the shorter was never anything else than the beginning of the longer. A head
// before the first entry, or after the last one, can't be shown and is
// ErrRegister too.
func (r *Register) Check(heads ...groupdoc.WarrantHead) error {
	if len(r.Entries) > 0 {
		first, last := r.Entries[0], r.Entries[len(r.Entries)-1]
		before := groupdoc.WarrantHead{Size: first.Seq - 1, Head: first.Prev}
		if before.Size == 0 && before.Head != [32]byte{} {
			return fmt.Errorf("%w: entry 1 follows something", ErrRegister)
		}
		if err := Extends(before, r.Entries, last.Head()); err != nil {
			return err
		}
	}
	for _, h := range heads {
		if err := r.leadsTo(h); err != nil {
			return err
		}
	}
	return nil
}

// leadsTo finds the head on the chain.
func (r *Register) leadsTo(h groupdoc.WarrantHead) error {
	if h == (groupdoc.WarrantHead{}) {
		if len(r.Entries) == 0 || r.Entries[0].Seq == 1 {
			return nil
		}
		return fmt.Errorf("%w: it begins with entry %d", ErrRegister, r.Entries[0].Seq)
	}
	for i := range r.Entries {
		e := &r.Entries[i]
		if e.Seq-1 == h.Size && e.Prev == h.Head || e.Head() == h {
			return nil
		}
	}
	return fmt.Errorf("%w: the head of %d entries that was published is not on this chain", ErrRegister, h.Size)
}

// Until returns the entries from the warrant's own to the head: what shows
// that it was entered. Errors: ErrUnregistered; ErrRegister if the entries do
// not lead to that head.
func (r *Register) Until(digest [32]byte, head groupdoc.WarrantHead) ([]Entry, error) {
	for i := range r.Entries {
		if r.Entries[i].Warrant != digest {
			continue
		}
		out := r.Entries[i:]
		if out[0].Seq > head.Size {
			return nil, fmt.Errorf("%w: entry %d is newer than the group document; fetch that again", ErrUnregistered, out[0].Seq)
		}
		if n := head.Size - out[0].Seq + 1; n < uint64(len(out)) {
			out = out[:n]
		}
		if out[len(out)-1].Head() != head {
			return nil, fmt.Errorf("%w: it does not lead to the head of %d entries in the group document", ErrRegister, head.Size)
		}
		return out, nil
	}
	return nil, ErrUnregistered
}
