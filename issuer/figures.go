package issuer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// FigurePeriod is what figures are asked for: From, rounded down to a step, until
// Until. What lies further back than the step's Kept is cut off, so that there
// are never more than a thousand steps.
type FigurePeriod struct {
	From, Until time.Time
	Step        Step
}

// Figures are how the bank stands and what moved lately: what its operator
// looks at. No person's is in it but the names of who is suspended.
type Figures struct {
	// At is when they were read, Books when the classes were added up, which is
	// up to a minute earlier, and much more in a bank of millions of accounts.
	At    time.Time
	Books *Books
	// Keys are those of the keyset, in its order, then those that only the
	// ledger remembers.
	Keys []KeyFigures
	// Period is what Steps are of: as asked for, but not further back than is
	// kept.
	Period FigurePeriod
	Steps  []StepFigures
	// Since is from when on Steps are complete, zero if all are: older ones are
	// still being read.
	Since time.Time
	// Day is what moved since the beginning of the hour 24 hours ago, by kind of
	// operation.
	Day []OpFigures
	// Standing is some seconds old at most.
	Standing *Standing
	// Acts are the newest strikes, suspensions and reinstatements.
	Acts []Act
	// Fence is nil unless one is raised; Reconciling says that the operator has
	// begun to deal with it.
	Fence       *ledger.Fence
	Reconciling bool
	// Store is nil if the database does not tell.
	Store *ledger.Condition
	// Token is why the token can't sign now, nil if it can.
	Token error
}

// KeyFigures are what happened under a key, and how it stands.
type KeyFigures struct {
	KeyBalance
	// All are zero if the keyset has forgotten the key.
	IssueFrom, IssueUntil, SpendUntil, LegalUntil time.Time
	Revoked, Lost                                 bool
	// Missing says that the bank needs the key's private half and the token
	// lacks it; up to ten seconds old.
	Missing bool
}

// StepFigures are of one step of time.
type StepFigures struct {
	At time.Time // where it begins
	// Circulation is what was in circulation at its end, by kind of coin. Coins
	// under keys that the keyset has forgotten are of the kind "".
	Circulation map[coin.Kind]int64
	Ops         []OpFigures
}

// OpFigures are operations of one kind: how many, and what they were about in
// minor units: coins issued or exchanged, payments without their change, money
// in and out.
type OpFigures struct {
	Kind  string
	Count int64
	Worth int64
}

// figures is what a bank remembers to answer for its figures.
type figures struct {
	book flowBook

	books    remembered[*Books]
	standing remembered[*Standing]
	acts     remembered[[]Act]
	store    remembered[*ledger.Condition]
	missing  remembered[map[coin.KeyID]bool]
	token    patience
}

// remembered is a value that stands for a while.
type remembered[T any] struct {
	mu    sync.Mutex
	value T
	until time.Time // of the machine's clock
}

// get returns the value, made anew if it is older than age. What takes long to
// make stands twenty times as long as that.
func (r *remembered[T]) get(age time.Duration, fresh func() (T, error)) (T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	began := time.Now()
	if began.Before(r.until) {
		return r.value, nil
	}
	value, err := fresh()
	if err != nil {
		return value, err
	}
	r.value, r.until = value, time.Now().Add(max(age, 20*time.Since(began)))
	return value, nil
}

// patience asks what may take long to answer, one at a time, and does not wait
// for it longer than patienceFor.
type patience struct {
	mu     sync.Mutex
	asking chan struct{} // closed when the question under way is answered; nil if none is
	began  time.Time
	last   error
}

const patienceFor = 2 * time.Second

// ask returns the answer, or ErrUnavailable if there is none yet.
func (p *patience) ask(question func() error) error {
	p.mu.Lock()
	if p.asking == nil {
		done := make(chan struct{})
		p.asking, p.began = done, time.Now()
		go func() {
			err := question()
			p.mu.Lock()
			p.last, p.asking = err, nil
			p.mu.Unlock()
			close(done)
		}()
	}
	done, wait := p.asking, patienceFor-time.Since(p.began)
	p.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-done:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.last
	case <-timer.C:
		return fmt.Errorf("%w: no answer within %v", ErrUnavailable, patienceFor)
	}
}

const (
	standingAge = time.Second
	storeAge    = 15 * time.Second
	missingAge  = 10 * time.Second
	missingWait = 2 * time.Second
	shownActs   = 20
)

// Figures returns how the bank stands and what moved in a period. ErrMalformed
// for one that is upside down. What it costs does not
// grow with the ledger, but for the first few calls, see flowBook.
func (b *Bank) Figures(ctx context.Context, p FigurePeriod) (*Figures, error) {
	now := b.now()
	if err := p.settle(now); err != nil {
		return nil, err
	}
	out := &Figures{At: now, Period: p}
	keys, err := b.flowing(ctx, out)
	if err != nil {
		return nil, err
	}
	if out.Books, err = b.figures.books.get(0, func() (*Books, error) { return b.Books(ctx) }); err != nil {
		return nil, err
	}
	if out.Standing, err = b.RecentStanding(ctx); err != nil {
		return nil, err
	}
	out.Acts, err = b.figures.acts.get(0, func() ([]Act, error) {
		acts, _, err := b.Acts(ctx, ledger.Page{Limit: shownActs})
		return acts, err
	})
	if err != nil {
		return nil, err
	}
	stands, err := b.Reconciliation(ctx)
	var fenced *FencedError
	switch {
	case errors.As(err, &fenced):
		out.Fence = fenced.Fence
	case err != nil:
		return nil, err
	default:
		out.Fence, out.Reconciling = stands.Fence, stands.Open
	}
	// These are what an operator looks for when something is wrong: what they
	// can't tell is told by what is missing.
	out.Store = b.Store(ctx)
	out.Keys = b.keyFigures(ctx, keys)
	out.Token = b.figures.token.ask(func() error { return b.CheckToken(ctx) })
	return out, nil
}

// settle rounds a period to its steps, and cuts off what is not kept.
func (p *FigurePeriod) settle(now time.Time) error {
	if p.Step < 0 || p.Step >= steps {
		return fmt.Errorf("%w: figures are by minute, hour or day", ErrMalformed)
	}
	span := p.Step.Span()
	if oldest := now.Add(-p.Step.Kept()); p.From.Before(oldest) {
		p.From = oldest
	}
	if !p.Until.Before(now) {
		p.Until = now.Add(time.Second) // what is of this moment is within
	}
	p.From = p.From.UTC().Truncate(span)
	p.Until = p.Until.UTC()
	if !p.From.Before(p.Until) {
		return fmt.Errorf("%w: the period ends before it begins", ErrMalformed)
	}
	return nil
}

// flowing fills in what moved, and returns the keys' balances that it ends at.
func (b *Bank) flowing(ctx context.Context, out *Figures) ([]KeyBalance, error) {
	book := &b.figures.book
	book.mu.Lock()
	defer book.mu.Unlock()
	keys, err := b.readFlows(ctx, out.At)
	if err != nil {
		return nil, err
	}
	out.Since = book.since(out.At)
	out.Day = book.day(out.At)
	kinds, circulating := make(map[coin.KeyID]coin.Kind, len(keys)), make(map[coin.Kind]int64)
	for i := range keys {
		kinds[keys[i].KeyID] = keys[i].Kind
		circulating[keys[i].Kind] += keys[i].Balance
	}
	out.Steps = book.stepsOf(out.Period, out.At, circulating, kinds)
	return keys, nil
}

// readFlows brings the book up to date, and returns the keys' balances. If
// nothing was recorded in between they are of the same moment, as they are in a
// bank that rests now and then; in one that never does, the newest step is out
// by what came within some milliseconds.
func (b *Bank) readFlows(ctx context.Context, now time.Time) ([]KeyBalance, error) {
	heads, err := b.cfg.Ledger.Heads(ctx)
	if err != nil {
		return nil, fmt.Errorf("issuer: flows: %w", store(err))
	}
	for try := 0; ; try++ {
		if err := b.figures.book.catchUp(ctx, b.cfg.Ledger, heads, now); err != nil {
			return nil, err
		}
		keys, err := b.KeyBalances(ctx)
		if err != nil {
			return nil, err
		}
		after, err := b.cfg.Ledger.Heads(ctx)
		if err != nil {
			return nil, fmt.Errorf("issuer: flows: %w", store(err))
		}
		if try == 2 || slices.Equal(heads, after) {
			return keys, nil
		}
		heads = after
	}
}

// dayBegan is where the day before now begins that Figures.Day is of.
func dayBegan(now time.Time) time.Time { return now.Add(-24 * time.Hour).Truncate(time.Hour) }

// DayKinds are the kinds of operation that a day's figures always name.
func DayKinds() []string {
	return []string{KindWithdrawal, KindDeposit, KindExchange, KindRefund, KindRecoup, KindRecover, KindFunding, KindPayout}
}

func (f *flowBook) day(now time.Time) []OpFigures {
	sum := make(map[string]kindFlow)
	for at := dayBegan(now); !at.After(now); at = at.Add(time.Hour) {
		if s := f.rings[ByHour][at.Unix()]; s != nil {
			for kind, k := range s.kinds {
				t := sum[kind]
				sum[kind] = kindFlow{t.ops + k.ops, t.issued + k.issued, t.redeemed + k.redeemed, t.reserve + k.reserve}
			}
		}
	}
	out := make([]OpFigures, 0, len(DayKinds()))
	for _, kind := range DayKinds() {
		k := sum[kind]
		out = append(out, OpFigures{kind, k.ops, k.worth(kind)})
	}
	return out
}

// stepsOf goes back from what is in circulation now.
func (f *flowBook) stepsOf(p FigurePeriod, now time.Time, circulating map[coin.Kind]int64, kinds map[coin.KeyID]coin.Kind) []StepFigures {
	span, ring := p.Step.Span(), f.rings[p.Step]
	var out []StepFigures
	// Clocks of several issuers differ: what is of a moment ahead is undone too.
	for at := now.Add(24 * time.Hour).Truncate(span); !at.Before(p.From); at = at.Add(-span) {
		s := ring[at.Unix()]
		if at.Before(p.Until) {
			f := StepFigures{At: at, Circulation: make(map[coin.Kind]int64, len(circulating))}
			for kind, v := range circulating {
				f.Circulation[kind] = v
			}
			if s != nil {
				for kind, k := range s.kinds {
					f.Ops = append(f.Ops, OpFigures{kind, k.ops, k.worth(kind)})
				}
				slices.SortFunc(f.Ops, func(a, b OpFigures) int { return cmp.Compare(a.Kind, b.Kind) })
			}
			out = append(out, f)
		}
		if s != nil {
			for kid, k := range s.keys {
				circulating[kinds[kid]] -= k.issued - k.redeemed
			}
		}
	}
	slices.Reverse(out)
	return out
}

// RecentStanding is Standing, some seconds old at most in a bank of many acts.
func (b *Bank) RecentStanding(ctx context.Context) (*Standing, error) {
	return b.figures.standing.get(standingAge, func() (*Standing, error) { return b.Standing(ctx) })
}

// Store says how the database is, up to 15 seconds old; nil if it does not
// tell.
func (b *Bank) Store(ctx context.Context) *ledger.Condition {
	c, err := b.figures.store.get(storeAge, func() (*ledger.Condition, error) { return b.cfg.Ledger.Condition(ctx) })
	if err != nil {
		b.log.WarnContext(ctx, "the database does not say how it is", "error", err)
		return nil
	}
	return c
}

func (b *Bank) keyFigures(ctx context.Context, keys []KeyBalance) []KeyFigures {
	missing, _ := b.figures.missing.get(missingAge, func() (map[coin.KeyID]bool, error) { return b.missingKeys(ctx) })
	f := b.current()
	out := make([]KeyFigures, len(keys))
	for i := range keys {
		out[i] = KeyFigures{KeyBalance: keys[i], Missing: missing[keys[i].KeyID]}
		if d := f.keys[keys[i].KeyID]; d != nil {
			k := &out[i]
			k.IssueFrom, k.IssueUntil, k.SpendUntil, k.LegalUntil = d.IssueFrom, d.IssueUntil, d.SpendUntil, d.LegalUntil
			k.Revoked, k.Lost = d.Revoked, d.Lost
		}
	}
	return out
}

// missingKeys asks the signer for each key that the bank needs.
func (b *Bank) missingKeys(ctx context.Context) (map[coin.KeyID]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, missingWait)
	defer cancel()
	out := make(map[coin.KeyID]bool)
	f, now := b.current(), b.now()
	for i := range f.keyset.Denominations {
		d := &f.keyset.Denominations[i]
		if !wants(d, now) {
			continue
		}
		err := b.cfg.Signer.Has(ctx, d.KeyID)
		switch {
		case errors.Is(err, coin.ErrUnknownKey):
			out[d.KeyID] = true
		case err != nil:
			return nil, err // the token's own trouble says it: Figures.Token
		}
	}
	return out, nil
}
