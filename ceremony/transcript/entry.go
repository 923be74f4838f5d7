package transcript

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/trust/strictjson"
)

// Bounds of a transcript.
const (
	MaxSize    = 32 << 20 // bytes
	MaxLine    = 1 << 20  // bytes of one entry, without the line feed
	MaxEntries = 1 << 14
)

const (
	instantLayout = "2006-01-02T15:04:05Z"
	maxEvent      = 32 // characters
)

// Hash is a SHA-256 value; as text, 64 hex digits in lower case.
type Hash [32]byte

// String returns the hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) || !bytes.Equal(text, bytes.ToLower(text)) {
		return errors.New("not 64 hex digits in lower case")
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// Entry is one line.
type Entry struct {
	Seq   uint64 // 1 for the first
	Prev  Hash   // Hash of the entry before; zero for the first
	At    time.Time
	Event Event
	Data  json.RawMessage // one JSON object
	Hash  Hash            // of this line
}

type entryJSON struct {
	Seq   uint64          `json:"seq"`
	Prev  Hash            `json:"prev"`
	At    string          `json:"at"`
	Event Event           `json:"event"`
	Data  json.RawMessage `json:"data"`
}

// line encodes the entry and sets its Hash. It is put together by hand, so
// that it stays the same whatever encoding/json makes of it in later years.
func (e *Entry) line() []byte {
	out := fmt.Appendf(nil, `{"seq":%d,"prev":"%s","at":"%s","event":"%s","data":%s}`,
		e.Seq, e.Prev, e.At.Format(instantLayout), e.Event, e.Data)
	e.Hash = hashLine(out)
	return out
}

func hashLine(line []byte) Hash {
	return Hash(frame.Digest([]byte("specie/transcript/1"), line))
}

// parseEntry reads one line by itself. A line has one form only, the one that
// line writes.
func parseEntry(text []byte) (*Entry, error) {
	var j entryJSON
	if err := strictjson.Unmarshal(text, MaxLine, &j); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrBroken, err)
	}
	at, err := time.Parse(instantLayout, j.At)
	if err != nil {
		return nil, fmt.Errorf("%w: time", ErrBroken)
	}
	if len(j.Event) == 0 || len(j.Event) > maxEvent || strings.Trim(string(j.Event), "abcdefghijklmnopqrstuvwxyz") != "" {
		return nil, fmt.Errorf("%w: event", ErrBroken)
	}
	if len(j.Data) == 0 || j.Data[0] != '{' {
		return nil, fmt.Errorf("%w: data is no object", ErrBroken)
	}
	e := &Entry{Seq: j.Seq, Prev: j.Prev, At: at, Event: j.Event, Data: j.Data}
	if !bytes.Equal(e.line(), text) {
		return nil, fmt.Errorf("%w: not as it was written", ErrBroken)
	}
	return e, nil
}

// Decode reads the entry's data into v, a pointer to the struct of its event.
// Unknown members and null are ErrBroken.
func (e *Entry) Decode(v any) error {
	if err := strictjson.Unmarshal(e.Data, MaxLine, v); err != nil {
		return fmt.Errorf("%w: entry %d (%s): %v", ErrBroken, e.Seq, e.Event, err)
	}
	return nil
}
