package hsm_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/softhsm"
)

// layer stands between package hsm and the real SoftHSM. It counts calls and,
// where a test asks for it, changes what comes back; everything else passes
// through to the module.
type layer struct {
	hsm.Cryptoki
	raw *pkcs11.Ctx

	// before is asked before each call that it can fail, with nothing locked: it
	// may wait, and what it returns is what the call returns.
	before atomic.Pointer[func(call string, data []byte) error]

	mu        sync.Mutex
	sign      func(sig []byte, err error) ([]byte, error)
	encrypt   func(box []byte, err error) ([]byte, error)
	tokenInfo func(pkcs11.TokenInfo) pkcs11.TokenInfo
	login     func(err error) error
	absent    uint // an attribute that the token does not know
	attribute func(typ uint, value []byte) []byte
	signs     int
	logins    int
}

func (l *layer) ask(call string, data []byte) error {
	if before := l.before.Load(); before != nil {
		return (*before)(call, data)
	}
	return nil
}

// intercept asks before for the rest of the test.
func (l *layer) intercept(t testing.TB, before func(call string, data []byte) error) {
	t.Helper()
	l.before.Store(&before)
	t.Cleanup(l.calm)
}

// calm lets all calls through again.
func (l *layer) calm() { l.before.Store(nil) }

func (l *layer) Initialize(opts ...pkcs11.InitializeOption) error {
	if err := l.ask("C_Initialize", nil); err != nil {
		return err
	}
	return l.Cryptoki.Initialize(opts...)
}

func (l *layer) OpenSession(slot, flags uint) (pkcs11.SessionHandle, error) {
	if err := l.ask("C_OpenSession", nil); err != nil {
		return 0, err
	}
	return l.Cryptoki.OpenSession(slot, flags)
}

func (l *layer) SignInit(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, key pkcs11.ObjectHandle) error {
	if err := l.ask("C_SignInit", nil); err != nil {
		return err
	}
	return l.Cryptoki.SignInit(s, m, key)
}

func (l *layer) FindObjectsInit(s pkcs11.SessionHandle, match []*pkcs11.Attribute) error {
	if err := l.ask("C_FindObjectsInit", nil); err != nil {
		return err
	}
	return l.Cryptoki.FindObjectsInit(s, match)
}

func (l *layer) Sign(s pkcs11.SessionHandle, m []byte) ([]byte, error) {
	if err := l.ask("C_Sign", m); err != nil {
		return nil, err
	}
	sig, err := l.Cryptoki.Sign(s, m)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.signs++
	if l.sign != nil {
		return l.sign(sig, err)
	}
	return sig, err
}

func (l *layer) Encrypt(s pkcs11.SessionHandle, m []byte) ([]byte, error) {
	box, err := l.Cryptoki.Encrypt(s, m)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.encrypt != nil {
		return l.encrypt(box, err)
	}
	return box, err
}

func (l *layer) GetTokenInfo(slot uint) (pkcs11.TokenInfo, error) {
	info, err := l.Cryptoki.GetTokenInfo(slot)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tokenInfo != nil {
		info = l.tokenInfo(info)
	}
	return info, err
}

func (l *layer) Login(s pkcs11.SessionHandle, user uint, pin string) error {
	if err := l.ask("C_Login", nil); err != nil {
		return err
	}
	err := l.Cryptoki.Login(s, user, pin)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logins++
	if l.login != nil {
		return l.login(err)
	}
	return err
}

func (l *layer) GetAttributeValue(s pkcs11.SessionHandle, h pkcs11.ObjectHandle, ask []*pkcs11.Attribute) ([]*pkcs11.Attribute, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range ask {
		if l.absent != 0 && a.Type == l.absent {
			return nil, pkcs11.Error(pkcs11.CKR_ATTRIBUTE_TYPE_INVALID)
		}
	}
	got, err := l.Cryptoki.GetAttributeValue(s, h, ask)
	for i := range got {
		if l.attribute != nil {
			got[i].Value = l.attribute(got[i].Type, got[i].Value)
		}
	}
	return got, err
}

// set changes the layer for the rest of the test.
func (l *layer) set(t testing.TB, change func()) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.sign, l.encrypt, l.tokenInfo, l.login, l.absent, l.attribute = nil, nil, nil, nil, 0, nil
	})
}

func (l *layer) counts() (signs, logins int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.signs, l.logins
}

// One SoftHSM serves all tests, each with a token of its own: C_Initialize
// works once per process.
var (
	store  *softhsm.Provisioned
	module *hsm.Module
	fault  *layer
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "specie-hsm-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	if store, err = softhsm.Provision(filepath.Join(dir, "softhsm")); err != nil {
		return fail(err)
	}
	if err := os.Setenv("SOFTHSM2_CONF", store.Config); err != nil {
		return fail(err)
	}
	module, err = hsm.OpenLayered(store.Module, func(c *pkcs11.Ctx) hsm.Cryptoki {
		fault = &layer{Cryptoki: c, raw: c}
		return fault
	})
	if err != nil {
		return fail(err)
	}
	code := m.Run()
	if err := stopTPM(); err != nil {
		return fail(err)
	}
	if err := module.Close(); err != nil {
		return fail(err)
	}
	return code
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "hsm tests need SoftHSM:", err)
	return 1
}

func pinOf(t testing.TB, s string) hsm.PIN {
	t.Helper()
	p, err := hsm.NewPIN([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newConfig makes a token labelled after the test and returns what opens it.
func newConfig(t testing.TB) hsm.Config {
	t.Helper()
	label := fmt.Sprintf("t%d", nextToken())
	cfg, err := store.InitToken(t.Context(), module, label, pinOf(t, "so-1234"), pinOf(t, "user-1234"))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

var tokens struct {
	sync.Mutex
	n int
}

func nextToken() int {
	tokens.Lock()
	defer tokens.Unlock()
	tokens.n++
	return tokens.n
}

func newToken(t testing.TB) *hsm.Token { return openToken(t, newConfig(t)) }

func openToken(t testing.TB, cfg hsm.Config) *hsm.Token {
	t.Helper()
	tok, err := module.Token(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tok.Close(); err != nil {
			t.Error(err)
		}
	})
	return tok
}

func newRSA(t testing.TB, tok *hsm.Token, label string) *hsm.RSAKey {
	t.Helper()
	key, err := tok.GenerateRSA(t.Context(), label, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// known returns a message and its signature under key.
func known(t testing.TB, key *hsm.RSAKey) (sig, m []byte) {
	t.Helper()
	r, m, err := key.Known()
	if err != nil {
		t.Fatal(err)
	}
	return r, m
}

func write(t testing.TB, tok *hsm.Token, op func(ctx *pkcs11.Ctx, s pkcs11.SessionHandle) error) {
	t.Helper()
	if err := tok.WithWriteSession(func(s pkcs11.SessionHandle) error { return op(fault.raw, s) }); err != nil {
		t.Fatal(err)
	}
}
