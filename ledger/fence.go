package ledger

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Reasons of a fence: FenceRestored where Load raised it, FenceBehind where the
// store was found behind its Witness.
const (
	FenceRestored = "restored"
	FenceBehind   = "behind-witness"
)

// Fence is the value of MetaFence while it is raised: the store may lack what
// was recorded last. What may be done before it is lowered belongs to package
// issuer; the ledger goes on.
type Fence struct {
	// Reason is FenceRestored, FenceBehind or another name, as Op.Kind.
	Reason string
	// At is when it was raised.
	At time.Time
	// Heads are the ends of the journals as they were known then: what
	// came after them may be missing.
	Heads []Head
	// Lost is how many records are known to be missing; zero if nobody can
	// tell.
	Lost uint64
}

// String says it in one sentence.
func (f Fence) String() string {
	why := f.Reason
	switch f.Reason {
	case FenceRestored:
		why = "restored from a backup"
	case FenceBehind:
		why = "an old copy was put in its place"
	}
	text := fmt.Sprintf("%s (found at %s)", why, f.At.UTC().Format(time.RFC3339))
	for _, h := range f.Heads {
		text += fmt.Sprintf(", journal %s at record %d", h.Lane, h.Seq)
	}
	if f.Lost > 0 {
		return fmt.Sprintf("%s; journal records known to be missing: %d", text, f.Lost)
	}
	return text + "; nobody can tell how many journal records are missing"
}

// fenceJSON and headJSON are how they are written down.
type fenceJSON struct {
	Reason string     `json:"reason"`
	At     time.Time  `json:"at"`
	Heads  []headJSON `json:"heads"`
	Lost   uint64     `json:"lost,omitempty"`
}

type headJSON struct {
	Lane string `json:"lane"`
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"` // 64 hexadecimal digits
}

func (h Head) toJSON() headJSON { return headJSON{h.Lane, h.Seq, hex.EncodeToString(h.Hash[:])} }

func (h headJSON) head() (Head, error) {
	out := Head{Lane: h.Lane, Seq: h.Seq}
	hash, err := hex.DecodeString(h.Hash)
	if err != nil || len(hash) != len(out.Hash) || !ValidLane(h.Lane) || h.Seq == 0 {
		return Head{}, malformed("head %s/%d", h.Lane, h.Seq)
	}
	copy(out.Hash[:], hash)
	return out, nil
}

// Encode returns the value as JSON: reason, at (RFC 3339) and heads, each with
// lane, seq and hash (hexadecimal).
func (f Fence) Encode() []byte {
	out := fenceJSON{Reason: f.Reason, At: f.At.UTC(), Heads: []headJSON{}, Lost: f.Lost}
	for _, h := range f.Heads {
		out.Heads = append(out.Heads, h.toJSON())
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(err) // strings, numbers and a time of this millennium
	}
	return b
}

// ParseFence reads what Encode wrote, at most MaxMeta bytes. Fields that it
// does not know are for later versions. ErrMalformed.
func ParseFence(value []byte) (*Fence, error) {
	if len(value) > MaxMeta {
		return nil, malformed("fence of %d bytes", len(value))
	}
	var in fenceJSON
	if err := json.Unmarshal(value, &in); err != nil {
		return nil, malformed("fence: %v", err)
	}
	if !ValidName(in.Reason) || !validTime(in.At) {
		return nil, malformed("fence %q at %v", in.Reason, in.At)
	}
	out := &Fence{Reason: in.Reason, At: in.At.UTC(), Lost: in.Lost}
	for _, h := range in.Heads {
		head, err := h.head()
		if err != nil {
			return nil, err
		}
		out.Heads = append(out.Heads, head)
	}
	return out, nil
}

// metas is what Ledger and Register have for their identity.
type metas interface {
	Meta(ctx context.Context, key string) ([]byte, error)
	SetMeta(ctx context.Context, key string, value []byte) error
}

// RaisedFence returns the store's fence, or nil if none is raised. A value that
// is no fence is ErrMalformed, and raised all the same.
func RaisedFence(ctx context.Context, l metas) (*Fence, error) {
	value, err := l.Meta(ctx, MetaFence)
	if errors.Is(err, ErrNotFound) || err == nil && len(value) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ParseFence(value)
}

// RestoreEpoch returns how often the store was restored from a backup, as
// MetaRestoreEpoch has it in decimal digits; 0 if it has nothing. ErrMalformed.
func RestoreEpoch(ctx context.Context, l metas) (uint64, error) {
	value, err := l.Meta(ctx, MetaRestoreEpoch)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return parseRestoreEpoch(value)
}

func parseRestoreEpoch(value []byte) (uint64, error) {
	if len(value) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(value), 10, 53)
	if err != nil {
		return 0, malformed("restore epoch %q", value[:min(len(value), 40)])
	}
	return n, nil
}

// SetRestoreEpoch sets it.
func SetRestoreEpoch(ctx context.Context, l metas, n uint64) error {
	return l.SetMeta(ctx, MetaRestoreEpoch, strconv.AppendUint(nil, n, 10))
}
