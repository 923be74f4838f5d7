package hsm_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
)

// A patient is a token with a key on it and a signature to recognise it by.
type patient struct {
	tok    *hsm.Token
	key    *hsm.RSAKey
	cfg    hsm.Config
	sig, m []byte
}

func newPatient(t *testing.T, change ...func(*hsm.Config)) *patient {
	t.Helper()
	cfg := newConfig(t)
	for _, f := range change {
		f(&cfg)
	}
	p := &patient{cfg: cfg, tok: openToken(t, cfg)}
	p.key = newRSA(t, p.tok, "k")
	p.sig, p.m = known(t, p.key)
	return p
}

// signs is one call and what became of it.
func (p *patient) signs(ctx context.Context) error {
	got, err := p.key.BlindSign(ctx, p.m)
	if err == nil && !bytes.Equal(got, p.sig) {
		return errors.New("another signature")
	}
	return err
}

// calls returns how often the token's module was called so.
func (p *patient) calls(name string) uint64 {
	for _, c := range p.tok.Stats().Calls {
		if c.Call == name {
			return c.Count
		}
	}
	return 0
}

// recovers waits until the token signs again by itself.
func (p *patient) recovers(t *testing.T, within time.Duration) {
	t.Helper()
	var err error
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = p.signs(t.Context()); err == nil {
			return
		}
		if !errors.Is(err, hsm.ErrUnavailable) {
			break
		}
	}
	t.Fatalf("the token did not heal: %v", err)
}

// failsFast asks for a signature in an outage: ErrUnavailable, and at once.
func (p *patient) failsFast(t *testing.T) {
	t.Helper()
	began := time.Now()
	if err := p.signs(t.Context()); !errors.Is(err, hsm.ErrUnavailable) {
		t.Fatalf("in an outage: got %v, want ErrUnavailable", err)
	}
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Fatalf("to fail took %v", took)
	}
}

// failing fails the named calls with code until it is told to stop.
func failing(t *testing.T, code uint, calls ...string) (stop func(), count *atomic.Int64) {
	t.Helper()
	count = new(atomic.Int64)
	fault.intercept(t, func(call string, _ []byte) error {
		for _, c := range calls {
			if c == call {
				count.Add(1)
				return pkcs11.Error(code)
			}
		}
		return nil
	})
	return fault.calm, count
}

// A session that is lost is replaced before the caller hears of it, with one
// login, and the key is audited before it signs again.
func TestALossInTheMiddleOfACallIsHealedWithinIt(t *testing.T) {
	cases := []struct {
		name string
		code uint
		call string
	}{
		{"the token was pulled and put back", pkcs11.CKR_DEVICE_REMOVED, "C_Sign"},
		{"the session is another's", pkcs11.CKR_SESSION_HANDLE_INVALID, "C_Sign"},
		{"the session was closed", pkcs11.CKR_SESSION_CLOSED, "C_SignInit"},
		{"the token was not there for a moment", pkcs11.CKR_TOKEN_NOT_PRESENT, "C_SignInit"},
		{"the handle is dead", pkcs11.CKR_KEY_HANDLE_INVALID, "C_SignInit"},
		{"somebody logged out", pkcs11.CKR_USER_NOT_LOGGED_IN, "C_SignInit"},
		{"the library was finalised", pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, "C_SignInit"},
		{"an operation was left behind in the session", pkcs11.CKR_OPERATION_ACTIVE, "C_SignInit"},
		{"an operation was lost with its session", pkcs11.CKR_OPERATION_NOT_INITIALIZED, "C_Sign"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := newPatient(t)
			logins, audits := p.calls("C_Login"), p.calls("C_GetAttributeValue")
			var once atomic.Bool
			fault.intercept(t, func(call string, _ []byte) error {
				if call == c.call && once.CompareAndSwap(false, true) {
					return pkcs11.Error(c.code)
				}
				return nil
			})
			if err := p.signs(t.Context()); err != nil {
				t.Fatal(err)
			}
			s := p.tok.Stats()
			if got := p.calls("C_Login") - logins; got != 1 || s.Heals != 1 || s.FailedHeals != 0 || s.Reloads != module.Reloads() {
				t.Errorf("%d logins, %d heals, %d failed", got, s.Heals, s.FailedHeals)
			}
			if p.calls("C_GetAttributeValue") == audits {
				t.Error("the key was not audited when it was found again")
			}
			if s.Errors[0].Call != c.call || s.Errors[0].Code != c.code || s.Errors[0].Count != 1 {
				t.Errorf("errors counted: %+v", s.Errors)
			}
		})
	}
}

// While the sessions can't be replaced, calls fail and don't pile up; then the
// token heals although nobody restarts anything.
func TestAnOutageFailsFastAndHeals(t *testing.T) {
	cases := []struct {
		name  string
		code  uint
		calls []string
	}{
		{"the token is pulled", pkcs11.CKR_DEVICE_REMOVED, []string{"C_Sign", "C_OpenSession"}},
		{"the token has no session left for us", pkcs11.CKR_SESSION_COUNT, []string{"C_OpenSession"}},
		{"the library does not come up", pkcs11.CKR_DEVICE_ERROR, []string{"C_OpenSession", "C_Initialize"}},
		{"the token does not come to look at the PIN", pkcs11.CKR_DEVICE_ERROR, []string{"C_Login"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := newPatient(t)
			neighbour := newPatient(t)
			stop, _ := failing(t, c.code, c.calls...)
			if err := p.tok.LoseSessions(fault.raw); err != nil {
				t.Fatal(err)
			}
			if err := p.signs(t.Context()); !errors.Is(err, hsm.ErrUnavailable) {
				t.Fatalf("got %v, want ErrUnavailable", err)
			}
			for range 20 {
				p.failsFast(t)
			}
			if _, err := p.tok.GenerateAES(t.Context(), "meanwhile"); !errors.Is(err, hsm.ErrUnavailable) {
				t.Errorf("GenerateAES: got %v, want ErrUnavailable", err)
			}
			if s := p.tok.Stats(); s.Available || s.FailedHeals == 0 || s.Sessions.Open != 0 {
				t.Errorf("in the outage: %+v", s)
			}
			stop()
			p.recovers(t, 5*time.Second)
			if s := p.tok.Stats(); !s.Available || s.Heals != 1 || s.Sessions.Open != 8 {
				t.Errorf("after it: %+v", s)
			}
			neighbour.recovers(t, 5*time.Second)
			for _, someone := range []*patient{p, neighbour} {
				if err := someone.key.Audit(t.Context()); err != nil {
					t.Error(err)
				}
				if n := someone.calls("C_Login"); n != 2 && c.calls[0] != "C_Login" {
					t.Errorf("%d logins, one of them the first", n)
				}
			}
		})
	}
}

// A token that opens sessions, takes the PIN and then fails every call is not
// logged in to in a loop.
func TestAFlappingTokenIsLeftAlone(t *testing.T) {
	p := newPatient(t)
	before := p.calls("C_Login")
	stop, _ := failing(t, pkcs11.CKR_DEVICE_REMOVED, "C_Sign")
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if err := p.signs(t.Context()); !errors.Is(err, hsm.ErrUnavailable) {
			t.Fatalf("got %v, want ErrUnavailable", err)
		}
	}
	if logins := p.calls("C_Login") - before; logins < 2 || logins > 8 {
		t.Errorf("%d logins within 1.5 s", logins)
	}
	stop()
	p.recovers(t, 10*time.Second)
}

// What the token says of its PIN is read before every login, also of those
// that heal: no try is spent on it while one is left, and when the operator
// has made that right, the token heals.
func TestHealingDoesNotTouchAPINThatIsNearItsEnd(t *testing.T) {
	for name, flag := range map[string]uint{"locked": pkcs11.CKF_USER_PIN_LOCKED, "one try left": pkcs11.CKF_USER_PIN_FINAL_TRY} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			fault.set(t, func() {
				fault.tokenInfo = func(i pkcs11.TokenInfo) pkcs11.TokenInfo { i.Flags |= flag; return i }
			})
			before := p.calls("C_Login")
			if err := p.tok.LoseSessions(fault.raw); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := p.signs(t.Context()); !errors.Is(err, hsm.ErrUnavailable) || !errors.Is(err, hsm.ErrPIN) {
					t.Fatalf("got %v, want ErrUnavailable and ErrPIN", err)
				}
				hsm.WaitHeal()
			}
			if s := p.tok.Stats(); p.calls("C_Login") != before || s.Reloads != module.Reloads() || s.FailedHeals < 2 {
				t.Errorf("%d logins, %+v", p.calls("C_Login")-before, s)
			}
			fault.set(t, func() { fault.tokenInfo = nil })
			p.recovers(t, 8*time.Second)
		})
	}
}

// A refused login is the last one, whatever words the token has for it.
func TestHealingNeverTriesARefusedPINAgain(t *testing.T) {
	for name, code := range map[string]uint{
		"wrong": pkcs11.CKR_PIN_INCORRECT, "locked": pkcs11.CKR_PIN_LOCKED, "a vendor's own code": 0x80000123,
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			if err := p.tok.LoseSessions(fault.raw); err != nil {
				t.Fatal(err)
			}
			stop, tries := failing(t, code, "C_Login")
			for range 2 {
				if err := p.signs(t.Context()); !errors.Is(err, hsm.ErrUnavailable) || !errors.Is(err, hsm.ErrPIN) {
					t.Fatalf("got %v, want ErrUnavailable and ErrPIN", err)
				}
				hsm.WaitHeal()
			}
			before := p.calls("C_Login")
			stop()
			p.failsFast(t)
			if n := tries.Load(); n != 1 || p.calls("C_Login") != before {
				t.Errorf("C_Login was called %d times, want once", n)
			}
		})
	}
}

// A call that hangs in the module keeps its caller no longer than his context,
// and reads nothing of his afterwards.
func TestAHangingTokenKeepsNobodyBeyondHisContext(t *testing.T) {
	p := newPatient(t, func(c *hsm.Config) { c.Sessions = 1 })
	held, release := make(chan struct{}), make(chan struct{})
	intact := make(chan bool, 1)
	var once sync.Once
	want := bytes.Clone(p.m)
	fault.intercept(t, func(call string, data []byte) error {
		if call == "C_Sign" {
			once.Do(func() { close(held); <-release; intact <- bytes.Equal(data, want) })
		}
		return nil
	})
	mine := bytes.Clone(p.m)
	for _, m := range [][]byte{mine, p.m} { // in the module; in the queue
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		began := time.Now()
		_, err := p.key.BlindSign(ctx, m)
		cancel()
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > time.Second {
			t.Errorf("got %v after %v, want DeadlineExceeded", err, took)
		}
		<-held
		clear(mine)
	}
	if s := p.tok.Stats().Sessions; s.Busy != 1 || s.Waiting != 0 {
		t.Errorf("sessions %+v", s)
	}
	close(release)
	if !<-intact {
		t.Error("the module was given the caller's own bytes")
	}
	if err := p.signs(t.Context()); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// One call hangs, another loses its session: the sessions can't be replaced
// before the first returns, and nobody waits for that.
func TestAnOutageBehindAHangingCallFailsFast(t *testing.T) {
	p := newPatient(t, func(c *hsm.Config) { c.Sessions = 2 })
	held, release := make(chan struct{}), make(chan struct{})
	var count atomic.Int64
	fault.intercept(t, func(call string, _ []byte) error {
		if call != "C_Sign" {
			return nil
		}
		switch count.Add(1) {
		case 1:
			close(held)
			<-release
		case 2:
			return pkcs11.Error(pkcs11.CKR_SESSION_HANDLE_INVALID)
		}
		return nil
	})
	first := make(chan error, 1)
	go func() { first <- p.signs(context.WithoutCancel(t.Context())) }()
	<-held
	began := time.Now()
	if err := p.signs(t.Context()); !errors.Is(err, hsm.ErrUnavailable) || time.Since(began) > 3*time.Second {
		t.Errorf("got %v after %v, want ErrUnavailable", err, time.Since(began))
	}
	p.failsFast(t)
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the call that hung: %v", err)
	}
	p.recovers(t, 5*time.Second)
}

func TestCloseEndsAnOutage(t *testing.T) {
	cfg := newConfig(t)
	tok, err := module.Token(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	key := newRSA(t, tok, "k")
	failing(t, pkcs11.CKR_DEVICE_REMOVED, "C_OpenSession", "C_Sign")
	if err := key.Check(t.Context()); !errors.Is(err, hsm.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	began := time.Now()
	if err := tok.Close(); err != nil || time.Since(began) > time.Second {
		t.Errorf("Close: %v after %v", err, time.Since(began))
	}
	if err := key.Check(t.Context()); !errors.Is(err, hsm.ErrUnavailable) {
		t.Errorf("after Close: got %v, want ErrUnavailable", err)
	}
	if tok.Stats().Available {
		t.Error("a closed token is available")
	}
}

// tokenDirectory is where SoftHSM keeps that token.
func tokenDirectory(t *testing.T, cfg hsm.Config) string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(store.Tokens, "*"+cfg.Serial[len(cfg.Serial)-12:]))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("token directories %v, %v", dirs, err)
	}
	return dirs[0]
}

// The token's directory is moved away under many callers, as when a network
// volume is lost, and put back: SoftHSM sees it again only when it is
// initialised anew. A second token of the module stays in service.
func TestATokenThatIsTakenAwayAndPutBack(t *testing.T) {
	p, neighbour := newPatient(t), newPatient(t)
	dir := tokenDirectory(t, p.cfg)
	away := filepath.Join(filepath.Dir(store.Tokens), "away") // every directory below store.Tokens is a token
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var good, bad atomic.Int64
	for _, someone := range []*patient{p, p, p, neighbour} {
		wg.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				err := someone.signs(context.WithoutCancel(ctx))
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("a call took %v", took)
				}
				switch {
				case err == nil && someone == p:
					good.Add(1)
				case err == nil:
				case !errors.Is(err, hsm.ErrUnavailable) || someone == neighbour:
					t.Errorf("got %v, want ErrUnavailable of the lost token alone", err)
					return
				default:
					bad.Add(1)
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	for range 2 {
		waitFor(t, "signatures", func() bool { return good.Swap(0) > 0 })
		if err := os.Rename(dir, away); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "outage", func() bool { return !p.tok.Stats().Available && bad.Swap(0) > 0 })
		time.Sleep(700 * time.Millisecond)
		if err := os.Rename(away, dir); err != nil {
			t.Fatal(err)
		}
		p.recovers(t, 10*time.Second)
	}
	stop()
	wg.Wait()
	s := p.tok.Stats()
	if s.Heals < 2 || s.Reloads == 0 || s.FailedHeals == 0 {
		t.Errorf("%+v", s)
	}
	for _, someone := range []*patient{p, neighbour} {
		if err := someone.key.Audit(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A token without any of its keys is not well, although it opens sessions and
// takes the PIN; it is when they are back.
func TestATokenWithoutItsKeysIsNotHealed(t *testing.T) {
	p := newPatient(t)
	dir, away := tokenDirectory(t, p.cfg), t.TempDir()
	keys, err := filepath.Glob(filepath.Join(dir, "*-*.object"))
	if err != nil || len(keys) != 2 {
		t.Fatalf("files of keys %v, %v", keys, err)
	}
	move := func(from, to string) {
		for _, name := range keys {
			data, err := os.ReadFile(filepath.Join(from, filepath.Base(name)))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(to, filepath.Base(name)), data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(from, filepath.Base(name))); err != nil {
				t.Fatal(err)
			}
		}
	}
	move(dir, away)
	for range 3 {
		if err := p.signs(t.Context()); !errors.Is(err, hsm.ErrUnavailable) || !errors.Is(err, hsm.ErrKeyNotFound) {
			t.Fatalf("got %v, want ErrUnavailable and ErrKeyNotFound", err)
		}
	}
	if s := p.tok.Stats(); s.Available || s.Heals != 0 || s.FailedHeals == 0 {
		t.Errorf("%+v", s)
	}
	move(away, dir)
	p.recovers(t, 10*time.Second)
}

// Two tokens are lost at the same time: one reload gives both back.
func TestOneReloadServesAllTokensOfTheModule(t *testing.T) {
	p, q := newPatient(t), newPatient(t)
	before := module.Reloads()
	var failed atomic.Int64
	both := make(chan struct{})
	fault.intercept(t, func(call string, _ []byte) error {
		if call != "C_OpenSession" || module.Reloads() != before {
			return nil
		}
		if failed.Add(1) == 2 {
			close(both)
		}
		<-both
		return pkcs11.Error(pkcs11.CKR_DEVICE_REMOVED)
	})
	var wg sync.WaitGroup
	for _, someone := range []*patient{p, q} {
		if err := someone.tok.LoseSessions(fault.raw); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := someone.signs(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, someone := range []*patient{p, q} {
		if s := someone.tok.Stats(); s.Heals != 1 || s.FailedHeals != 0 || s.Reloads != before+1 || someone.calls("C_Login") != 2 {
			t.Errorf("%d logins, %+v", someone.calls("C_Login"), s)
		}
	}
}

// One of two keys is gone from the token, the other is not: that is not the
// token's loss, and the other keeps signing.
func TestAKeyThatIsGoneTakesNoOtherWithIt(t *testing.T) {
	p := newPatient(t)
	files := func() map[string]bool {
		names, err := filepath.Glob(filepath.Join(tokenDirectory(t, p.cfg), "*.object"))
		if err != nil {
			t.Fatal(err)
		}
		set := make(map[string]bool)
		for _, n := range names {
			set[n] = true
		}
		return set
	}
	before := files()
	lost := newRSA(t, p.tok, "lost")
	_, m := known(t, lost)
	for name := range files() {
		if !before[name] {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		if _, err := lost.BlindSign(t.Context(), m); !errors.Is(err, hsm.ErrUnavailable) || !errors.Is(err, hsm.ErrKeyNotFound) {
			t.Errorf("the lost key: got %v, want ErrUnavailable and ErrKeyNotFound", err)
		}
		if err := p.signs(t.Context()); err != nil {
			t.Errorf("the other key: %v", err)
		}
	}
	if s := p.tok.Stats(); s.Reloads != module.Reloads() || s.FailedHeals != 0 {
		t.Errorf("%+v", s)
	}
}

func waitFor(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ready(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}
