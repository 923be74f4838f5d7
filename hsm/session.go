package hsm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/pkcs11"
)

// errLost: the sessions are gone and could not be replaced so far.
var errLost = fmt.Errorf("%w: sessions lost", ErrUnavailable)

const (
	retryPause = 20 * time.Millisecond // before a call of class retry is repeated
	healPause  = time.Second           // between attempts to replace lost sessions
)

// do runs op with a session of its own. op must be safe to repeat: it runs a
// second time after a passing failure, or after lost sessions were replaced.
// What still fails then is ErrUnavailable.
func (t *Token) do(ctx context.Context, op func(pkcs11.SessionHandle) error) error {
	s, err := t.checkout(ctx)
	if err != nil {
		return err
	}
	defer func() { t.pool <- s }()

	seen, err := t.run(s, op)
	switch {
	case isClass(err, ClassRetry):
		t.log.Warn("token call failed; once more", "err", err)
		if err := sleep(ctx, retryPause); err != nil {
			return err
		}
		_, err = t.run(s, op)
	case errors.Is(err, errLost), isClass(err, ClassReopen):
		if herr := t.heal(seen, err); herr != nil {
			return fmt.Errorf("%w (after %w)", herr, err)
		}
		_, err = t.run(s, op)
	}
	return err
}

// run calls op once and tells under which epoch.
func (t *Token) run(s *session, op func(pkcs11.SessionHandle) error) (uint64, error) {
	t.world.RLock()
	defer t.world.RUnlock()
	if t.closed() {
		return 0, errClosed()
	}
	epoch := t.epoch.Load()
	if t.lost {
		return epoch, errLost
	}
	return epoch, op(s.h)
}

func (t *Token) checkout(ctx context.Context) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("hsm: %w", err)
	}
	select {
	case s := <-t.pool:
		return s, nil
	default:
	}
	select {
	case s := <-t.pool:
		return s, nil
	case <-t.done:
		return nil, errClosed()
	case <-ctx.Done():
		return nil, fmt.Errorf("hsm: waiting for a session: %w", ctx.Err())
	}
}

func (t *Token) closed() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

func errClosed() error { return fmt.Errorf("%w: token closed", ErrUnavailable) }

// heal replaces all sessions and logs in again, because of cause, unless
// somebody did so since epoch seen. All of them: closing the last session of a token logs out, and
// a module that restarted may have given a dead session's number to a live
// one.
func (t *Token) heal(seen uint64, cause error) error {
	t.world.Lock()
	defer t.world.Unlock()
	switch {
	case t.closed():
		return errClosed()
	case t.epoch.Load() != seen:
		return nil
	case time.Since(t.lastHeal) < healPause:
		return errLost
	}
	t.log.Warn("sessions lost; replacing them", "err", cause)
	err := t.reopen()
	if err != nil {
		t.closeSessions()
		t.lost, t.lastHeal = true, time.Now()
		t.log.Error("token unavailable", "err", err)
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	t.lost = false
	t.epoch.Add(1)
	t.log.Info("sessions replaced")
	return nil
}

func (t *Token) reopen() error {
	t.closeSessions()
	slot, _, err := t.mod.findToken(t.info.Label, t.info.Serial)
	if err != nil {
		return err
	}
	return t.openSessions(slot)
}

// withTemporary runs op, once, in a session of its own that is closed
// afterwards.
func (t *Token) withTemporary(flags uint, op func(pkcs11.SessionHandle) error) error {
	t.world.RLock()
	defer t.world.RUnlock()
	if t.closed() {
		return errClosed()
	}
	if t.lost {
		return errLost
	}
	slot, _, err := t.mod.findToken(t.info.Label, t.info.Serial)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	h, err := t.mod.ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|flags)
	if err != nil {
		return called("C_OpenSession", err)
	}
	defer t.mod.ctx.CloseSession(h)
	return op(h)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("hsm: %w", ctx.Err())
	}
}
