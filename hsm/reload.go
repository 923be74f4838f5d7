package hsm

import (
	"errors"
	"fmt"
	"time"
)

var (
	// errStuck: calls inside the module did not come back in time.
	errStuck = fmt.Errorf("%w: calls inside the module do not return", ErrUnavailable)
	// errNotYet: a reload would disturb tokens that are well, and one for this
	// outage's sake did so a short time ago.
	errNotYet = fmt.Errorf("%w: the module was reloaded a moment ago", ErrUnavailable)
)

// reload finalises and initialises the library for the sake of t, and gives
// every Token of it new sessions. The others are out for as long as it takes;
// one that does not come back heals by itself from there. It returns what
// became of t.
func (m *Module) reload(t *Token, o *outage) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || t.closed() {
		return errClosed()
	}
	if t.epoch.Load() != o.epoch {
		return nil // a reload for another token's sake
	}
	if m.othersAreWell(t) {
		if time.Now().Before(o.reloadAt) {
			return errNotYet
		}
		o.reloadAt = time.Now().Add(o.reloadPause)
		o.reloadPause = min(2*o.reloadPause, maxReloadPause)
	}
	t.log.Warn("reloading the PKCS#11 module", "module", m.path)
	guests := m.interrupt(t)
	result, err := m.restart()
	if err != nil {
		t.log.Error("reload failed", "module", m.path, "err", err)
	}
	for g, guest := range guests {
		if errors.Is(err, errStuck) || err == nil && result[g] == nil {
			g.endOutage(guest) // nothing was done to it, or all is well again
		} else {
			go g.heal(guest)
		}
	}
	if err != nil {
		return err
	}
	return result[t]
}

func (m *Module) othersAreWell(t *Token) bool {
	for _, other := range m.tokens {
		if other != t && !other.closed() && other.outage.Load() == nil {
			return true
		}
	}
	return false
}

// interrupt begins an outage of every other Token that is well.
func (m *Module) interrupt(t *Token) map[*Token]*outage {
	guests := make(map[*Token]*outage)
	for _, other := range m.tokens {
		if other == t {
			continue
		}
		if o := other.beginOutage(other.epoch.Load(), fmt.Errorf("%w: module reloads for token %q", ErrUnavailable, t.info.Label)); o != nil {
			guests[other] = o
		}
	}
	return guests
}

// restart does the reload when no call is inside the module, and tells for
// each Token why it has no sessions, or nil.
func (m *Module) restart() (map[*Token]error, error) {
	for _, t := range m.tokens {
		if !lockWithin(&t.world, drainWait) {
			return nil, errStuck
		}
		defer t.world.Unlock()
	}
	for _, t := range m.tokens {
		t.closeSessions()
	}
	m.reloads.Add(1)
	finalErr := called("C_Finalize", m.ctx.Finalize())
	if err := called("C_Initialize", m.ctx.Initialize()); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrUnavailable, err), finalErr)
	}
	result := make(map[*Token]error)
	for _, t := range m.tokens {
		result[t] = errClosed()
		if !t.closed() {
			result[t] = t.reopen()
		}
	}
	return result, nil
}
