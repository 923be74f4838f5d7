package ledger

import (
	"fmt"
	"strings"
	"time"
)

// FlowRange says whose postings Flows adds up, and how.
type FlowRange struct {
	// Lane is the journal. The ops are those that it recorded after its
	// After-th record, up to its UpTo-th.
	Lane        string
	After, UpTo uint64
	// Span is how finely times are told apart, at least a millisecond.
	Span time.Duration
	// Apart is the prefix of the accounts that are told apart; all others are
	// added up by their class.
	Apart string
}

// Validate is ErrMalformed for a range that can't be.
func (r *FlowRange) Validate() error {
	if !ValidLane(r.Lane) || r.After > r.UpTo || r.UpTo > MaxAmount || r.Span < time.Millisecond {
		return malformed("range %d to %d of lane %q by %v", r.After, r.UpTo, r.Lane, r.Span)
	}
	return nil
}

// Flow is what ops of one kind moved within one span of time, on one account or
// on all accounts of one class.
type Flow struct {
	Kind string
	// At is where the span begins, in UTC: a multiple of its length since 1970.
	At time.Time
	// Account is a path that begins with FlowRange.Apart, or else a class.
	Account  string
	Currency string
	// Amount is the sum of what was posted, in minor units.
	Amount int64
	// Ops counts each op once, at one of the accounts that it posted to: the sum
	// over all accounts is how many ops there were.
	Ops int64
}

// Condition is how a store is, for its operator.
type Condition struct {
	// Driver is "sqlite" or "postgres", Version that of the engine.
	Driver, Version string
	// Bytes is what the store takes on its disk.
	Bytes int64
	// Server says that it is a server's: what follows is about that alone.
	Server bool
	// Commit is the server's synchronous_commit as the store uses it, Standbys
	// what it has in synchronous_standby_names: empty if no answer waits for a
	// second machine.
	Commit, Standbys string
	// Replicas is how many machines follow this one now.
	Replicas int
}

// String says it in a few words.
func (c *Condition) String() string {
	text := fmt.Sprintf("%s %s, %d bytes", c.Driver, c.Version, c.Bytes)
	if c.Server {
		text += fmt.Sprintf(", %d replicas, commit %s", c.Replicas, c.Commit)
		if c.Standbys != "" {
			text += " waits for " + strings.TrimSpace(c.Standbys)
		}
	}
	return text
}
