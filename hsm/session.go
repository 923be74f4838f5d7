package hsm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/pkcs11"
)

const retryPause = 20 * time.Millisecond // before a call of class retry is repeated

// do runs op with a session of its own. op must be safe to repeat: it runs a
// second time after a passing failure, or after lost sessions were replaced.
// What still fails then is ErrUnavailable.
//
// A call into the module can't be interrupted, so when ctx ends first, do
// returns and op goes on behind it, with its session, until the module
// answers. op therefore owns what it reads and writes: it reads copies, and
// what it leaves in the caller's variables is looked at only after do returned
// nil.
func (t *Token) do(ctx context.Context, op func(pkcs11.SessionHandle) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("hsm: %w", err)
	}
	if err := t.ready(ctx); err != nil {
		return err
	}
	began := time.Now()
	s, err := t.queue.take(ctx)
	t.waits.observe(time.Since(began))
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		err := t.persist(ctx, s, op)
		t.queue.put(s)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("hsm: waiting for the token: %w", ctx.Err())
	}
}

// persist runs op, and once more if that may help.
func (t *Token) persist(ctx context.Context, s *session, op func(pkcs11.SessionHandle) error) error {
	seen, err := t.run(ctx, s, op)
	switch {
	case isClass(err, ClassRetry):
		t.log.Warn("token call failed; once more", "err", err)
		if err := sleep(ctx, retryPause); err != nil {
			return err
		}
	case t.isLoss(ctx, s, err):
		t.lose(seen, err)
		if herr := t.ready(ctx); herr != nil {
			return fmt.Errorf("%w (after %w)", herr, err)
		}
	default:
		return err
	}
	seen, err = t.run(ctx, s, op)
	if t.isLoss(ctx, s, err) {
		t.lose(seen, err)
	}
	return err
}

// isLoss tells whether err means that sessions, login or handles are gone. A
// key that is not found is such an error if no other key is found either: a
// module whose token vanished answers every search with nothing.
func (t *Token) isLoss(ctx context.Context, s *session, err error) bool {
	if errors.Is(err, errLost) || isClass(err, ClassReopen) {
		return true
	}
	if !errors.Is(err, ErrKeyNotFound) {
		return false
	}
	_, err = t.run(ctx, s, t.present)
	return errors.Is(err, ErrKeyNotFound) || isClass(err, ClassReopen)
}

// run calls op once and tells under which epoch.
func (t *Token) run(ctx context.Context, s *session, op func(pkcs11.SessionHandle) error) (uint64, error) {
	if err := t.enter(ctx); err != nil {
		return 0, err
	}
	defer t.world.RUnlock()
	epoch := t.epoch.Load()
	if s.h == 0 {
		return epoch, errLost
	}
	return epoch, op(s.h)
}

// enter takes the world for reading, for no longer than ctx and ready allow:
// whoever replaces sessions may be stuck in the module.
func (t *Token) enter(ctx context.Context) error {
	for {
		if err := t.ready(ctx); err != nil {
			return err
		}
		if t.world.TryRLock() {
			return nil
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// withTemporary runs op, once, in a session of its own that is closed
// afterwards.
func (t *Token) withTemporary(flags uint, op func(pkcs11.SessionHandle) error) error {
	if err := t.enter(context.Background()); err != nil {
		return err
	}
	defer t.world.RUnlock()
	slot, _, err := t.mod.find(t.match)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	h, err := t.api.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|flags)
	if err != nil {
		return called("C_OpenSession", err)
	}
	defer t.api.CloseSession(h)
	return op(h)
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
