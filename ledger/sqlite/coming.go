package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/speciecash/specie/ledger"
)

// errComing stands where the driver still owes what the interface promises.
var errComing = errors.New("sqlite: not there yet")

// PlaceHold implements ledger.Ledger.
func (l *Ledger) PlaceHold(context.Context, ledger.Hold, ledger.HoldLimits) (ledger.Outcome, error) {
	return ledger.Outcome{}, errComing
}

// ReleaseHold implements ledger.Ledger.
func (l *Ledger) ReleaseHold(context.Context, ledger.ID) error { return errComing }

// Strike implements ledger.Ledger.
func (l *Ledger) Strike(context.Context, ledger.ID, [32]byte) (*ledger.Hold, error) {
	return nil, errComing
}

// Hold implements ledger.Ledger.
func (l *Ledger) Hold(context.Context, ledger.ID) (*ledger.Hold, error) { return nil, errComing }

// OpenHolds implements ledger.Ledger.
func (l *Ledger) OpenHolds(context.Context, string, time.Time, int) ([]ledger.Hold, error) {
	return nil, errComing
}

// HeldCoins implements ledger.Ledger.
func (l *Ledger) HeldCoins(context.Context, string, []ledger.ID, time.Time) (map[ledger.ID]ledger.Hold, error) {
	return nil, errComing
}

// PruneHolds implements ledger.Ledger.
func (l *Ledger) PruneHolds(context.Context, time.Time) (int64, error) { return 0, errComing }

// Count implements ledger.Ledger.
func (l *Ledger) Count(context.Context, string) (int64, error) { return 0, errComing }

// BalanceAt implements ledger.Ledger.
func (l *Ledger) BalanceAt(context.Context, string, string, time.Time) (int64, error) {
	return 0, errComing
}

// Dump implements ledger.Ledger.
func (l *Ledger) Dump(context.Context, func(*ledger.Row) error, func(done, total int64)) error {
	return errComing
}

// Load implements ledger.Ledger.
func (l *Ledger) Load(context.Context, func() (*ledger.Row, error)) error { return errComing }
