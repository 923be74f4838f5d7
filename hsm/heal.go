package hsm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
)

// errLost: the sessions are gone and could not be replaced so far.
var errLost = fmt.Errorf("%w: sessions lost", ErrUnavailable)

const (
	// healWait is how long a call waits for the first attempt to replace lost
	// sessions. Most losses are over by then and no caller sees them.
	healWait = time.Second
	// healPause follows the first attempt that failed, and each further pause
	// is twice as long, up to maxHealPause.
	healPause    = 500 * time.Millisecond
	maxHealPause = 8 * time.Second
	// drainWait is how long an attempt waits for calls inside the module.
	drainWait = 5 * time.Second
	// A reload that disturbs a token which is well is followed by a pause of
	// reloadPause, twice as long after each further one, up to maxReloadPause.
	reloadPause    = time.Second
	maxReloadPause = 30 * time.Second
	// A token that loses its sessions more than maxFlaps times, each within
	// calm of the last, is not healed at once any more.
	maxFlaps = 4
	calm     = 10 * time.Second
	// knownTries bounds how many known keys are looked for to tell whether the
	// token's keys are there.
	knownTries = 16
)

// An outage is the time from the loss of a token's sessions until they are
// replaced.
type outage struct {
	epoch uint64 // that ended
	began time.Time
	cause error

	reloadAt    time.Time // not before, if that disturbs others; belongs to heal
	reloadPause time.Duration

	first  chan struct{} // closed when the first attempt is over
	once   sync.Once
	reason atomic.Pointer[error] // of the last attempt
}

func newOutage(epoch uint64, cause error) *outage {
	return &outage{epoch: epoch, began: time.Now(), cause: cause, reloadPause: reloadPause, first: make(chan struct{})}
}

// over tells those who wait, and those who come, how an attempt ended.
func (o *outage) over(reason error) {
	o.reason.Store(&reason)
	o.once.Do(func() { close(o.first) })
}

// lose begins an outage because of cause, unless there is one or the sessions
// were replaced since epoch seen.
func (t *Token) lose(seen uint64, cause error) {
	if o := t.beginOutage(seen, cause); o != nil {
		t.log.Warn("sessions lost; replacing them", "err", cause)
		go t.heal(o)
	}
}

func (t *Token) beginOutage(seen uint64, cause error) *outage {
	t.losing.Lock()
	defer t.losing.Unlock()
	if t.closed() || t.epoch.Load() != seen || t.outage.Load() != nil {
		return nil
	}
	o := newOutage(seen, cause)
	t.outage.Store(o)
	return o
}

// endOutage lets calls through again.
func (t *Token) endOutage(o *outage) {
	t.outage.Store(nil)
	o.over(nil)
}

// ready returns at once if the token is well. In an outage it waits for the
// first attempt to end it, no longer than healWait, and fails at once after
// that.
func (t *Token) ready(ctx context.Context) error {
	for {
		if t.closed() {
			return errClosed()
		}
		o := t.outage.Load()
		if o == nil {
			return nil
		}
		if err := o.wait(ctx, t.done); err != nil {
			return err
		}
		if t.outage.Load() == o {
			return *o.reason.Load()
		}
	}
}

// wait returns nil when the first attempt is over.
func (o *outage) wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-o.first:
		return nil
	default:
	}
	timer := time.NewTimer(healWait - time.Since(o.began))
	defer timer.Stop()
	select {
	case <-o.first:
		return nil
	case <-timer.C:
		return fmt.Errorf("%w: %w", errLost, o.cause)
	case <-done:
		return errClosed()
	case <-ctx.Done():
		return fmt.Errorf("hsm: waiting for lost sessions: %w", ctx.Err())
	}
}

// heal tries to end the outage until it succeeds, the token is closed, or the
// token has refused a login: that is never tried twice.
func (t *Token) heal(o *outage) {
	if pause := t.flap(); pause > 0 {
		o.giveUp(o.cause)
		t.pause(pause)
	}
	for pause := healPause; !t.closed(); pause = min(2*pause, maxHealPause) {
		err := t.attempt(o)
		if err == nil {
			t.heals.Add(1)
			t.healed = time.Now()
			t.log.Info("sessions replaced", "after", time.Since(o.began))
			t.endOutage(o)
			return
		}
		t.failedHeals.Add(1)
		o.giveUp(err)
		t.log.Error("token unavailable", "err", err)
		if t.mod.isLatched(t.id) {
			return
		}
		t.pause(pause)
	}
	o.giveUp(errClosed())
}

// giveUp is over for an attempt that failed.
func (o *outage) giveUp(err error) {
	if !errors.Is(err, ErrUnavailable) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	o.over(err)
}

// flap counts losses that follow each other closely and tells how long to
// pause before the next attempt: a token that opens sessions and then fails
// every call must not be logged in to in a loop.
func (t *Token) flap() time.Duration {
	if time.Since(t.healed) > calm {
		t.flaps = 0
	}
	t.flaps++
	if t.flaps <= maxFlaps {
		return 0
	}
	return min(healPause<<min(t.flaps-maxFlaps-1, 8), maxHealPause)
}

// pause sleeps, but not longer than the Token is open.
func (t *Token) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.done:
	}
}

// attempt replaces the sessions and, if that does not help, reloads the
// module: a token that was away is seen again by some modules only then. A
// refused PIN is nothing that a reload cures, and a login without a clear
// answer nothing to log in all other tokens for.
func (t *Token) attempt(o *outage) error {
	err := t.replace(o)
	if err == nil || errors.Is(err, ErrPIN) || errors.Is(err, errDoubt) {
		return err
	}
	if rerr := t.mod.reload(t, o); rerr != nil {
		if rerr == errNotYet {
			return err
		}
		return rerr
	}
	return nil
}

// replace puts new sessions in the place of the old ones, unless a reload for
// another token's sake did so.
func (t *Token) replace(o *outage) error {
	if !lockWithin(&t.world, drainWait) {
		return errStuck
	}
	defer t.world.Unlock()
	if t.closed() {
		return errClosed()
	}
	if t.epoch.Load() != o.epoch {
		return nil
	}
	return t.reopen()
}

// reopen replaces all sessions, logs in again and begins a new epoch; the
// caller has the world to himself. All sessions: closing the last one of a
// token logs out, and a module that restarted may have given a dead session's
// number to a live one. If it fails there is no session.
func (t *Token) reopen() error {
	t.closeSessions()
	slot, _, err := t.mod.find(t.match)
	if err != nil {
		return err
	}
	if err := t.openSessions(slot); err != nil {
		t.closeSessions()
		return err
	}
	// Modules open sessions on a token that is gone, and log in to it.
	if err := t.present(t.sessions[0].h); err != nil {
		t.closeSessions()
		return err
	}
	t.epoch.Add(1)
	return nil
}

// remember notes a key that was loaded.
func (t *Token) remember(o *object) {
	t.knownMu.Lock()
	defer t.knownMu.Unlock()
	t.known[string(o.id)] = o
}

// present looks for the keys that were loaded and returns nil if it finds one,
// or if none was loaded yet.
func (t *Token) present(s pkcs11.SessionHandle) error {
	some := t.someKnown()
	for _, o := range some {
		found, err := t.find(s, attr(pkcs11.CKA_CLASS, o.class), attr(pkcs11.CKA_ID, o.id), attr(pkcs11.CKA_LABEL, o.label))
		if err != nil || len(found) > 0 {
			return err
		}
	}
	if len(some) == 0 {
		return nil
	}
	return fmt.Errorf("%w: none of the keys that were loaded from token %q is on it", ErrKeyNotFound, t.info.Label)
}

// search is find for questions to which nothing may be the right answer: it is
// believed only of a token whose keys are there.
func (t *Token) search(s pkcs11.SessionHandle, match ...*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	found, err := t.find(s, match...)
	if err == nil && len(found) == 0 {
		err = t.present(s)
	}
	return found, err
}

// someKnown returns up to knownTries of the keys that were loaded, any.
func (t *Token) someKnown() []*object {
	t.knownMu.Lock()
	defer t.knownMu.Unlock()
	var some []*object
	for _, o := range t.known {
		if some = append(some, o); len(some) == knownTries {
			break
		}
	}
	return some
}

// lockWithin takes the lock within d, or not at all.
func lockWithin(mu *sync.RWMutex, d time.Duration) bool {
	for end := time.Now().Add(d); !mu.TryLock(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
