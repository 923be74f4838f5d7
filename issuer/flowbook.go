package issuer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// A flowBook is what moved in the past, by the minute, the hour and the day. It
// is read out of the ledger's journals: forward what came since it was asked
// last, and backward, a part at a time, until as much is known as is kept. So
// the first answer comes soon in a ledger of any size, and none after it reads
// anything twice.
//
// It remembers sums, at most some thousand of them, and is not durable: a
// process that starts anew reads anew.
type flowBook struct {
	mu    sync.Mutex
	lanes map[string]*laneRead
	rings [steps]ring
	// portion is how many records one query adds up.
	portion uint64
}

// laneRead says how much of a journal is in the book: what lies after bottom, up
// to top.
type laneRead struct {
	top    ledger.Head
	bottom uint64    // 0 once all is read that is kept
	oldest time.Time // of what was read last going backward
}

// Step is how finely figures are told apart.
type Step int

// The steps.
const (
	ByMinute Step = iota
	ByHour
	ByDay
	steps
)

// Span is how long a step is, Kept how far back there are figures of it.
func (s Step) Span() time.Duration {
	return [steps]time.Duration{time.Minute, time.Hour, 24 * time.Hour}[s]
}

// Kept is how far back the bank keeps figures by that step.
func (s Step) Kept() time.Duration {
	return [steps]time.Duration{6 * time.Hour, 35 * 24 * time.Hour, 800 * 24 * time.Hour}[s]
}

// String is "minute", "hour" or "day".
func (s Step) String() string { return [steps]string{"minute", "hour", "day"}[s] }

// ring holds what moved within each span that is kept, by when it begins, in
// Unix seconds.
type ring map[int64]*span

// span is what moved in it.
type span struct {
	keys  map[coin.KeyID]keyFlow
	kinds map[string]kindFlow
}

// keyFlow is what was issued and redeemed under a key.
type keyFlow struct{ issued, redeemed int64 }

// kindFlow is what operations of a kind moved, and how many they were.
type kindFlow struct{ ops, issued, redeemed, reserve int64 }

// Reading: after readFor nothing further is read backward. Who falls behind by
// more than maxBehind portions begins anew.
const (
	readPortion = 20_000
	readFor     = 500 * time.Millisecond
	maxBehind   = 100
)

// catchUp reads what came since, and goes on backward. The caller holds the
// lock. After an error it is what it was, or further.
func (f *flowBook) catchUp(ctx context.Context, l ledger.Ledger, heads []ledger.Head, now time.Time) error {
	for _, h := range heads {
		if err := f.follow(ctx, l, h); err != nil {
			return err
		}
	}
	for began := time.Now(); ; {
		reading := false
		for _, h := range heads {
			c := f.lanes[h.Lane]
			if c == nil || c.bottom == 0 {
				continue
			}
			if err := f.back(ctx, l, c, now); err != nil {
				return err
			}
			reading = reading || c.bottom > 0
		}
		if !reading || time.Since(began) > readFor {
			break
		}
	}
	for s := range f.rings {
		oldest := now.Add(-Step(s).Kept() - Step(s).Span()).Unix()
		for at := range f.rings[s] {
			if at < oldest {
				delete(f.rings[s], at)
			}
		}
	}
	return nil
}

// follow reads a lane up to its head. A lane that is not what it was, because
// the ledger was put back to an earlier state, has everything read anew.
func (f *flowBook) follow(ctx context.Context, l ledger.Ledger, head ledger.Head) error {
	c := f.lanes[head.Lane]
	if c != nil {
		same, err := l.Head(ctx, head.Lane, c.top.Seq)
		if err != nil && !errors.Is(err, ledger.ErrNotFound) {
			return fmt.Errorf("issuer: flows: %w", store(err))
		}
		if err != nil || same.Hash != c.top.Hash || head.Seq > c.top.Seq+maxBehind*f.portion {
			f.forget()
			c = nil
		}
	}
	if c == nil {
		if f.lanes == nil {
			f.forget()
		}
		f.lanes[head.Lane] = &laneRead{top: head, bottom: head.Seq}
		return nil
	}
	for c.top.Seq < head.Seq {
		next := head
		if head.Seq-c.top.Seq > f.portion {
			var err error
			if next, err = l.Head(ctx, head.Lane, c.top.Seq+f.portion); err != nil {
				return fmt.Errorf("issuer: flows: %w", store(err))
			}
		}
		flows, err := f.read(ctx, l, head.Lane, c.top.Seq, next.Seq, ByMinute)
		if err != nil {
			return err
		}
		if err := f.add(flows, ByMinute); err != nil {
			return err
		}
		c.top = next
	}
	return nil
}

func (f *flowBook) forget() {
	f.lanes = make(map[string]*laneRead)
	for s := range f.rings {
		f.rings[s] = make(ring)
	}
}

// back reads one range of a lane backward.
func (f *flowBook) back(ctx context.Context, l ledger.Ledger, c *laneRead, now time.Time) error {
	step := ByMinute
	if !c.oldest.IsZero() && c.oldest.Before(now.Add(-ByMinute.Kept())) {
		step = ByHour
	}
	after := uint64(0)
	if c.bottom > f.portion {
		after = c.bottom - f.portion
	}
	flows, err := f.read(ctx, l, c.top.Lane, after, c.bottom, step)
	if err != nil {
		return err
	}
	if err := f.add(flows, step); err != nil {
		return err
	}
	c.bottom = after
	var newest time.Time
	for i := range flows {
		if at := flows[i].At; c.oldest.IsZero() || at.Before(c.oldest) {
			c.oldest = at
		}
		if flows[i].At.After(newest) {
			newest = flows[i].At
		}
	}
	if !newest.IsZero() && newest.Before(now.Add(-ByDay.Kept())) {
		c.bottom = 0 // what lies further back is not kept
	}
	return nil
}

func (f *flowBook) read(ctx context.Context, l ledger.Ledger, lane string, after, upTo uint64, step Step) ([]ledger.Flow, error) {
	flows, err := l.Flows(ctx, ledger.FlowRange{Lane: lane, After: after, UpTo: upTo, Span: step.Span(), Apart: circulationClass})
	if err != nil {
		return nil, fmt.Errorf("issuer: flows: %w", store(err))
	}
	return flows, nil
}

// add counts flows that were read by that step, by it and by the longer ones.
// What is wrong with one is found before any is counted.
func (f *flowBook) add(flows []ledger.Flow, step Step) error {
	for i := range flows {
		if _, _, _, err := circulation(flows[i].Account); err != nil {
			return fmt.Errorf("issuer: flows: %w", err)
		}
	}
	for i := range flows {
		for s := step; s < steps; s++ {
			f.rings[s].at(flows[i].At, s).add(&flows[i])
		}
	}
	return nil
}

func (r ring) at(t time.Time, s Step) *span {
	key := t.Truncate(s.Span()).Unix()
	if r[key] == nil {
		r[key] = &span{keys: make(map[coin.KeyID]keyFlow), kinds: make(map[string]kindFlow)}
	}
	return r[key]
}

func (s *span) add(f *ledger.Flow) {
	kind := s.kinds[f.Kind]
	kind.ops += f.Ops
	kid, issued, of, _ := circulation(f.Account) // checked by the caller
	switch {
	case of && issued:
		k := s.keys[kid]
		k.issued += f.Amount
		s.keys[kid] = k
		kind.issued += f.Amount
	case of:
		k := s.keys[kid]
		k.redeemed -= f.Amount
		s.keys[kid] = k
		kind.redeemed -= f.Amount
	case f.Account == reserve:
		kind.reserve += max(f.Amount, -f.Amount)
	}
	s.kinds[f.Kind] = kind
}

// worth is what an operation of that kind is about: a deposit is about what was
// paid, without the change.
func (k *kindFlow) worth(kind string) int64 {
	switch kind {
	case KindDeposit:
		return k.redeemed - k.issued
	case KindFunding, KindPayout:
		return k.reserve
	}
	return k.issued
}

// since is from when on the book is complete; zero if all is in it that is
// kept.
func (f *flowBook) since(now time.Time) time.Time {
	var out time.Time
	for _, c := range f.lanes {
		if c.bottom == 0 {
			continue
		}
		from := c.oldest
		if from.IsZero() {
			from = now
		}
		if from.After(out) {
			out = from
		}
	}
	return out
}
