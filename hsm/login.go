package hsm

import (
	"errors"
	"fmt"
	"time"

	"github.com/miekg/pkcs11"
)

// doubtPause is how long after a login without a clear answer the one repeat
// of it comes, at the earliest.
const doubtPause = 2 * time.Second

// worsened are the flags that tell of a wrong PIN.
const worsened = pkcs11.CKF_USER_PIN_COUNT_LOW | pkcs11.CKF_USER_PIN_FINAL_TRY | pkcs11.CKF_USER_PIN_LOCKED

// errDoubt: the answer to a login does not say whether the token came to look
// at the PIN.
var errDoubt = errors.New("hsm: no clear answer to a login")

// A doubt is a login without a clear answer, after the last that was right.
type doubt struct {
	flags uint // of the token, before it
	until time.Time
}

// login tries the PIN, once in the life of the Module unless it was right. An
// answer such as CKR_DEVICE_ERROR or CKR_GENERAL_ERROR may be a token's word
// for a wrong PIN: it counts as a try, and is repeated once, later, unless the
// token says meanwhile that its count of tries went down.
func (t *Token) login(slot uint, h pkcs11.SessionHandle) error {
	if t.mod.isLatched(t.id) {
		return fmt.Errorf("%w: a login to token %q failed before; it is not tried again until a restart", ErrPIN, t.info.Label)
	}
	info, err := t.mod.ctx.GetTokenInfo(slot)
	if err != nil {
		return called("C_GetTokenInfo", err)
	}
	before, doubted := t.mod.doubtOf(t.id)
	if doubted {
		if info.Flags&^before.flags&worsened != 0 {
			return t.refused(errors.New("a login had no clear answer, and cost the token a try"))
		}
		if time.Now().Before(before.until) {
			return fmt.Errorf("%w: %w: token %q: it is repeated once, at %s", ErrUnavailable, errDoubt, t.info.Label, before.until.UTC().Format(time.TimeOnly))
		}
	}
	if err := checkPINFlags(info.Flags); err != nil {
		return fmt.Errorf("token %q: %w", t.info.Label, err)
	}
	if info.Flags&pkcs11.CKF_USER_PIN_COUNT_LOW != 0 {
		t.log.Warn("a wrong PIN was tried on this token since the last login")
	}
	err = called("C_Login", t.api.Login(h, pkcs11.CKU_USER, string(t.pin.reveal())))
	switch {
	case err == nil:
		t.mod.settle(t.id)
		return nil
	case hasCode(err, ckrUserAlreadyLoggedIn):
		// The module answers so whatever the PIN: it proves nothing.
		return fmt.Errorf("%w: token %q was logged in by another part of this process, so the PIN can't be checked: %w", ErrPIN, t.info.Label, err)
	case isClass(err, ClassReopen):
		return err // the session or the token is gone: nobody looked at the PIN
	case isClass(err, ClassRetry) && !doubted:
		t.mod.doubt(t.id, doubt{info.Flags, time.Now().Add(doubtPause)})
		return fmt.Errorf("%w: %w", errDoubt, err)
	default:
		// Any other answer may have been a try: vendors have codes of their own.
		return t.refused(err)
	}
}

// refused makes this the last login.
func (t *Token) refused(err error) error {
	t.mod.latch(t.id)
	t.log.Error("login refused; not tried again until a restart", "err", err)
	return fmt.Errorf("%w: token %q: %w", ErrPIN, t.info.Label, err)
}

func (m *Module) doubtOf(id string) (doubt, bool) {
	m.latchMu.Lock()
	defer m.latchMu.Unlock()
	d, ok := m.doubts[id]
	return d, ok
}

func (m *Module) doubt(id string, d doubt) {
	m.latchMu.Lock()
	defer m.latchMu.Unlock()
	m.doubts[id] = d
}

// settle forgets a doubt: the PIN was right.
func (m *Module) settle(id string) {
	m.latchMu.Lock()
	defer m.latchMu.Unlock()
	delete(m.doubts, id)
}

// checkPINFlags reads what the token says about its user PIN before a try is
// spent on it.
func checkPINFlags(flags uint) error {
	switch {
	case flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return fmt.Errorf("%w: locked (CKF_USER_PIN_LOCKED); the security officer must set a new PIN", ErrPIN)
	case flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return fmt.Errorf("%w: one try left (CKF_USER_PIN_FINAL_TRY); log in once with the maker's tool", ErrPIN)
	case flags&pkcs11.CKF_USER_PIN_TO_BE_CHANGED != 0:
		return fmt.Errorf("%w: must be changed first (CKF_USER_PIN_TO_BE_CHANGED)", ErrPIN)
	case flags&pkcs11.CKF_USER_PIN_INITIALIZED == 0:
		return fmt.Errorf("%w: the token has no user PIN", ErrPIN)
	}
	return nil
}
