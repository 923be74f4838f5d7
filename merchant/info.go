package merchant

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Info is what a till says of itself to whoever works with it.
type Info struct {
	Name     string `json:"name"`
	Till     string `json:"till"`
	Merchant string `json:"merchant"`
	Currency string `json:"currency"`
	Exponent int    `json:"exponent"`
	// BankReachable is whether the bank answered when it was last asked.
	BankReachable bool `json:"bank_reachable"`
	// Bound is whether bound coins are taken.
	Bound   bool        `json:"bound"`
	Offline InfoOffline `json:"offline"`
}

// InfoOffline is what a till says of what it keeps without its bank.
type InfoOffline struct {
	On bool `json:"on"`
	Offline
	// Words say the risk.
	Words string `json:"words"`
}

// Info describes the till. The bank is asked only if the till has seen no keyset
// yet.
func (t *Till) Info(ctx context.Context) (*Info, error) {
	k, err := t.lastKeyset(ctx)
	if err != nil {
		return nil, err
	}
	o, err := t.Offline(ctx)
	if err != nil {
		return nil, err
	}
	return &Info{
		Name: t.settings.Name, Till: t.settings.TillName, Merchant: t.MerchantID(), Currency: k.Currency, Exponent: k.Exponent,
		BankReachable: !t.unreachable.Load(), Bound: len(t.settings.GroupURLs) > 0,
		Offline: InfoOffline{On: o.On(), Offline: *o, Words: o.Words(k.Currency, k.Exponent)},
	}, nil
}

// patience is how long a payer waits for the bank, at a till that can do without.
func (t *Till) patience() time.Duration {
	if t.unreachable.Load() {
		return knownAway
	}
	return patience
}

// Probe asks the bank for a sign of life, if it has given none for that long.
func (t *Till) Probe(ctx context.Context, quiet time.Duration) error {
	if t.unreachable.Load() {
		quiet = 0
	}
	if since := t.now().UnixMicro() - t.asked.Load(); since >= 0 && since < quiet.Microseconds() {
		return nil
	}
	if _, err := t.restoreEpoch(ctx); err != nil {
		return fmt.Errorf("bank: %w", err)
	}
	return nil
}

// bankLine carries the requests to the bank, and notes whether it answers.
type bankLine struct{ t *Till }

// ErrUnreachable: the bank gave no answer at all.
var ErrUnreachable = errors.New("the bank can't be reached")

// Do sends a request. An error without any answer is ErrUnreachable.
func (l bankLine) Do(r *http.Request) (*http.Response, error) {
	resp, err := l.t.http.Do(r)
	if errors.Is(r.Context().Err(), context.Canceled) {
		return resp, err // it was not waited for
	}
	l.t.asked.Store(l.t.now().UnixMicro())
	if l.t.unreachable.Swap(err != nil) != (err != nil) {
		l.t.wake()
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return resp, err
}
