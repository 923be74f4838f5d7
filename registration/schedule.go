package registration

import (
	"fmt"
	"math"
	"time"

	"github.com/speciecash/specie/groupdoc"
)

// Schedule says which epoch it is: epoch 1 begins at Start, each lasts
// Length. It is fixed for the life of a register, so that one number never
// stands for two stretches of time.
type Schedule struct {
	// Start is UTC in whole seconds.
	Start time.Time
	// Length is whole seconds, at least MinEpoch.
	Length time.Duration
}

// MinEpoch is the shortest epoch.
const MinEpoch = 2 * groupdoc.EpochSkew

func (s Schedule) check() error {
	switch {
	case s.Start.IsZero() || s.Start.Nanosecond() != 0:
		return fmt.Errorf("%w: the first epoch's start %s: give a time in whole seconds", ErrMalformed, s.Start.Format(time.RFC3339Nano))
	case s.Length < MinEpoch:
		return fmt.Errorf("%w: epochs of %s are too short: at least %s", ErrMalformed, s.Length, MinEpoch)
	case s.Length%time.Second != 0:
		return fmt.Errorf("%w: epochs of %s: give whole seconds", ErrMalformed, s.Length)
	}
	return nil
}

// At returns the epoch of a time, or ErrEpoch before the first.
func (s Schedule) At(at time.Time) (groupdoc.Epoch, error) {
	if at.Before(s.Start) {
		return groupdoc.Epoch{}, fmt.Errorf("%w: the first begins at %s", ErrEpoch, s.Start.UTC().Format(time.RFC3339))
	}
	n := uint64(at.Sub(s.Start)/s.Length) + 1
	if n >= math.MaxUint32 {
		return groupdoc.Epoch{}, fmt.Errorf("%w: number %d", ErrEpoch, n)
	}
	return s.epoch(n), nil
}

// epoch returns epoch number n.
func (s Schedule) epoch(n uint64) groupdoc.Epoch {
	starts := s.Start.UTC().Add(time.Duration(n-1) * s.Length)
	return groupdoc.Epoch{Number: n, Starts: starts, Ends: starts.Add(s.Length)}
}

// String is the schedule as it is pinned in the register.
func (s Schedule) String() string {
	return fmt.Sprintf("%s every %ds", s.Start.UTC().Format(time.RFC3339), int64(s.Length/time.Second))
}
