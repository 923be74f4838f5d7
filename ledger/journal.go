package ledger

import (
	"fmt"

	"github.com/speciecash/specie/frame"
)

// Event says what a journal record is about.
type Event string

// Events, and what Subject and Digest of the record are.
const (
	EventOp      Event = "op"      // op id; Op.Digest
	EventAnswer  Event = "answer"  // op id; AnswerDigest
	EventAccount Event = "account" // account id; Account.Digest
	EventToken   Event = "token"   // token hash; AccessToken.Digest
	EventMeta    Event = "meta"    // key; MetaDigest
	EventEpoch   Event = "epoch"   // epoch name; EpochDigest
)

// Record is one link of a journal: that something was written, and the
// digest of what.
type Record struct {
	// Lane is the journal, and Seq the record's place in it, from 1.
	Lane string
	Seq  uint64
	// Event, Subject and Rev say what was written: the Rev-th version of
	// Subject, from 1. The answer of an op counts on from the op's own 1.
	Event   Event
	Subject []byte
	Rev     uint64
	// Digest is SHA-256 over the canonical bytes of what was written.
	Digest [32]byte
	// Prev is the Hash of the record before, zero for the first of a lane.
	Prev [32]byte
	// Hash is Sum of the record.
	Hash [32]byte
}

// Sum returns the hash that chains the record to the one before it.
func (r *Record) Sum() [32]byte {
	return frame.Digest([]byte("specie/journal/1"), r.Prev[:], []byte(r.Lane), frame.Uint64(r.Seq),
		[]byte(r.Event), r.Subject, frame.Uint64(r.Rev), r.Digest[:])
}

// Head is the newest end of one lane. Whoever keeps a head elsewhere can tell
// later that nothing up to it was altered or lost.
type Head struct {
	Lane string
	Seq  uint64
	Hash [32]byte
}

// Append makes r the next record after h: it fills in Lane, Seq, Prev and
// Hash, and moves h to it.
func (h *Head) Append(r *Record) {
	r.Lane, r.Seq, r.Prev = h.Lane, h.Seq+1, h.Hash
	r.Hash = r.Sum()
	h.Seq, h.Hash = r.Seq, r.Hash
}

// Check verifies that r, as read back, is the next record after h, and moves
// h to it. What does not fit is ErrCorrupt; h moves all the same, so that
// one broken link is reported once.
func (h *Head) Check(r *Record) error {
	want := *h
	h.Seq, h.Hash = r.Seq, r.Hash
	switch {
	case r.Lane != want.Lane || r.Seq != want.Seq+1:
		return fmt.Errorf("%w: record %s/%d follows %s/%d", ErrCorrupt, r.Lane, r.Seq, want.Lane, want.Seq)
	case r.Prev != want.Hash:
		return fmt.Errorf("%w: record %s/%d does not chain to the one before", ErrCorrupt, r.Lane, r.Seq)
	case r.Hash != r.Sum():
		return fmt.Errorf("%w: record %s/%d does not hash to its hash", ErrCorrupt, r.Lane, r.Seq)
	}
	return nil
}

// AnswerDigest is the digest of a settled state and answer.
func AnswerDigest(state string, answer []byte) [32]byte {
	return frame.Digest([]byte("specie/ledger/answer/1"), []byte(state), answer)
}

// MetaDigest is the digest of a meta value.
func MetaDigest(key string, value []byte) [32]byte {
	return frame.Digest([]byte("specie/ledger/meta/1"), []byte(key), value)
}

// EpochDigest is the digest of an opened epoch.
func EpochDigest(epoch string) [32]byte {
	return frame.Digest([]byte("specie/ledger/epoch/1"), []byte(epoch))
}
