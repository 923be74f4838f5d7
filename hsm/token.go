package hsm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
)

const (
	defaultSessions = 8
	maxSessions     = 256
	defaultQueue    = 1024
	maxQueue        = 1 << 20

	// Sizes of the fields of CK_TOKEN_INFO, in bytes.
	maxSerial       = 16
	maxManufacturer = 32
	maxModel        = 16
)

// A Config names a token and says how to use it.
type Config struct {
	Module       string       // absolute path of the PKCS#11 library; may be empty for Module.Token
	TokenLabel   string       // 1 to 32 printable ASCII bytes
	Serial       string       // optional; needed if two tokens share the label
	Manufacturer string       // optional; the token must say the same
	Model        string       // optional; the token must say the same
	PIN          PIN          // the user's PIN; the Token keeps its own copy until closed
	Sessions     int          // calls at a time, 1 to 256; 0 is 8
	Queue        int          // calls that may wait for a session, 1 to 2^20; 0 is 1024; more are ErrBusy
	Logger       *slog.Logger // nil is silence
	// Absent names attributes ("CKA_COPYABLE") that this token may lack: they
	// are not asked for, and a key without them passes its audit. One that is
	// there must be right all the same. Most attributes can't be done without
	// and are refused here; see Probe for what a token needs.
	Absent []string
}

func (c Config) check() error {
	if err := checkTokenLabel(c.TokenLabel); err != nil {
		return err
	}
	if c.PIN.IsZero() {
		return fmt.Errorf("%w: no PIN for token %q", ErrInput, c.TokenLabel)
	}
	if c.Sessions < 0 || c.Sessions > maxSessions {
		return fmt.Errorf("%w: %d sessions; at most %d", ErrInput, c.Sessions, maxSessions)
	}
	if c.Queue < 0 || c.Queue > maxQueue {
		return fmt.Errorf("%w: a queue of %d; at most %d", ErrInput, c.Queue, maxQueue)
	}
	_, err := parseAbsent(c.Absent)
	return err
}

// A Token is a token that was found, unlocked and is held open by a fixed
// number of read-only sessions. Each session serves one call at a time; calls
// beyond that wait, as long as their context lets them. Safe for concurrent
// use.
type Token struct {
	mod    *Module
	api    *meter // the module, as this Token calls it
	id     string
	info   TokenInfo
	match  TokenInfo // what finds it again: info, but for the firmware
	pin    PIN
	log    *slog.Logger
	absent absences
	own    bool // the Module was opened by Open and is closed with the Token

	queue    *queue
	sessions []*session
	open     atomic.Int64  // sessions that are open
	done     chan struct{} // closed by shut
	once     sync.Once
	closeErr error

	generating chan struct{} // holds one value while a key is made

	// world is held for reading around every use of a session and for writing
	// while sessions are replaced. Without it a session that another goroutine
	// still believes in could share its number with a new one, and two
	// goroutines in one session crash some modules. Nobody waits for it in
	// Lock or RLock but shut: see enter and lockWithin.
	world  sync.RWMutex
	epoch  atomic.Uint64 // counts how often sessions were replaced
	losing sync.Mutex    // held where an outage begins
	outage atomic.Pointer[outage]
	healed time.Time // flaps and healed belong to the goroutine that heals
	flaps  int

	knownMu sync.Mutex
	known   map[string]*object // keys that were loaded, by CKA_ID

	waits              waitMeter
	heals, failedHeals atomic.Uint64
}

// A session belongs to whoever took it out of the pool. h is guarded by
// Token.world.
type session struct{ h pkcs11.SessionHandle }

// Open opens the library cfg.Module for this one token; Close unloads it. For
// several tokens of one library use OpenModule and Module.Token.
func Open(ctx context.Context, cfg Config) (*Token, error) {
	m, err := OpenModule(cfg.Module)
	if err != nil {
		return nil, err
	}
	t, err := m.Token(ctx, cfg)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	t.own = true
	return t, nil
}

func newToken(ctx context.Context, m *Module, cfg Config, slot uint, info pkcs11.TokenInfo) (*Token, error) {
	n := cmp.Or(cfg.Sessions, defaultSessions)
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	absent, err := parseAbsent(cfg.Absent)
	if err != nil {
		return nil, err
	}
	t := &Token{
		mod:        m,
		api:        newMeter(m.ctx),
		absent:     absent,
		id:         tokenID(info),
		info:       publicInfo(info),
		pin:        cfg.PIN.clone(),
		log:        log.With("token", info.Label),
		known:      make(map[string]*object),
		done:       make(chan struct{}),
		generating: make(chan struct{}, 1),
	}
	t.match = t.info
	t.match.Firmware = "" // may be updated under a running program
	for range n {
		t.sessions = append(t.sessions, new(session))
	}
	t.queue = newQueue(t.sessions, cmp.Or(cfg.Queue, defaultQueue))
	err = t.openSessions(slot)
	if errors.Is(err, errDoubt) {
		t.closeSessions()
		t.log.Warn("a login had no clear answer; once more", "in", doubtPause, "err", err)
		if err = sleep(ctx, doubtPause); err == nil {
			err = t.openSessions(slot)
		}
	}
	if err != nil {
		t.closeSessions()
		t.pin.Destroy()
		return nil, err
	}
	t.log.Info("token open", "serial", t.info.Serial, "model", t.info.Model, "sessions", n)
	return t, nil
}

// Info says which token this is.
func (t *Token) Info() TokenInfo { return t.info }

// Close waits for the calls in flight, logs out and closes all sessions.
// Calls that wait for a session, and all later ones, end with ErrUnavailable.
// A second Close returns what the first one did.
func (t *Token) Close() error {
	err := t.shut()
	t.mod.forget(t)
	if t.own {
		err = errors.Join(err, t.mod.Close())
	}
	return err
}

func (t *Token) shut() error {
	t.once.Do(func() {
		close(t.done)
		t.queue.close()
		t.world.Lock()
		defer t.world.Unlock()
		for _, s := range t.sessions {
			if s.h != 0 {
				t.closeErr = called("C_Logout", t.api.Logout(s.h))
				break
			}
		}
		t.closeErr = errors.Join(t.closeErr, t.closeSessions())
		t.pin.Destroy()
	})
	return t.closeErr
}

// openSessions fills all sessions and logs in; the caller has the world to
// himself. Every number is taken afresh from slot.
func (t *Token) openSessions(slot uint) error {
	for _, s := range t.sessions {
		h, err := t.api.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
		if err != nil {
			return called("C_OpenSession", err)
		}
		s.h = h
		t.open.Add(1)
	}
	return t.login(slot, t.sessions[0].h)
}

// closeSessions forgets every session, whatever the module says to it.
func (t *Token) closeSessions() error {
	var errs []error
	for _, s := range t.sessions {
		if s.h != 0 {
			errs = append(errs, called("C_CloseSession", t.api.CloseSession(s.h)))
			s.h = 0
			t.open.Add(-1)
		}
	}
	return errors.Join(errs...)
}
