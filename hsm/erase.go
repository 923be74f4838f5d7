package hsm

import (
	"context"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

// EraseToken initialises the token under label (and serial, if given) once
// more, by C_InitToken, which destroys every object on it; nothing brings
// them back. Afterwards the token has its label, the security officer's PIN
// as before, no object, and a user PIN that nobody knows: it was set to log in
// and see that private objects are gone too. An object that is still there is
// ErrFaulty.
//
// A Token that is open is refused with ErrInput; other processes must have
// closed their sessions, or the token answers CKR_SESSION_EXISTS. The officer's
// PIN is tried once in the life of the Module, as a user's is, and not at all
// if the token says that it is locked or has one try left: ErrPIN. Other
// errors: ErrTokenNotFound, ErrDuplicateLabel, ErrUnavailable, and those of
// tokens that only their maker's tool initialises.
func (m *Module) EraseToken(ctx context.Context, label, serial string, soPIN PIN) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	slot, info, err := m.forOfficer(ctx, label, serial, soPIN)
	if err != nil {
		return err
	}
	err = m.asOfficer(info, func() error {
		return called("C_InitToken", m.ctx.InitToken(slot, string(soPIN.reveal()), info.Label))
	})
	if err != nil {
		return fmt.Errorf("erase token %q: %w", label, err)
	}
	if slot, _, err = m.findToken(label, serial); err != nil {
		return fmt.Errorf("token %q is initialised again, and not found: %w", label, err)
	}
	left, err := m.countObjects(slot, soPIN)
	if err != nil {
		return fmt.Errorf("token %q is initialised again; what is left on it can't be seen: %w", label, err)
	}
	if left != 0 {
		return fmt.Errorf("%w: token %q says that it is initialised again, and holds %d objects", ErrFaulty, label, left)
	}
	return nil
}

// ObjectsLeft counts what is on a token that an earlier EraseToken may have
// erased, so that nobody has to take a note's word for it. Public objects are
// counted without a login, and if there are any that is the answer. If there
// is none, the user's PIN is set to one that nobody knows, as EraseToken
// leaves it, and private objects are counted too. Errors as of EraseToken.
func (m *Module) ObjectsLeft(ctx context.Context, label, serial string, soPIN PIN) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	slot, info, err := m.forOfficer(ctx, label, serial, soPIN)
	if err != nil {
		return 0, err
	}
	n, err := m.countPublic(slot)
	if err != nil || n > 0 {
		return n, err
	}
	err = m.asOfficer(info, func() (err error) {
		n, err = m.countObjects(slot, soPIN)
		return err
	})
	return n, err
}

// forOfficer finds a token that the security officer may work on; the caller
// holds m.mu.
func (m *Module) forOfficer(ctx context.Context, label, serial string, soPIN PIN) (slot uint, info pkcs11.TokenInfo, err error) {
	if err := checkTokenLabel(label); err != nil {
		return 0, info, err
	}
	if soPIN.IsZero() {
		return 0, info, fmt.Errorf("%w: no security officer's PIN for token %q", ErrInput, label)
	}
	if err := ctx.Err(); err != nil {
		return 0, info, fmt.Errorf("hsm: security officer of token %q: %w", label, err)
	}
	if m.closed {
		return 0, info, fmt.Errorf("%w: module closed", ErrUnavailable)
	}
	if slot, info, err = m.findToken(label, serial); err != nil {
		return 0, info, err
	}
	if _, open := m.tokens[tokenID(info)]; open {
		return 0, info, fmt.Errorf("%w: token %q is open; close it first", ErrInput, label)
	}
	return slot, info, nil
}

func (m *Module) countPublic(slot uint) (int, error) {
	s, err := m.ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return 0, called("C_OpenSession", err)
	}
	defer m.ctx.CloseSession(s)
	return m.countVisible(s)
}

// asOfficer makes the one call in the life of the Module, unless it is right,
// that tries the officer's PIN.
func (m *Module) asOfficer(info pkcs11.TokenInfo, try func() error) error {
	latch := "so/" + tokenID(info)
	if m.isLatched(latch) {
		return fmt.Errorf("%w: the security officer's PIN was refused before; it is not tried again until a restart", ErrPIN)
	}
	if err := checkSOFlags(info.Flags); err != nil {
		return err
	}
	err := try()
	if errors.Is(err, ErrPIN) {
		m.latch(latch)
		return fmt.Errorf("%w: %w", ErrPIN, err)
	}
	return err
}

// checkSOFlags is checkPINFlags for the security officer.
func checkSOFlags(flags uint) error {
	switch {
	case flags&pkcs11.CKF_SO_PIN_LOCKED != 0:
		return fmt.Errorf("%w: the security officer's is locked (CKF_SO_PIN_LOCKED)", ErrPIN)
	case flags&pkcs11.CKF_SO_PIN_FINAL_TRY != 0:
		return fmt.Errorf("%w: the security officer has one try left (CKF_SO_PIN_FINAL_TRY); log in once with the maker's tool", ErrPIN)
	case flags&pkcs11.CKF_SO_PIN_TO_BE_CHANGED != 0:
		return fmt.Errorf("%w: the security officer's must be changed first (CKF_SO_PIN_TO_BE_CHANGED)", ErrPIN)
	}
	return nil
}

// countObjects logs in as the user of a token that has none yet, under a PIN
// that is then forgotten, and counts what he sees: public and private objects.
func (m *Module) countObjects(slot uint, soPIN PIN) (int, error) {
	pin := RandomPIN()
	defer pin.Destroy()
	if err := m.initPIN(slot, soPIN, pin); err != nil {
		return 0, err
	}
	s, err := m.ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return 0, called("C_OpenSession", err)
	}
	defer m.ctx.CloseSession(s)
	if err := m.ctx.Login(s, pkcs11.CKU_USER, string(pin.reveal())); err != nil {
		return 0, called("C_Login", err)
	}
	n, err := m.countVisible(s)
	return n, errors.Join(err, called("C_Logout", m.ctx.Logout(s)))
}

func (m *Module) countVisible(s pkcs11.SessionHandle) (int, error) {
	if err := m.ctx.FindObjectsInit(s, nil); err != nil {
		return 0, called("C_FindObjectsInit", err)
	}
	for n := 0; ; {
		some, _, err := m.ctx.FindObjects(s, 64)
		if err != nil || len(some) == 0 {
			return n, errors.Join(called("C_FindObjects", err), called("C_FindObjectsFinal", m.ctx.FindObjectsFinal(s)))
		}
		n += len(some)
	}
}
