package transcript

import (
	"bytes"
	"fmt"

	"github.com/speciecash/specie/ceremony/paper"
)

// Transcript is a transcript whose chain was checked.
type Transcript struct {
	Entries []Entry
}

// Read reads a transcript and checks the chain (ErrBroken). One that is not
// closed is read too, for people to look at; VerifyClose tells.
func Read(data []byte) (*Transcript, error) {
	t, rest, err := read(data)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: the last line is torn", ErrBroken)
	}
	if len(t.Entries) == 0 {
		return nil, fmt.Errorf("%w: empty", ErrBroken)
	}
	return t, nil
}

// ReadFile is Read for a file.
func ReadFile(path string) (*Transcript, error) {
	data, err := paper.Read(path, MaxSize)
	if err != nil {
		return nil, err
	}
	t, err := Read(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// read returns the whole lines as entries, and what follows the last of them.
func read(data []byte) (t *Transcript, rest []byte, err error) {
	if len(data) > MaxSize {
		return nil, nil, fmt.Errorf("%w: %d bytes, at most %d", ErrBroken, len(data), MaxSize)
	}
	t = &Transcript{}
	for {
		line, after, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			return t, data, nil
		}
		if err := t.take(line); err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", len(t.Entries)+1, err)
		}
		data = after
	}
}

// take appends the entry in line, which must follow the last one.
func (t *Transcript) take(line []byte) error {
	if len(t.Entries) == MaxEntries {
		return fmt.Errorf("%w: more than %d entries", ErrBroken, MaxEntries)
	}
	if t.Ended() {
		return fmt.Errorf("%w: it goes on after its end", ErrBroken)
	}
	e, err := parseEntry(line)
	if err != nil {
		return err
	}
	if e.Seq != uint64(len(t.Entries))+1 || e.Prev != t.Head() {
		return fmt.Errorf("%w: not the entry that follows", ErrBroken)
	}
	if (e.Seq == 1) != (e.Event == EventOpened) {
		return fmt.Errorf("%w: the first entry and no other is %q", ErrBroken, EventOpened)
	}
	t.Entries = append(t.Entries, *e)
	return nil
}

func (t *Transcript) last() *Entry {
	if len(t.Entries) == 0 {
		return nil
	}
	return &t.Entries[len(t.Entries)-1]
}

// Head is the hash of the last entry, zero if there is none: what names the
// transcript so far.
func (t *Transcript) Head() Hash {
	if last := t.last(); last != nil {
		return last.Hash
	}
	return Hash{}
}

// Ended says whether nothing can follow: closed or abandoned.
func (t *Transcript) Ended() bool {
	last := t.last()
	return last != nil && (last.Event == EventClosed || last.Event == EventAbandoned)
}

// Opened is the data of the first entry. A transcript that Resume found empty
// has none: ErrBroken.
func (t *Transcript) Opened() (*Opened, error) {
	if len(t.Entries) == 0 {
		return nil, fmt.Errorf("%w: empty", ErrBroken)
	}
	o := &Opened{}
	return o, t.Entries[0].Decode(o)
}

// All decodes the data of every entry of one event, in order.
func All[T any](t *Transcript, event Event) ([]T, error) {
	var out []T
	for i := range t.Entries {
		if t.Entries[i].Event != event {
			continue
		}
		var v T
		if err := t.Entries[i].Decode(&v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}
