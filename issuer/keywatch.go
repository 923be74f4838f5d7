package issuer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/fault"
	"github.com/speciecash/specie/ledger"
)

// keyWatch sounds the alarm when more is redeemed under a key than was issued:
// then somebody else can sign with it. It speaks up at the operation that
// crosses, not at the next audit, and yet reads nothing in ordinary life.
//
// For each key it keeps what is in circulation at least: a redemption counts
// before the ledger has it, an issue once the ledger has it. That bound may be
// too low, after operations whose outcome is unknown, and is not too high, so
// that it falls below zero no later than the truth does. When it does, the
// ledger is asked, whose word alone is the alarm.
//
// What it can't see, an operation of another process or one whose caller gave
// up waiting for it, is seen when the ledger is asked next: every scrape of the
// metrics does (Bank.KeyBalances).
type keyWatch struct {
	mu      sync.Mutex
	least   map[coin.KeyID]int64 // in circulation at least
	pending map[coin.KeyID]int64 // redemptions on their way to the ledger
	// settled are the redemptions that ended since a read of the ledger began,
	// nil while none is under way: the answer may lack them.
	settled map[coin.KeyID]int64
	answers uint64 // how often least was taken from the ledger
	alarmed map[coin.KeyID]bool

	reading sync.Mutex // one read at a time
}

// flow is what one operation issues and redeems under each key.
type flow struct {
	issued, redeemed map[coin.KeyID]int64
	answers          uint64 // keyWatch.answers when it began
}

// flowOf reads an operation's postings.
func flowOf(op *ledger.Op) (*flow, error) {
	f := &flow{issued: make(map[coin.KeyID]int64), redeemed: make(map[coin.KeyID]int64)}
	for _, p := range op.Postings {
		kid, issued, of, err := circulation(p.Account)
		switch {
		case err != nil:
			return nil, fmt.Errorf("issuer: posting: %w", err)
		case of && issued:
			f.issued[kid] = p.Amount
		case of:
			f.redeemed[kid] = -p.Amount
		}
	}
	return f, nil
}

// apply is Ledger.Apply under the eyes of the watch, unless the bank
// reconciles. Every operation that moves coins goes this way.
func (b *Bank) apply(ctx context.Context, op ledger.Op) (ledger.Outcome, error) {
	if err := b.admits(ctx); err != nil {
		return ledger.Outcome{}, err
	}
	return b.applyAnyway(ctx, op)
}

// applyAnyway is apply for what is taken also while the bank reconciles.
func (b *Bank) applyAnyway(ctx context.Context, op ledger.Op) (ledger.Outcome, error) {
	f, err := flowOf(&op)
	if err != nil {
		return ledger.Outcome{}, err
	}
	b.watch.begin(f)
	fault.Point("issuer.checked")
	out, err := b.cfg.Ledger.Apply(ctx, op)
	fault.Point("issuer.recorded")
	if !b.watch.end(f, out, err) {
		return out, err
	}
	// The operation stands whatever comes of this; its caller may be gone.
	alarm, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if _, rerr := b.KeyBalances(alarm); rerr != nil {
		b.log.ErrorContext(ctx, "more may have been redeemed under a key than was issued; the ledger could not be asked", "error", rerr)
	}
	return out, err
}

func (w *keyWatch) begin(f *flow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.answers = w.answers
	for kid, v := range f.redeemed {
		w.pending[kid] += v
		w.least[kid] -= v
	}
}

// end settles what begin counted, and says whether the ledger must be asked.
func (w *keyWatch) end(f *flow, out ledger.Outcome, err error) (ask bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	applied, refused := err == nil && out.Status == ledger.Applied, err == nil && out.Status != ledger.Applied
	for kid, v := range f.redeemed {
		if w.pending[kid] -= v; w.pending[kid] == 0 {
			delete(w.pending, kid)
		}
		switch {
		case refused:
			w.least[kid] += v
		case w.settled != nil:
			w.settled[kid] += v
		}
		ask = ask || applied && w.least[kid] < 0
	}
	// If the ledger was read since it began, this issue may be in already.
	if applied && f.answers == w.answers {
		for kid, v := range f.issued {
			w.least[kid] += v
		}
	}
	return ask
}

// KeyBalances returns what was issued and redeemed under every key of the
// keyset, in its order, and then under keys that only the ledger remembers. It
// sounds the alarm, in the log, for each that has leaked and was not known to.
func (b *Bank) KeyBalances(ctx context.Context) ([]KeyBalance, error) {
	w := &b.watch
	w.reading.Lock()
	defer w.reading.Unlock()
	w.startRead()
	keys, err := b.readKeys(ctx)
	for _, k := range w.endRead(keys, err) {
		b.log.ErrorContext(ctx, "ALARM: more was redeemed under a key than was ever issued: its private half has leaked, revoke it",
			"kid", k.KeyID, "kind", k.Kind, "value", k.Value, "issued", k.Issued, "redeemed", k.Redeemed)
	}
	return keys, err
}

func (b *Bank) readKeys(ctx context.Context) ([]KeyBalance, error) {
	totals, err := b.cfg.Ledger.Totals(ctx, circulationClass)
	if err != nil {
		return nil, fmt.Errorf("issuer: keys' balances: %w", store(err))
	}
	return b.current().keyBalances(totals)
}

func (w *keyWatch) startRead() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settled = make(map[coin.KeyID]int64)
}

// endRead takes the ledger's answer and returns the keys to sound the alarm
// for.
func (w *keyWatch) endRead(keys []KeyBalance, err error) (leaked []KeyBalance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	settled := w.settled
	w.settled = nil
	if err != nil {
		return nil // least has gone on being right
	}
	w.answers++
	w.least = make(map[coin.KeyID]int64, len(keys))
	for kid, v := range w.pending {
		w.least[kid] -= v
	}
	for kid, v := range settled {
		w.least[kid] -= v
	}
	for _, k := range keys {
		w.least[k.KeyID] += k.Balance
		if k.Leaked() && !w.alarmed[k.KeyID] {
			w.alarmed[k.KeyID] = true
			leaked = append(leaked, k)
		}
	}
	return leaked
}
