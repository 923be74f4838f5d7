package hsm_test

import (
	"context"
	"crypto/elliptic"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
)

// initTokens counts how often C_InitToken was tried, and leaves it out if it
// is to lie.
var initTokens struct {
	sync.Mutex
	calls int
	lie   bool
}

func (l *layer) InitToken(slot uint, pin, label string) error {
	initTokens.Lock()
	defer initTokens.Unlock()
	initTokens.calls++
	if initTokens.lie {
		return nil
	}
	return l.Cryptoki.InitToken(slot, pin, label)
}

func initCalls() int {
	initTokens.Lock()
	defer initTokens.Unlock()
	return initTokens.calls
}

// filled makes a token with a key of each kind and closes it.
func filled(t *testing.T) hsm.Config {
	t.Helper()
	cfg := newConfig(t)
	tok := openToken(t, cfg)
	newRSA(t, tok, "rsa")
	if _, err := tok.GenerateECDSA(t.Context(), "ec", elliptic.P256()); err != nil {
		t.Fatal(err)
	}
	if _, err := tok.GenerateAES(t.Context(), "aes"); err != nil {
		t.Fatal(err)
	}
	if err := tok.Close(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// stillFilled fails if the keys of filled are not there.
func stillFilled(t *testing.T, cfg hsm.Config) {
	t.Helper()
	tok := openToken(t, cfg)
	if keys, err := tok.RSAKeys(t.Context()); err != nil || len(keys) != 1 {
		t.Fatalf("%d RSA keys, %v", len(keys), err)
	}
	if _, err := tok.FindECDSA(t.Context(), "ec"); err != nil {
		t.Fatal(err)
	}
	if _, err := tok.FindAES(t.Context(), "aes"); err != nil {
		t.Fatal(err)
	}
}

func TestEraseTokenDestroysEveryKeyOfOneToken(t *testing.T) {
	cfg, other := filled(t), filled(t)
	if err := module.EraseToken(t.Context(), cfg.TokenLabel, cfg.Serial, pinOf(t, "so-1234")); err != nil {
		t.Fatal(err)
	}
	stillFilled(t, other)

	// The officer gives the token a user again: he finds it empty.
	slot := slotOf(t, cfg)
	s, err := fault.raw.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	defer fault.raw.CloseSession(s)
	for _, err := range []error{
		fault.raw.Login(s, pkcs11.CKU_SO, "so-1234"), fault.raw.InitPIN(s, "user-5678"), fault.raw.Logout(s),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg.PIN = pinOf(t, "user-5678")
	tok := openToken(t, cfg)
	if keys, err := tok.RSAKeys(t.Context()); err != nil || len(keys) != 0 {
		t.Fatalf("%d RSA keys, %v", len(keys), err)
	}
	newRSA(t, tok, "rsa") // the label is free
	if n := objects(t, tok); n != 2 {
		t.Fatalf("%d objects besides the new key", n-2)
	}
}

// slotOf returns where a token sits, as the module itself tells it.
func slotOf(t *testing.T, cfg hsm.Config) uint {
	t.Helper()
	slots, err := fault.raw.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots {
		info, err := fault.raw.GetTokenInfo(slot)
		if err == nil && strings.TrimRight(info.Label, " ") == cfg.TokenLabel && strings.TrimRight(info.SerialNumber, " ") == cfg.Serial {
			return slot
		}
	}
	t.Fatalf("no token %s", cfg.TokenLabel)
	return 0
}

// objects counts all objects of a token.
func objects(t *testing.T, tok *hsm.Token) int {
	t.Helper()
	n := 0
	write(t, tok, func(ctx *pkcs11.Ctx, s pkcs11.SessionHandle) error {
		if err := ctx.FindObjectsInit(s, nil); err != nil {
			return err
		}
		found, _, err := ctx.FindObjects(s, 1000)
		n = len(found)
		return errors.Join(err, ctx.FindObjectsFinal(s))
	})
	return n
}

func TestEraseTokenTriesAPINOnce(t *testing.T) {
	cfg := filled(t)
	before := initCalls()
	for _, pin := range []string{"wrong-pin", "so-1234", "so-1234"} {
		err := module.EraseToken(t.Context(), cfg.TokenLabel, cfg.Serial, pinOf(t, pin))
		if !errors.Is(err, hsm.ErrPIN) {
			t.Fatalf("%s: got %v, want ErrPIN", pin, err)
		}
	}
	if n := initCalls() - before; n != 1 {
		t.Fatalf("C_InitToken was tried %d times", n)
	}
	stillFilled(t, cfg) // the user's PIN is not the officer's: it may still be tried
}

func TestEraseTokenHeedsTheOfficersPINFlags(t *testing.T) {
	cfg := filled(t)
	before := initCalls()
	for name, flag := range map[string]uint{
		"locked":        pkcs11.CKF_SO_PIN_LOCKED,
		"one try left":  pkcs11.CKF_SO_PIN_FINAL_TRY,
		"to be changed": pkcs11.CKF_SO_PIN_TO_BE_CHANGED,
	} {
		t.Run(name, func(t *testing.T) {
			fault.set(t, func() {
				fault.tokenInfo = func(info pkcs11.TokenInfo) pkcs11.TokenInfo {
					info.Flags |= flag
					return info
				}
			})
			err := module.EraseToken(t.Context(), cfg.TokenLabel, cfg.Serial, pinOf(t, "so-1234"))
			if !errors.Is(err, hsm.ErrPIN) {
				t.Fatalf("got %v, want ErrPIN", err)
			}
		})
	}
	if n := initCalls() - before; n != 0 {
		t.Fatalf("C_InitToken was tried %d times", n)
	}
	stillFilled(t, cfg)
}

func TestEraseTokenRefuses(t *testing.T) {
	cfg := filled(t)
	open := newConfig(t)
	openToken(t, open)
	so := pinOf(t, "so-1234")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	cases := []struct {
		name          string
		ctx           context.Context
		label, serial string
		pin           hsm.PIN
		want          error
	}{
		{"a token that is open", t.Context(), open.TokenLabel, open.Serial, so, hsm.ErrInput},
		{"an open token named by its label alone", t.Context(), open.TokenLabel, "", so, hsm.ErrInput},
		{"a label that no token has", t.Context(), "nobody", "", so, hsm.ErrTokenNotFound},
		{"a serial of another token", t.Context(), cfg.TokenLabel, open.Serial, so, hsm.ErrTokenNotFound},
		{"no label", t.Context(), "", cfg.Serial, so, hsm.ErrInput},
		{"no PIN", t.Context(), cfg.TokenLabel, cfg.Serial, hsm.PIN{}, hsm.ErrInput},
		{"a caller who has given up", over, cfg.TokenLabel, cfg.Serial, so, context.Canceled},
	}
	before := initCalls()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := module.EraseToken(c.ctx, c.label, c.serial, c.pin); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
	if n := initCalls() - before; n != 0 {
		t.Fatalf("C_InitToken was tried %d times", n)
	}
	stillFilled(t, cfg)
}

// A token that says OK and keeps its keys is found out.
func TestEraseTokenLooksForItself(t *testing.T) {
	cfg := filled(t)
	lie := func(on bool) {
		initTokens.Lock()
		defer initTokens.Unlock()
		initTokens.lie = on
	}
	lie(true)
	defer lie(false)
	err := module.EraseToken(t.Context(), cfg.TokenLabel, cfg.Serial, pinOf(t, "so-1234"))
	if !errors.Is(err, hsm.ErrFaulty) || !strings.Contains(err.Error(), "holds 5 objects") {
		t.Fatalf("got %v, want ErrFaulty about 5 objects", err)
	}
}

func TestObjectsLeftSeesWhetherATokenWasErased(t *testing.T) {
	cfg, secret := filled(t), newConfig(t)
	left := func(cfg hsm.Config, want int) {
		t.Helper()
		if n, err := module.ObjectsLeft(t.Context(), cfg.TokenLabel, cfg.Serial, pinOf(t, "so-1234")); err != nil || n != want {
			t.Errorf("%d objects, %v; want %d", n, err, want)
		}
	}
	left(cfg, 2) // the public ones
	tok := openToken(t, secret)
	if _, err := tok.GenerateAES(t.Context(), "aes"); err != nil {
		t.Fatal(err)
	}
	if _, err := module.ObjectsLeft(t.Context(), secret.TokenLabel, secret.Serial, pinOf(t, "so-1234")); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("an open token: %v", err)
	}
	if err := tok.Close(); err != nil {
		t.Fatal(err)
	}
	left(secret, 1) // nothing public: the officer sets a PIN to see it
	for _, c := range []hsm.Config{secret, cfg} {
		if err := module.EraseToken(t.Context(), c.TokenLabel, c.Serial, pinOf(t, "so-1234")); err != nil {
			t.Fatal(err)
		}
		left(c, 0)
	}
	if _, err := module.ObjectsLeft(t.Context(), cfg.TokenLabel, "0123", pinOf(t, "so-1234")); !errors.Is(err, hsm.ErrTokenNotFound) {
		t.Errorf("another serial: %v", err)
	}
	for range 2 {
		if _, err := module.ObjectsLeft(t.Context(), cfg.TokenLabel, cfg.Serial, pinOf(t, "so-4321")); !errors.Is(err, hsm.ErrPIN) {
			t.Errorf("a wrong PIN: %v", err)
		}
	}
}
