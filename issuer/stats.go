package issuer

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// Stats are what the bank has done since it was opened, for its operator. None
// of it is a person's or a coin's, but who watches it change learns when
// something was done: it is not for strangers.
type Stats struct {
	// Operations are what the ledger answered, by kind and outcome.
	Operations []OpCount
	// Coins are those redeemed, and DoubleSpends the spends refused for a coin
	// that was spent before, by kind of coin.
	Coins, DoubleSpends map[coin.Kind]int64
	// Signatures are those made, Unsigned those that could not be.
	Signatures, Unsigned int64
	// Signing is how long the signatures of one operation took, in seconds.
	Signing ledger.Histogram
	// Writer is the ledger's.
	Writer ledger.WriterStats
}

// OpCount counts operations. Outcome is a ledger.Status in words, or "failed".
type OpCount struct {
	Kind, Outcome string
	Count         int64
}

// stats is a Stats under way.
type stats struct {
	mu  sync.Mutex
	ops map[OpCount]int64 // by kind and outcome, Count zero
	sum Stats
}

func (s *stats) init() {
	s.ops = make(map[OpCount]int64)
	s.sum.Coins, s.sum.DoubleSpends = map[coin.Kind]int64{}, map[coin.Kind]int64{}
	for _, k := range []coin.Kind{coin.Bearer, coin.Bound} { // a rate begins at zero
		s.sum.Coins[k], s.sum.DoubleSpends[k] = 0, 0
	}
	s.sum.Signing.Bounds = ledger.CommitBounds()
	for _, kind := range []string{KindDeposit, KindStrike, KindSuspension, KindWithdrawal, KindExchange} {
		s.ops[OpCount{Kind: kind, Outcome: ledger.Applied.String()}] = 0
	}
}

func (s *stats) applied(kind string, out ledger.Outcome, err error) {
	outcome := out.Status.String()
	if err != nil {
		outcome = "failed"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ops[OpCount{Kind: kind, Outcome: outcome}]++
}

func (s *stats) redeemed(coins []coin.Coin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range coins {
		s.sum.Coins[coins[i].Kind]++
	}
}

func (s *stats) doubleSpent(kind coin.Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum.DoubleSpends[kind]++
}

func (s *stats) signed(signatures int, took time.Duration, err error) {
	if signatures == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.sum.Unsigned += int64(signatures)
		return
	}
	s.sum.Signatures += int64(signatures)
	s.sum.Signing.Add(took.Seconds())
}

// counted is a ledger that counts what becomes of operations.
type counted struct {
	ledger.Ledger
	stats *stats
}

// Apply implements ledger.Ledger.
func (c *counted) Apply(ctx context.Context, op ledger.Op) (ledger.Outcome, error) {
	out, err := c.Ledger.Apply(ctx, op)
	c.stats.applied(op.Kind, out, err)
	return out, err
}

// PlaceHold implements ledger.Ledger. Holds are counted as operations of the
// kind "hold".
func (c *counted) PlaceHold(ctx context.Context, h ledger.Hold, limits ledger.HoldLimits) (ledger.Outcome, error) {
	out, err := c.Ledger.PlaceHold(ctx, h, limits)
	c.stats.applied("hold", out, err)
	return out, err
}

// Stats returns what the bank has done since it was opened.
func (b *Bank) Stats() Stats {
	s := &b.stats
	s.mu.Lock()
	out := s.sum
	out.Coins, out.DoubleSpends = maps.Clone(s.sum.Coins), maps.Clone(s.sum.DoubleSpends)
	out.Signing.Counts = slices.Clone(s.sum.Signing.Counts)
	for o, n := range s.ops {
		o.Count = n
		out.Operations = append(out.Operations, o)
	}
	s.mu.Unlock()
	out.Writer = b.cfg.Ledger.WriterStats()
	return out
}

// Standing is how many holds are open and accounts suspended; of each, at most
// that many are counted as there are rows in twenty pages.
type Standing struct {
	Holds, Suspended int
	Draining         bool
	// Accounts are the accounts suspended last, at most MaxShownSuspensions.
	Accounts []Suspension
}

// Suspension is an account that is suspended.
type Suspension struct {
	Account, Name string
	Reason        string
	At            time.Time
}

// MaxShownSuspensions bounds Standing.Accounts.
const MaxShownSuspensions = 20

// standingPages bounds what Standing reads.
const standingPages = 20

// Standing looks it up in the ledger.
func (b *Bank) Standing(ctx context.Context) (*Standing, error) {
	holds, err := b.cfg.Ledger.OpenHolds(ctx, "", b.now(), ledger.MaxPage)
	if err != nil {
		return nil, fmt.Errorf("issuer: open holds: %w", store(err))
	}
	out := &Standing{Holds: len(holds)}
	if out.Draining, err = b.Draining(ctx); err != nil {
		return nil, err
	}
	// The newest act of an account says where it stands.
	seen := map[string]bool{}
	page := ledger.Page{Limit: ledger.MaxPage}
	for range standingPages {
		ops, next, err := b.cfg.Ledger.OpsByAccount(ctx, strikesAccount, page)
		if err != nil {
			return nil, fmt.Errorf("issuer: suspensions: %w", store(err))
		}
		for i := range ops {
			if ops[i].Kind == KindStrike {
				continue
			}
			var r suspensionRecord
			if err := json.Unmarshal(ops[i].Request, &r); err != nil {
				return nil, fmt.Errorf("issuer: recorded %s does not read: %v", ops[i].Kind, err)
			}
			if !seen[r.Account] && ops[i].Kind == KindSuspension {
				out.Suspended++
				out.Accounts = append(out.Accounts, Suspension{Account: r.Account, Reason: r.Reason, At: ops[i].At})
			}
			seen[r.Account] = true
		}
		if next == "" {
			break
		}
		page.After = next
	}
	out.Accounts = out.Accounts[:min(len(out.Accounts), MaxShownSuspensions)]
	for i := range out.Accounts {
		a, err := b.cfg.Ledger.Account(ctx, out.Accounts[i].Account)
		if err != nil {
			return nil, fmt.Errorf("issuer: suspended account: %w", store(err))
		}
		out.Accounts[i].Name = a.Name
	}
	return out, nil
}
