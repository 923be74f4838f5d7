package merchant

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/api"
)

// Steps of a sale, in the order in which they may come. A refused attempt is a
// step too; the offer stays open for another one.
const (
	StepWaiting      = "waiting"          // the offer was made
	StepCoinsChecked = "coins-checked"    // sums and the bank's signatures are right
	StepBinding      = "binding-verified" // one TPM of the group owns all bound coins
	StepHeld         = "held"             // the bank holds the coins for a moment
	StepDepositing   = "depositing"       // the deposit is on its way
	StepDeposited    = "deposited"        // the bank has credited it
	StepKept         = "kept"             // accepted without the bank, to be deposited later
	StepRefused      = "refused"
	StepExpired      = "expired"
	StepCancelled    = "cancelled"
)

// Steps of what goes back. They come after a sale and are not in Sale.Steps.
const (
	StepRefundOffered   = "refund-offered"
	StepRefunded        = "refunded"
	StepRefundCancelled = "refund-cancelled"
	StepRefundRefused   = "refund-refused"
)

// maxAttempts bounds what strangers who have an offer's link can write into the
// till's file: so many events of attempts are recorded of one offer.
const maxAttempts = 100

// watchEvery is how often a watcher looks for events that another process has
// written into the file.
const watchEvery = time.Second

// Event is a step of a sale. It is in the till's file with the change that it
// tells of, or neither is.
type Event struct {
	// Seq counts the events of this till, upwards with gaps, from 1.
	Seq int64 `json:"seq"`
	// Offer is the digest of the offer, 32 bytes.
	Offer api.Bytes `json:"offer"`
	Step  string    `json:"step"`
	// Op is the payment, nil where there is none.
	Op api.Bytes `json:"op,omitempty"`
	// Code and Reason say why it was refused.
	Code   string    `json:"code,omitempty"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// change runs f in one transaction and tells the watchers of it.
func (t *Till) change(ctx context.Context, what string, f func(tx *sql.Tx) error) error {
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("till: %s: %w", what, err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := f(tx); err != nil {
		var r *Refusal
		if errors.As(err, &r) {
			return err
		}
		return fmt.Errorf("till: %s: %w", what, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("till: %s: %w", what, err)
	}
	t.wake()
	return nil
}

// step records that something happened to a sale.
func (t *Till) step(ctx context.Context, tx *sql.Tx, step string, offer, op []byte, code, reason string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO events (offer, step, op, code, reason, at) VALUES (?, ?, ?, ?, ?, ?)",
		offer, step, op, code, reason, t.now().UnixMicro())
	return err
}

// stepOnce is step, unless the same was recorded of this payment.
func (t *Till) stepOnce(ctx context.Context, tx *sql.Tx, step string, offer, op []byte) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO events (offer, step, op, at) SELECT ?, ?, ?, ?
		WHERE NOT EXISTS (SELECT 1 FROM events WHERE offer = ? AND op = ? AND step = ?)`,
		offer, step, op, t.now().UnixMicro(), offer, op, step)
	return err
}

// stepIf is step where a statement before it has changed a row.
func (t *Till) stepIf(ctx context.Context, tx *sql.Tx, done sql.Result, step string, offer, op []byte, code, reason string) error {
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return err
	}
	return t.step(ctx, tx, step, offer, op, code, reason)
}

// attempted records a step of an attempt to pay that is no payment yet: at most
// maxAttempts of an offer, no refusal twice in a row, and that coins are good once.
func (t *Till) attempted(ctx context.Context, step string, offer, op [32]byte, code, reason string) error {
	return t.change(ctx, "attempt", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO events (offer, step, op, code, reason, at) SELECT ?, ?, ?, ?, ?, ?
			WHERE EXISTS (SELECT 1 FROM offers WHERE digest = ?) AND (SELECT count(*) FROM events WHERE offer = ?) < ?
			AND NOT EXISTS (SELECT 1 FROM events WHERE offer = ? AND op = ? AND step = ? AND code = ?
				AND (step <> ? OR seq = (SELECT max(seq) FROM events WHERE offer = ?)))`,
			offer[:], step, op[:], code, reason, t.now().UnixMicro(), offer[:], offer[:], maxAttempts,
			offer[:], op[:], step, code, StepRefused, offer[:])
		return err
	})
}

// refusedAttempt records why an attempt was refused, and returns that. What says
// nothing of the payer's coins is not recorded: the till's own troubles, and that
// the offer is being paid with other coins.
func (t *Till) refusedAttempt(ctx context.Context, offer, op [32]byte, err error) error {
	r := refusal(err)
	switch r.Code {
	case codeUnavailable, codeInternal, codeConflict:
		return err
	}
	return errors.Join(err, t.attempted(context.WithoutCancel(ctx), StepRefused, offer, op, r.Code, r.Error()))
}

// LastEvent is the number of the newest event, 0 if there is none.
func (t *Till) LastEvent(ctx context.Context) (seq int64, err error) {
	err = t.db.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM events").Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("till: events: %w", err)
	}
	return seq, nil
}

// Events lists up to limit events after one, oldest first.
func (t *Till) Events(ctx context.Context, after int64, limit int) ([]Event, error) {
	return t.events(ctx, "WHERE seq > ? ORDER BY seq LIMIT ?", after, limit)
}

func (t *Till) events(ctx context.Context, where string, args ...any) ([]Event, error) {
	rows, err := t.db.QueryContext(ctx, "SELECT seq, offer, step, op, code, reason, at FROM events "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("till: events: %w", err)
	}
	defer rows.Close()
	var out []Event
	for rows.Next() {
		var e Event
		var at int64
		if err := rows.Scan(&e.Seq, (*[]byte)(&e.Offer), &e.Step, (*[]byte)(&e.Op), &e.Code, &e.Reason, &at); err != nil {
			return nil, fmt.Errorf("till: events: %w", err)
		}
		e.At = time.UnixMicro(at).UTC()
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("till: events: %w", err)
	}
	return out, nil
}

// Watch sends the events after one, as they are recorded by this or another
// process, until ctx ends or the file can't be read; then it closes the channel.
// It holds few of them: a slow reader gets them later and slows nobody else.
func (t *Till) Watch(ctx context.Context, after int64) <-chan Event {
	out := make(chan Event)
	go func() {
		defer close(out)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			news := t.Changed()
			if err := t.expire(ctx); err != nil {
				return
			}
			list, err := t.Events(ctx, after, 64)
			if err != nil {
				return
			}
			for _, e := range list {
				select {
				case out <- e:
					after = e.Seq
				case <-ctx.Done():
					return
				}
			}
			if len(list) > 0 {
				continue
			}
			select {
			case <-news:
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// Changed returns a channel that is closed when this process next changes
// something in the till.
func (t *Till) Changed() <-chan struct{} {
	t.newsMu.Lock()
	defer t.newsMu.Unlock()
	if t.news == nil {
		t.news = make(chan struct{})
	}
	return t.news
}

func (t *Till) wake() {
	t.newsMu.Lock()
	defer t.newsMu.Unlock()
	if t.news != nil {
		close(t.news)
		t.news = nil
	}
}

// expire records of offers that nobody paid in time that they are over.
func (t *Till) expire(ctx context.Context) error {
	const late = "FROM offers o WHERE o.closed = '' AND o.expires > 0 AND o.expires <= ? AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.offer = o.digest AND p.state IN (?, ?, ?))"
	args := []any{t.now().UnixMicro(), StateSubmitted, StateKept, StateDeposited}
	var some bool
	if err := t.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 "+late+")", args...).Scan(&some); err != nil || !some {
		return err
	}
	return t.change(ctx, "expired offers", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO events (offer, step, at) SELECT o.digest, ?, o.expires "+late, append([]any{StepExpired}, args...)...)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE offers SET closed = ? WHERE digest IN (SELECT o.digest "+late+")", append([]any{StepExpired}, args...)...)
		return err
	})
}
