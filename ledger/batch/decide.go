package batch

import (
	"slices"

	"github.com/speciecash/specie/ledger"
)

// Purse names one balance.
type Purse struct{ Account, Currency string }

// Coin names one id of a spent set.
type Coin struct {
	Epoch string
	ID    ledger.ID
}

// Picture is what the store says about everything that a batch of ops
// touches, and what the ops decided so far have made of it: each op sees the
// ones before it as if they were committed.
type Picture struct {
	// Known are the ops recorded.
	Known map[ledger.ID]struct{}
	// Spent are the spent sets, each from an id to the op that took it. An
	// epoch that has no entry is not open.
	Spent map[string]map[ledger.ID]ledger.ID
	// Holds are the holds not released, by their id, and Held those of a coin.
	Holds map[ledger.ID]*ledger.Hold
	Held  map[Coin][]*ledger.Hold
	// Balances, and the Counts of quotas; what has no entry is zero.
	Balances map[Purse]int64
	Counts   map[string]int64
	// Applied are the ops that were applied, in order.
	Applied []*Op
}

// NewPicture returns a picture of an empty store.
func NewPicture() *Picture {
	return &Picture{
		Known: make(map[ledger.ID]struct{}), Spent: make(map[string]map[ledger.ID]ledger.ID),
		Holds: make(map[ledger.ID]*ledger.Hold), Held: make(map[Coin][]*ledger.Hold),
		Balances: make(map[Purse]int64), Counts: make(map[string]int64),
	}
}

// Decide asks the questions of package ledger in their order, and if op is
// applied paints it into the picture. Outcome.Existing is left to the caller.
func (p *Picture) Decide(op *Op) (ledger.Outcome, error) {
	if _, ok := p.Known[op.ID]; ok {
		return ledger.Outcome{Status: ledger.Replayed}, nil
	}
	if op.Invalid != nil {
		return ledger.Outcome{}, op.Invalid
	}
	conflicts, err := p.taken(op.Spends)
	if err != nil {
		return ledger.Outcome{}, err
	}
	if conflicts != nil {
		return ledger.Outcome{Status: ledger.Conflict, Conflicts: conflicts}, nil
	}
	if hold := p.Against(&op.Op); hold != nil {
		return ledger.Outcome{Status: ledger.Held, Hold: hold}, nil
	}
	if over := p.over(op.Quotas); over != nil {
		return ledger.Outcome{Status: ledger.Exceeded, Over: over}, nil
	}
	after, short, err := p.sums(op)
	if err != nil {
		return ledger.Outcome{}, err
	}
	if short != nil {
		return ledger.Outcome{Status: ledger.Insufficient, Short: short}, nil
	}
	p.paint(op, after)
	return ledger.Outcome{Status: ledger.Applied}, nil
}

// taken lists the spends that other ops took; ledger.ErrUnknownEpoch.
func (p *Picture) taken(spends []ledger.Spend) (out []ledger.Taken, err error) {
	for _, s := range spends {
		set, open := p.Spent[s.Epoch]
		if !open {
			return nil, ledger.ErrUnknownEpoch
		}
		if by, taken := set[s.ID]; taken {
			out = append(out, ledger.Taken{Epoch: s.Epoch, ID: s.ID, Op: by})
		}
	}
	return out, nil
}

// Against returns the hold that stands against an op, one that lasts longest,
// or nil.
func (p *Picture) Against(op *ledger.Op) (longest *ledger.Hold) {
	consider := func(h *ledger.Hold) {
		if h.Open(op.At) && (longest == nil || longest.Until.Before(h.Until)) {
			longest = h
		}
	}
	for _, s := range op.Spends {
		for _, h := range p.Held[Coin{s.Epoch, s.ID}] {
			if h.ID != op.ID {
				consider(h)
			}
		}
	}
	if own := p.Holds[op.ID]; own != nil && (op.Unheld || op.MaxStrikes > 0 && own.Strikes >= op.MaxStrikes) {
		consider(own)
	}
	return longest
}

// over names the quotas that would be passed.
func (p *Picture) over(quotas []ledger.Quota) (out []string) {
	for _, q := range quotas {
		if p.Counts[q.Name]+q.Amount > q.Max {
			out = append(out, q.Name)
		}
	}
	return out
}

// sums returns the balances after the op, in the order of its postings, and
// the floors that they break. ledger.ErrOverflow.
func (p *Picture) sums(op *Op) (after []int64, short []string, err error) {
	after = make([]int64, len(op.Postings))
	for i, posting := range op.Postings {
		sum, err := ledger.AddAmount(p.Balances[Purse{posting.Account, posting.Currency}], posting.Amount)
		if err != nil {
			return nil, nil, err
		}
		after[i] = sum
		if sum < 0 && slices.Contains(op.Floors, posting.Account) && !slices.Contains(short, posting.Account) {
			short = append(short, posting.Account)
		}
	}
	return after, short, nil
}

func (p *Picture) paint(op *Op, after []int64) {
	p.Known[op.ID] = struct{}{}
	for _, s := range op.Spends {
		p.Spent[s.Epoch][s.ID] = op.ID
	}
	for _, q := range op.Quotas {
		p.Counts[q.Name] += q.Amount
	}
	for i, posting := range op.Postings {
		p.Balances[Purse{posting.Account, posting.Currency}] = after[i]
	}
	p.Applied = append(p.Applied, op)
}

// DecideHold decides whether a hold may be placed that was not placed before:
// Conflict, Held or Applied. Limits are the caller's to count.
func (p *Picture) DecideHold(h *ledger.Hold) (ledger.Outcome, error) {
	conflicts, err := p.taken(h.Coins)
	if err != nil {
		return ledger.Outcome{}, err
	}
	if conflicts != nil {
		return ledger.Outcome{Status: ledger.Conflict, Conflicts: conflicts}, nil
	}
	if other := p.Against(&ledger.Op{ID: h.ID, At: h.At, Spends: h.Coins}); other != nil {
		return ledger.Outcome{Status: ledger.Held, Hold: other}, nil
	}
	return ledger.Outcome{Status: ledger.Applied}, nil
}
