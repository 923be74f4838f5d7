package tpm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// AuthError is ErrAuth for a group key, with what the TPM says of its protection
// against guessing.
type AuthError struct {
	// Left is how many wrong values the TPM takes before it locks out: 0 if this
	// was the last, -1 if the TPM did not say. Other keys and other programs
	// count as well.
	Left  int
	cause error
}

// Error implements error.
func (e *AuthError) Error() string {
	switch {
	case e.Left < 0:
		return ErrAuth.Error()
	case e.Left == 0:
		return ErrAuth.Error() + "; it was the last try, the TPM locks out"
	case e.Left == 1:
		return ErrAuth.Error() + "; 1 try left before the TPM locks out"
	}
	return fmt.Sprintf("%s; %d tries left before the TPM locks out", ErrAuth, e.Left)
}

// Is makes it ErrAuth.
func (e *AuthError) Is(target error) bool { return target == ErrAuth }

// Unwrap returns the TPM's own error.
func (e *AuthError) Unwrap() error { return e.cause }

// LockoutError is ErrLockout with the time that it lasts.
type LockoutError struct {
	// Wait is how long it takes until the next try at most, while the machine is
	// on: a TPM does not tell how much has passed already. 0 if the TPM did not
	// say, or does not end the lock-out by itself.
	Wait  time.Duration
	cause error
}

// Error implements error.
func (e *LockoutError) Error() string {
	if e.Wait == 0 {
		return ErrLockout.Error()
	}
	return fmt.Sprintf("%s; the next try is possible in %s at most, with the machine on", ErrLockout, InWords(e.Wait))
}

// Is makes it ErrLockout.
func (e *LockoutError) Is(target error) bool { return target == ErrLockout }

// Unwrap returns the TPM's own error.
func (e *LockoutError) Unwrap() error { return e.cause }

// InWords is a time that somebody has to wait, rounded up to its largest unit of
// which there are two: "90 seconds" would be "2 minutes".
func InWords(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "days"}, {time.Hour, "hours"}, {time.Minute, "minutes"}} {
		if d > unit.size {
			return fmt.Sprintf("%d %s", (d+unit.size-1)/unit.size, unit.name)
		}
	}
	n := max(1, (d+time.Second-1)/time.Second)
	if n == 1 {
		return "1 second"
	}
	return fmt.Sprintf("%d seconds", n)
}

// guard is the TPM's protection against guessing (TPM 2.0 Part 1, §19.8).
type guard struct {
	locked   bool
	failures uint32        // TPM_PT_LOCKOUT_COUNTER
	most     uint32        // TPM_PT_MAX_AUTH_FAIL
	interval time.Duration // TPM_PT_LOCKOUT_INTERVAL: after which one failure is forgotten
	recovery time.Duration // TPM_PT_LOCKOUT_RECOVERY: for the lock-out hierarchy's own password
}

// inLockout is a bit of TPM_PT_PERMANENT.
const inLockout = 1 << 9

func (s *sequence) guard() (g guard, err error) {
	var permanent, interval, recovery uint32
	for p, v := range map[tpm2.TPMPT]*uint32{
		tpm2.TPMPTPermanent: &permanent, tpm2.TPMPTLockoutCounter: &g.failures, tpm2.TPMPTMaxAuthFail: &g.most,
		tpm2.TPMPTLockoutInterval: &interval, tpm2.TPMPTLockoutRecovery: &recovery,
	} {
		if *v, err = s.property(p); err != nil {
			return guard{}, err
		}
	}
	g.locked = permanent&inLockout != 0
	g.interval, g.recovery = time.Duration(interval)*time.Second, time.Duration(recovery)*time.Second
	return g, nil
}

// CheckLockout returns a LockoutError while the TPM refuses every authorisation
// value, so that nobody is asked for one in vain.
func (d *Device) CheckLockout(ctx context.Context) error {
	return d.use(ctx, "lock-out", func(s *sequence) error {
		g, err := s.guard()
		if err == nil && g.locked {
			return &LockoutError{Wait: g.wait(), cause: tpm2.TPMRCLockout}
		}
		return err
	})
}

// left is how many more failures there may be.
func (g guard) left() int { return int(max(g.most, g.failures) - g.failures) }

// wait is how long a lock-out lasts at most: until so many failures are
// forgotten that one more is possible.
func (g guard) wait() time.Duration {
	over := uint32(1) // also where the TPM locks for a reason of its own
	if g.failures > g.most {
		over += g.failures - g.most
	}
	return time.Duration(over) * g.interval
}

// meaning puts the sentinel that a response code stands for in front of it,
// wherever the command was sent. Errors of other origin pass unchanged.
func (s *sequence) meaning(err error) error {
	var rc tpm2.TPMRC
	if !errors.As(err, &rc) || errors.Is(err, ErrHierarchy) || errors.Is(err, ErrCredential) {
		return err
	}
	switch {
	case rc.Is(tpm2.TPMRCAuthFail):
		e := &AuthError{Left: -1, cause: err}
		if g, err := s.guard(); err == nil {
			e.Left = g.left()
		}
		return e
	case rc.Is(tpm2.TPMRCBadAuth):
		return fmt.Errorf("%w: %w", ErrAuth, err)
	case rc.Is(tpm2.TPMRCLockout):
		e := &LockoutError{cause: err}
		if g, err := s.guard(); err == nil {
			e.Wait = g.wait()
		}
		return e
	case rc.Is(tpm2.TPMRCObjectMemory), rc.Is(tpm2.TPMRCObjectHandles), rc.Is(tpm2.TPMRCSessionMemory), rc.Is(tpm2.TPMRCSessionHandles):
		return fmt.Errorf("%w: %w", ErrNoSlot, err)
	case rc.Is(tpm2.TPMRCInitialize):
		return fmt.Errorf("%w: it has not been started: restart the machine (an emulator: tpm2_startup -c): %w", ErrUnavailable, err)
	case rc.Is(tpm2.TPMRCFailure):
		return fmt.Errorf("%w: switch the machine off and on again: %w", ErrBroken, err)
	case rc == blockedByWindows:
		return fmt.Errorf("%w: Windows keeps this command from you: run this as an administrator: %w", ErrUnavailable, err)
	}
	return err
}

// blockedByWindows is TPM_E_COMMAND_BLOCKED of TPM Base Services.
const blockedByWindows = tpm2.TPMRC(0x80280400)

// isRC says whether err is, or wraps, one of the response codes, whatever
// handle or parameter they point at.
func isRC(err error, codes ...tpm2.TPMRC) bool {
	for _, rc := range codes {
		if errors.Is(err, rc) {
			return true
		}
	}
	return false
}
