package wallet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/tpm"
)

// LockoutError is [ErrLockout] with the time that is left.
type LockoutError struct {
	// Wait is how long it takes at most until the TPM takes one more try; 0 if
	// the TPM does not say.
	Wait time.Duration
}

// Error says so in words.
func (e *LockoutError) Error() string {
	if e.Wait <= 0 {
		return ErrLockout.Error()
	}
	return fmt.Sprintf("%v: it takes the next one in %s at the latest", ErrLockout, inWords(e.Wait))
}

// Is matches ErrLockout.
func (e *LockoutError) Is(target error) bool { return target == ErrLockout }

// inWords rounds a time up to what a person waits for.
func inWords(d time.Duration) string {
	for _, unit := range []struct {
		size      time.Duration
		one, many string
	}{{24 * time.Hour, "a day", "days"}, {time.Hour, "an hour", "hours"}, {time.Minute, "a minute", "minutes"}, {time.Second, "a second", "seconds"}} {
		n := (d + unit.size - 1) / unit.size
		if n > 1 {
			return fmt.Sprintf("%d %s", n, unit.many)
		}
		if d > unit.size*9/10 {
			return unit.one
		}
	}
	return "a moment"
}

// keyError says what a person needs to know of a PIN that was refused: how many
// tries are left, or how long to wait.
func (w *Wallet) keyError(ctx context.Context, dev *tpm.Device, err error) error {
	switch {
	case errors.Is(err, tpm.ErrLockout):
		return fmt.Errorf("%w: %w", &LockoutError{}, err)
	case errors.Is(err, tpm.ErrAuth):
		return fmt.Errorf("%w: %w", ErrPIN, err)
	}
	return err
}
