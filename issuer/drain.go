package issuer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/speciecash/specie/ledger"
)

// metaDrain, if it is there and not empty, says that the bank drains.
const metaDrain = "drain"

// drainMemory is how long a bank believes what it read of draining: every
// issuer on one database follows within that time, and a withdrawal needs no
// further question.
const drainMemory = time.Second

// drain remembers whether the bank drains.
type drain struct {
	mu sync.Mutex
	on bool
	at time.Time // by the machine's clock; zero if nothing is known
}

// Draining says whether the bank redeems only.
func (b *Bank) Draining(ctx context.Context) (bool, error) {
	b.drain.mu.Lock()
	defer b.drain.mu.Unlock()
	if !b.drain.at.IsZero() && time.Since(b.drain.at) < drainMemory {
		return b.drain.on, nil
	}
	value, err := b.cfg.Ledger.Meta(ctx, metaDrain)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return false, fmt.Errorf("issuer: drain: %w", store(err))
	}
	b.drain.on, b.drain.at = len(value) != 0, time.Now()
	return b.drain.on, nil
}

// SetDraining begins or ends draining: while the bank drains, nothing raises
// what it owes, so withdrawals, refunds and fundings are ErrDraining. Coins are
// deposited, exchanged and made good, and accounts paid out, as ever. Other
// issuers on the same database follow within a second.
func (b *Bank) SetDraining(ctx context.Context, on bool) error {
	var value []byte
	if on {
		value = []byte("on")
	}
	b.drain.mu.Lock()
	defer b.drain.mu.Unlock()
	if err := b.cfg.Ledger.SetMeta(ctx, metaDrain, value); err != nil {
		return fmt.Errorf("issuer: drain: %w", store(err))
	}
	b.drain.on, b.drain.at = on, time.Now()
	b.log.WarnContext(ctx, "draining", "on", on)
	return nil
}

// issuing returns ErrDraining while the bank drains. It is asked once no
// recorded operation was found.
func (b *Bank) issuing(ctx context.Context) error {
	on, err := b.Draining(ctx)
	if err == nil && on {
		err = ErrDraining
	}
	return err
}
