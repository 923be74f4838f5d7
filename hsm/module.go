package hsm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/miekg/pkcs11"
)

// A Module is one PKCS#11 library, loaded and initialised. C_Initialize may
// be called once per process and library, so whoever needs several tokens of
// one library opens one Module and shares it. Safe for concurrent use.
type Module struct {
	path string
	ctx  cryptoki

	mu     sync.Mutex // guards tokens and closed
	tokens map[string]*Token
	closed bool

	reloads atomic.Uint64

	latchMu sync.Mutex // guards latched and doubts
	latched map[string]struct{}
	doubts  map[string]doubt
}

// TokenInfo says which token this is, as the token itself says it.
type TokenInfo struct {
	Label        string `json:"label"`  // at most 32 bytes
	Serial       string `json:"serial"` // at most 16 bytes
	Manufacturer string `json:"manufacturer"`
	Model        string `json:"model"`
	Firmware     string `json:"firmware"` // "major.minor"
}

// OpenModule loads and initialises the PKCS#11 library at path. The path must
// be absolute: what a library search path finds is what an attacker put
// there. For the same reason the file must not be writable by group or
// others. SoftHSM reads the environment variable SOFTHSM2_CONF here and when
// the library is reloaded to get back a lost token. Refusals are ErrModule.
func OpenModule(path string) (*Module, error) {
	return openModule(path, func(c *pkcs11.Ctx) cryptoki { return c })
}

func openModule(path string, wrap func(*pkcs11.Ctx) cryptoki) (*Module, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%w: %q is not an absolute path", ErrModule, path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("%w: %s is no regular file, or others than its owner may write to it", ErrModule, path)
	}
	raw := pkcs11.New(path)
	if raw == nil {
		return nil, fmt.Errorf("%w: %s does not load as a PKCS#11 library", ErrModule, path)
	}
	ctx := wrap(raw)
	if err := called("C_Initialize", ctx.Initialize()); err != nil {
		ctx.Destroy()
		if hasCode(err, ckrAlreadyInitialised) {
			err = fmt.Errorf("%w; one Module serves all tokens of a library", err)
		}
		return nil, fmt.Errorf("%w: %s: %w", ErrModule, path, err)
	}
	return &Module{path: path, ctx: ctx, tokens: make(map[string]*Token), latched: make(map[string]struct{}), doubts: make(map[string]doubt)}, nil
}

// Path returns the path that the library was loaded from.
func (m *Module) Path() string { return m.path }

// Close closes every Token that is still open, waiting for the calls in
// flight, and unloads the library. A second Close does nothing. To skip it
// before the process exits makes some libraries crash in their destructors.
func (m *Module) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	var errs []error
	for id, t := range m.tokens {
		errs = append(errs, t.shut())
		delete(m.tokens, id)
	}
	errs = append(errs, called("C_Finalize", m.ctx.Finalize()))
	m.ctx.Destroy()
	return errors.Join(errs...)
}

// Token opens the token that cfg names; cfg.Module may be empty. A token is
// opened once per Module: a second login would answer "already logged in"
// whatever the PIN. Errors: ErrInput, ErrTokenNotFound, ErrDuplicateLabel,
// ErrPIN, ErrUnavailable.
func (m *Module) Token(ctx context.Context, cfg Config) (*Token, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Module != "" && cfg.Module != m.path {
		return nil, fmt.Errorf("%w: the configuration names module %s, this is %s", ErrInput, cfg.Module, m.path)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("hsm: open token: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, fmt.Errorf("%w: module closed", ErrUnavailable)
	}
	slot, info, err := m.find(TokenInfo{Label: cfg.TokenLabel, Serial: cfg.Serial, Manufacturer: cfg.Manufacturer, Model: cfg.Model})
	if err != nil {
		return nil, err
	}
	id := tokenID(info)
	if _, open := m.tokens[id]; open {
		return nil, fmt.Errorf("%w: token %q is open already; share the Token", ErrInput, cfg.TokenLabel)
	}
	t, err := newToken(ctx, m, cfg, slot, info)
	if err != nil {
		return nil, err
	}
	m.tokens[id] = t
	return t, nil
}

func tokenID(info pkcs11.TokenInfo) string { return info.SerialNumber + "/" + info.Label }

func (m *Module) forget(t *Token) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tokens[t.id] == t {
		delete(m.tokens, t.id)
	}
}

// latch remembers that a login to the token failed. No further login is tried
// for the life of the Module: a program that tries again and again locks the
// token for good.
func (m *Module) latch(id string) {
	m.latchMu.Lock()
	defer m.latchMu.Unlock()
	m.latched[id] = struct{}{}
}

func (m *Module) isLatched(id string) bool {
	m.latchMu.Lock()
	defer m.latchMu.Unlock()
	_, yes := m.latched[id]
	return yes
}

// findToken is find by label and, unless it is empty, serial.
func (m *Module) findToken(label, serial string) (uint, pkcs11.TokenInfo, error) {
	return m.find(TokenInfo{Label: label, Serial: serial})
}

// find goes through all slots: slot numbers change from one start to the next,
// and in SoftHSM at initialisation. Empty fields of want match anything.
func (m *Module) find(want TokenInfo) (uint, pkcs11.TokenInfo, error) {
	slots, err := m.ctx.GetSlotList(true)
	if err != nil {
		return 0, pkcs11.TokenInfo{}, called("C_GetSlotList", err)
	}
	var found []pkcs11.TokenInfo
	var at uint
	for _, slot := range slots {
		info, err := m.ctx.GetTokenInfo(slot)
		if err != nil {
			continue // a slot whose token was just pulled must not hide the others
		}
		info = trimInfo(info)
		if info.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0 && want.matches(info) {
			found, at = append(found, info), slot
		}
	}
	switch {
	case len(found) == 0:
		return 0, pkcs11.TokenInfo{}, fmt.Errorf("%w: %s", ErrTokenNotFound, want.describe())
	case len(found) > 1:
		return 0, pkcs11.TokenInfo{}, fmt.Errorf("%w: %d tokens are labelled %q; give the serial", ErrDuplicateLabel, len(found), want.Label)
	}
	return at, found[0], nil
}

func (i TokenInfo) matches(info pkcs11.TokenInfo) bool {
	return i.Label == info.Label &&
		(i.Serial == "" || i.Serial == info.SerialNumber) &&
		(i.Manufacturer == "" || i.Manufacturer == info.ManufacturerID) &&
		(i.Model == "" || i.Model == info.Model)
}

// describe writes what was looked for.
func (i TokenInfo) describe() string {
	s := fmt.Sprintf("label %q", i.Label)
	for _, f := range []struct{ name, value string }{{"serial", i.Serial}, {"manufacturer", i.Manufacturer}, {"model", i.Model}} {
		if f.value != "" {
			s += fmt.Sprintf(", %s %q", f.name, f.value)
		}
	}
	return s
}

// trimInfo drops the padding: blanks by the standard, NULs by some modules.
func trimInfo(info pkcs11.TokenInfo) pkcs11.TokenInfo {
	for _, s := range []*string{&info.Label, &info.SerialNumber, &info.ManufacturerID, &info.Model} {
		*s = strings.TrimRight(*s, " \x00")
	}
	return info
}

// InitToken initialises a blank token of the library under label (1 to 32
// printable ASCII bytes) and sets the security officer's and the user's PIN
// through C_InitToken and C_InitPIN; no PIN goes through a command line. It
// takes the first blank token that the library shows: it is meant for tokens
// in software; hardware is initialised with its maker's tool.
// Errors: ErrInput, ErrDuplicateLabel, ErrTokenNotFound if nothing is blank.
func (m *Module) InitToken(ctx context.Context, label string, soPIN, pin PIN) (TokenInfo, error) {
	if err := checkTokenLabel(label); err != nil {
		return TokenInfo{}, err
	}
	if soPIN.IsZero() || pin.IsZero() {
		return TokenInfo{}, fmt.Errorf("%w: a new token needs two PINs", ErrInput)
	}
	if err := ctx.Err(); err != nil {
		return TokenInfo{}, fmt.Errorf("hsm: initialise token: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return TokenInfo{}, fmt.Errorf("%w: module closed", ErrUnavailable)
	}
	if _, _, err := m.findToken(label, ""); !errors.Is(err, ErrTokenNotFound) {
		if err == nil {
			err = fmt.Errorf("%w: a token is labelled %q already", ErrDuplicateLabel, label)
		}
		return TokenInfo{}, err
	}
	slot, err := m.blankSlot()
	if err != nil {
		return TokenInfo{}, err
	}
	if err := called("C_InitToken", m.ctx.InitToken(slot, string(soPIN.reveal()), label)); err != nil {
		return TokenInfo{}, err
	}
	slot, info, err := m.findToken(label, "")
	if err != nil {
		return TokenInfo{}, err
	}
	if err := m.initPIN(slot, soPIN, pin); err != nil {
		return TokenInfo{}, fmt.Errorf("token %q is initialised but has no user PIN: %w", label, err)
	}
	return publicInfo(info), nil
}

func (m *Module) blankSlot() (uint, error) {
	slots, err := m.ctx.GetSlotList(true)
	if err != nil {
		return 0, called("C_GetSlotList", err)
	}
	for _, slot := range slots {
		info, err := m.ctx.GetTokenInfo(slot)
		if err == nil && info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
			return slot, nil
		}
	}
	return 0, fmt.Errorf("%w: no blank token in %s", ErrTokenNotFound, m.path)
}

func (m *Module) initPIN(slot uint, soPIN, pin PIN) error {
	s, err := m.ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return called("C_OpenSession", err)
	}
	defer m.ctx.CloseSession(s)
	if err := m.ctx.Login(s, pkcs11.CKU_SO, string(soPIN.reveal())); err != nil {
		return called("C_Login", err)
	}
	err = called("C_InitPIN", m.ctx.InitPIN(s, string(pin.reveal())))
	return errors.Join(err, called("C_Logout", m.ctx.Logout(s)))
}

func publicInfo(info pkcs11.TokenInfo) TokenInfo {
	return TokenInfo{
		Label:        info.Label,
		Serial:       info.SerialNumber,
		Manufacturer: info.ManufacturerID,
		Model:        info.Model,
		Firmware:     fmt.Sprintf("%d.%d", info.FirmwareVersion.Major, info.FirmwareVersion.Minor),
	}
}

// checkTokenLabel refuses what C_InitToken would cut or pad into another
// label.
func checkTokenLabel(label string) error {
	if len(label) == 0 || len(label) > 32 || strings.TrimSpace(label) != label || !printable(label) {
		return fmt.Errorf("%w: a token label has 1 to 32 printable ASCII bytes without blanks at the ends", ErrInput)
	}
	return nil
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e }) < 0
}
