package ledger

import (
	"encoding/hex"
	"fmt"
)

// RowChecker holds the rows of a dump to each other: that they come in order
// and well formed, that the journals are unbroken and stand for every row, and
// that every row is the newest that they know. What it lets pass agrees with
// its journal; that no coin is spent twice, and what depends on sums, is the
// driver's to find as it writes. The zero value is ready. Its errors match
// ErrCorrupt.
type RowChecker struct {
	stage    stage
	heads    []Head // as the dump announced them
	head     Head   // of the lane being read
	found    []Head
	pending  *Record // waits for its Op or Answer
	rows     map[string]version
	recorded map[string]version
	epochs   map[string]struct{}
	holds    map[ID]struct{}
	hold     *Hold // whose tries may follow
	tries    map[[32]byte]struct{}
}

// stage is a part of a dump; they come in this order.
type stage int

const (
	stageStart stage = iota
	stageHeads
	stageMeta
	stageEpochs
	stageAccounts
	stageTokens
	stageJournal
	stageHolds
)

// version is the newest version of something.
type version struct {
	rev    uint64
	digest [32]byte
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
}

// Heads are the ends of the journals that were read whole; after Close, all.
func (c *RowChecker) Heads() []Head { return c.found }

// Check takes the next row.
func (c *RowChecker) Check(r *Row) error {
	at, set := r.stage()
	switch {
	case set != 1:
		return corrupt("a row of %d kinds", set)
	case at < c.stage || at == stageHeads && c.stage == stageHeads:
		return corrupt("a row out of order")
	case c.stage == stageStart && at != stageHeads:
		return corrupt("heads do not come first")
	case (c.pending != nil) != (r.Op != nil || r.Answer != nil):
		return corrupt("a record without its op or answer, or one of these without a record")
	}
	c.stage = at
	switch {
	case r.Heads != nil:
		return c.announced(*r.Heads)
	case r.Record != nil:
		return c.record(r.Record)
	case r.Op != nil:
		return c.op(r.Op)
	case r.Answer != nil:
		return c.answer(r.Answer)
	case r.Hold != nil:
		return c.newHold(r.Hold)
	case r.Try != nil:
		return c.try(r.Try)
	}
	return c.standing(r)
}

// stage returns where the row belongs, and how many kinds it is of.
func (r *Row) stage() (at stage, set int) {
	for _, k := range []struct {
		is bool
		at stage
	}{
		{r.Heads != nil, stageHeads}, {r.Meta != nil, stageMeta}, {r.Epoch != "", stageEpochs},
		{r.Account != nil, stageAccounts}, {r.Token != nil, stageTokens}, {r.Record != nil, stageJournal},
		{r.Op != nil, stageJournal}, {r.Answer != nil, stageJournal}, {r.Hold != nil, stageHolds}, {r.Try != nil, stageHolds},
	} {
		if k.is {
			at, set = k.at, set+1
		}
	}
	return at, set
}

func (c *RowChecker) announced(heads []Head) error {
	c.rows, c.recorded = make(map[string]version), make(map[string]version)
	c.epochs, c.holds = make(map[string]struct{}), make(map[ID]struct{})
	for i, h := range heads {
		if !ValidLane(h.Lane) || h.Seq == 0 || i > 0 && heads[i-1].Lane >= h.Lane {
			return corrupt("heads are not in order")
		}
	}
	c.heads = heads
	return nil
}

// key names what a record of that event is about.
func key(event Event, subject []byte) string {
	return string(event) + " " + hex.EncodeToString(subject)
}

// standing notes a row that tells how something stands now.
func (c *RowChecker) standing(r *Row) error {
	var k string
	var v version
	var err error
	switch {
	case r.Meta != nil:
		if !ValidMetaKey(r.Meta.Key) || len(r.Meta.Value) > MaxMeta {
			err = malformed("meta %q of %d bytes", r.Meta.Key, len(r.Meta.Value))
		}
		k, v = key(EventMeta, []byte(r.Meta.Key)), version{r.Meta.Rev, MetaDigest(r.Meta.Key, r.Meta.Value)}
	case r.Epoch != "":
		if !ValidEpoch(r.Epoch) {
			err = malformed("epoch %q", r.Epoch)
		}
		c.epochs[r.Epoch] = struct{}{}
		k, v = key(EventEpoch, []byte(r.Epoch)), version{1, EpochDigest(r.Epoch)}
	case r.Account != nil:
		err = r.Account.Validate()
		k, v = key(EventAccount, []byte(r.Account.ID)), version{r.Account.Rev, r.Account.Digest()}
	case r.Token != nil:
		err = r.Token.Validate()
		if _, ok := c.rows[key(EventAccount, []byte(r.Token.Account))]; err == nil && !ok {
			err = malformed("token of %s, which is no account", r.Token.Account)
		}
		k, v = key(EventToken, r.Token.Hash[:]), version{digest: r.Token.Digest()} // its rev is the journal's
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if _, ok := c.rows[k]; ok {
		return corrupt("two rows of %s", k)
	}
	c.rows[k] = v
	return nil
}

func (c *RowChecker) record(r *Record) error {
	if r.Lane != c.head.Lane {
		c.endLane() // the order of lanes is that of the heads, see Close
		c.head = Head{Lane: r.Lane}
	}
	if err := c.head.Check(r); err != nil {
		return err
	}
	switch r.Event {
	case EventOp, EventAnswer:
		kept := *r
		c.pending = &kept
		return nil
	case EventAccount, EventToken, EventMeta, EventEpoch:
	default:
		return corrupt("record %s/%d is of unknown kind %q", r.Lane, r.Seq, r.Event)
	}
	if k := key(r.Event, r.Subject); r.Rev > c.recorded[k].rev {
		c.recorded[k] = version{r.Rev, r.Digest}
	}
	return nil
}

func (c *RowChecker) endLane() {
	if c.head.Seq != 0 {
		c.found = append(c.found, c.head)
	}
}

func (c *RowChecker) op(op *Op) error {
	r := c.pending
	c.pending = nil
	if err := op.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if r.Event != EventOp || string(r.Subject) != string(op.ID[:]) || r.Rev != 1 || op.Lane != r.Lane || op.Digest() != r.Digest {
		return corrupt("op %x is not as the journal has it", op.ID)
	}
	return c.openEpochs(op.Spends)
}

func (c *RowChecker) openEpochs(spends []Spend) error {
	for i := range spends {
		if _, ok := c.epochs[spends[i].Epoch]; !ok {
			return corrupt("epoch %q is not open", spends[i].Epoch)
		}
	}
	return nil
}

func (c *RowChecker) answer(a *AnswerRow) error {
	r := c.pending
	c.pending = nil
	if r.Event != EventAnswer || string(r.Subject) != string(a.Op[:]) || r.Rev != a.Rev || r.Rev < 2 ||
		!ValidName(a.State) || len(a.Answer) > MaxAnswer || AnswerDigest(a.State, a.Answer) != r.Digest {
		return corrupt("answer of op %x is not as the journal has it", a.Op)
	}
	return nil
}

func (c *RowChecker) newHold(h *Hold) error {
	if err := c.endHold(); err != nil {
		return err
	}
	if err := h.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if _, ok := c.holds[h.ID]; ok {
		return corrupt("two holds %x", h.ID)
	}
	c.holds[h.ID] = struct{}{}
	c.hold, c.tries = h, make(map[[32]byte]struct{})
	return c.openEpochs(h.Coins)
}

func (c *RowChecker) try(t *TryRow) error {
	if c.hold == nil || c.hold.ID != t.Hold {
		return corrupt("a try under hold %x does not follow it", t.Hold)
	}
	c.tries[t.Try] = struct{}{}
	return nil
}

func (c *RowChecker) endHold() error {
	if c.hold != nil && len(c.tries) != c.hold.Strikes {
		return corrupt("hold %x has %d strikes and %d tries", c.hold.ID, c.hold.Strikes, len(c.tries))
	}
	c.hold = nil
	return nil
}

// Close is called after the last row.
func (c *RowChecker) Close() error {
	if c.stage == stageStart || c.pending != nil {
		return corrupt("the dump is cut short")
	}
	if err := c.endHold(); err != nil {
		return err
	}
	c.endLane()
	c.head = Head{}
	if len(c.heads) != len(c.found) {
		return corrupt("%d journals were announced and %d found", len(c.heads), len(c.found))
	}
	for i, h := range c.heads {
		if h != c.found[i] {
			return corrupt("the journal of lane %s ends at %d, announced was %d", h.Lane, c.found[i].Seq, h.Seq)
		}
	}
	for k, v := range c.rows {
		known := c.recorded[k]
		if v.rev == 0 {
			v.rev = known.rev
		}
		if known != v || known.rev == 0 {
			return corrupt("the row of %s is not as the journal has it", k)
		}
	}
	for k := range c.recorded {
		if _, ok := c.rows[k]; !ok {
			return corrupt("%s is in the journal and not among the rows", k)
		}
	}
	return nil
}
