package hsm_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
)

func TestOpenModuleRefuses(t *testing.T) {
	loose := filepath.Join(t.TempDir(), "loose.so")
	lib, err := os.ReadFile(store.Module)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(loose, lib, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(loose, 0o666); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, path string }{
		{"a name that the loader would search for", "libsofthsm2.so"},
		{"a relative path", "./libsofthsm2.so"},
		{"no path", ""},
		{"a file that is not there", "/nonexistent/libsofthsm2.so"},
		{"a directory", t.TempDir()},
		{"a file that others may write", loose},
		{"a file that is no library", text},
		{"a module that is open already", store.Module},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := hsm.OpenModule(c.path); !errors.Is(err, hsm.ErrModule) {
				t.Fatalf("got %v, want ErrModule", err)
			}
			if _, err := hsm.Open(t.Context(), hsm.Config{Module: c.path}); !errors.Is(err, hsm.ErrModule) {
				t.Fatalf("got %v, want ErrModule", err)
			}
		})
	}
}

func TestTokenRefuses(t *testing.T) {
	good := newConfig(t)
	cases := []struct {
		name   string
		change func(*hsm.Config)
		want   error
	}{
		{"a label that no token has", func(c *hsm.Config) { c.TokenLabel, c.Serial = "nobody", "" }, hsm.ErrTokenNotFound},
		{"a serial that is another's", func(c *hsm.Config) { c.Serial = "0000" }, hsm.ErrTokenNotFound},
		{"no label", func(c *hsm.Config) { c.TokenLabel = "" }, hsm.ErrInput},
		{"no PIN", func(c *hsm.Config) { c.PIN = hsm.PIN{} }, hsm.ErrInput},
		{"too many sessions", func(c *hsm.Config) { c.Sessions = 257 }, hsm.ErrInput},
		{"a queue without end", func(c *hsm.Config) { c.Queue = 1<<20 + 1 }, hsm.ErrInput},
		{"a queue below nothing", func(c *hsm.Config) { c.Queue = -1 }, hsm.ErrInput},
		{"another module", func(c *hsm.Config) { c.Module = "/else.so" }, hsm.ErrInput},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			if _, err := module.Token(t.Context(), cfg); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
	tok := openToken(t, good)
	if _, err := module.Token(t.Context(), good); !errors.Is(err, hsm.ErrInput) {
		t.Fatalf("opened twice: got %v, want ErrInput", err)
	}
	if info := tok.Info(); info.Label != good.TokenLabel || info.Serial != good.Serial || info.Manufacturer == "" {
		t.Fatalf("info %+v", info)
	}
}

func TestTwoTokensOfOneLabelNeedASerial(t *testing.T) {
	cfg := newConfig(t)
	if _, err := module.InitToken(t.Context(), cfg.TokenLabel, pinOf(t, "so-1234"), pinOf(t, "user-1234")); !errors.Is(err, hsm.ErrDuplicateLabel) {
		t.Fatalf("InitToken: got %v, want ErrDuplicateLabel", err)
	}
	slot, err := module.BlankSlot()
	if err != nil {
		t.Fatal(err)
	}
	if err := fault.raw.InitToken(slot, "so-1234", cfg.TokenLabel); err != nil {
		t.Fatal(err)
	}
	bare := cfg
	bare.Serial = ""
	if _, err := module.Token(t.Context(), bare); !errors.Is(err, hsm.ErrDuplicateLabel) {
		t.Fatalf("got %v, want ErrDuplicateLabel", err)
	}
	openToken(t, cfg)
}

func TestAWrongPINIsTriedOnce(t *testing.T) {
	cfg := newConfig(t)
	wrong := cfg
	wrong.PIN = pinOf(t, "user-4321")
	_, before := fault.counts()
	if _, err := module.Token(t.Context(), wrong); !errors.Is(err, hsm.ErrPIN) {
		t.Fatalf("got %v, want ErrPIN", err)
	}
	for range 3 {
		if _, err := module.Token(t.Context(), cfg); !errors.Is(err, hsm.ErrPIN) {
			t.Fatalf("after a failed login: got %v, want ErrPIN", err)
		}
	}
	if _, after := fault.counts(); after != before+1 {
		t.Fatalf("C_Login was called %d times, want once", after-before)
	}
}

// SoftHSM never locks, so the layer says what a real token would.
func TestTheTokensPINFlagsAreReadBeforeLogin(t *testing.T) {
	cases := []struct {
		name string
		flag uint
		ok   bool
	}{
		{"locked", pkcs11.CKF_USER_PIN_LOCKED, false},
		{"one try left", pkcs11.CKF_USER_PIN_FINAL_TRY, false},
		{"to be changed", pkcs11.CKF_USER_PIN_TO_BE_CHANGED, false},
		{"one wrong try behind", pkcs11.CKF_USER_PIN_COUNT_LOW, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := newConfig(t)
			fault.set(t, func() {
				fault.tokenInfo = func(i pkcs11.TokenInfo) pkcs11.TokenInfo { i.Flags |= c.flag; return i }
			})
			_, before := fault.counts()
			tok, err := module.Token(t.Context(), cfg)
			_, after := fault.counts()
			if c.ok {
				if err != nil {
					t.Fatal(err)
				}
				if err := tok.Close(); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, hsm.ErrPIN) {
				t.Fatalf("got %v, want ErrPIN", err)
			}
			if after != before {
				t.Fatal("the PIN was tried")
			}
		})
	}
}

func TestACallWaitsForASessionNoLongerThanItsContext(t *testing.T) {
	cfg := newConfig(t)
	cfg.Sessions = 1
	tok := openToken(t, cfg)
	key := newRSA(t, tok, "k")
	_, m := known(t, key)

	held, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	fault.set(t, func() {
		fault.sign = func(s []byte, err error) ([]byte, error) {
			once.Do(func() { close(held); <-release })
			return s, err
		}
	})
	done := make(chan error, 1)
	go func() {
		_, err := key.BlindSign(context.WithoutCancel(t.Context()), m)
		done <- err
	}()
	<-held
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := key.BlindSign(ctx, m); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	cancelled, stop := context.WithCancel(t.Context())
	stop()
	if _, err := key.BlindSign(cancelled, m); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}

func TestAClosedTokenIsUnavailable(t *testing.T) {
	tok, err := module.Token(t.Context(), newConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	key := newRSA(t, tok, "k")
	_, m := known(t, key)
	for range 2 {
		if err := tok.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := key.BlindSign(t.Context(), m); !errors.Is(err, hsm.ErrUnavailable) {
		t.Fatalf("BlindSign: got %v, want ErrUnavailable", err)
	}
	if _, err := tok.GenerateAES(t.Context(), "late"); !errors.Is(err, hsm.ErrUnavailable) {
		t.Fatalf("GenerateAES: got %v, want ErrUnavailable", err)
	}
}

// All sessions closed and logged out behind our back: the next calls, many at
// a time, heal in place and give the same signatures.
func TestLostSessionsAreReplaced(t *testing.T) {
	tok := newToken(t)
	key := newRSA(t, tok, "k")
	sig, m := known(t, key)
	for range 3 {
		if err := tok.LoseSessions(fault.raw); err != nil {
			t.Fatal(err)
		}
		_, before := fault.counts()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				got, err := key.BlindSign(t.Context(), m)
				if err != nil || !bytes.Equal(got, sig) {
					t.Errorf("after session loss: %v", err)
				}
			})
		}
		wg.Wait()
		if _, after := fault.counts(); after != before+1 {
			t.Fatalf("%d logins for one loss", after-before)
		}
	}
	if err := key.Audit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAKeyThatWasSwappedIsRefusedWhenItIsFoundAgain(t *testing.T) {
	tok := newToken(t)
	id := bytes.Repeat([]byte{7}, 16)
	make := func() {
		write(t, tok, func(ctx *pkcs11.Ctx, s pkcs11.SessionHandle) error {
			_, _, err := ctx.GenerateKeyPair(s, mechanism(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN), hsm.RSAPublicTemplate("k", id), hsm.RSATemplate("k", id))
			return err
		})
	}
	make()
	keys, err := tok.RSAKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, m := known(t, keys[0])
	make()
	if err := tok.LoseSessions(fault.raw); err != nil {
		t.Fatal(err)
	}
	if _, err := keys[0].BlindSign(t.Context(), m); !errors.Is(err, hsm.ErrDuplicateLabel) {
		t.Fatalf("a twin with the same id: got %v, want ErrDuplicateLabel", err)
	}
}

func TestAPassingFailureIsRetriedOnce(t *testing.T) {
	key := newRSA(t, newToken(t), "k")
	sig, m := known(t, key)
	failures := 1
	fault.set(t, func() {
		fault.sign = func(s []byte, err error) ([]byte, error) {
			if failures > 0 {
				failures--
				return nil, pkcs11.Error(pkcs11.CKR_DEVICE_ERROR)
			}
			return s, err
		}
	})
	got, err := key.BlindSign(t.Context(), m)
	if err != nil || !bytes.Equal(got, sig) {
		t.Fatalf("one failure: %v", err)
	}
	fault.set(t, func() { failures = 2 })
	_, err = key.BlindSign(t.Context(), m)
	var e *hsm.Error
	if !errors.Is(err, hsm.ErrUnavailable) || !errors.As(err, &e) || e.Call != "C_Sign" || e.Class() != hsm.ClassRetry {
		t.Fatalf("two failures: got %v, want ErrUnavailable from C_Sign", err)
	}
}

func TestAnOperatorsErrorIsNotRetried(t *testing.T) {
	key := newRSA(t, newToken(t), "k")
	_, m := known(t, key)
	calls := 0
	fault.set(t, func() {
		fault.sign = func([]byte, error) ([]byte, error) {
			calls++
			return nil, pkcs11.Error(0x1b) // CKR_ACTION_PROHIBITED
		}
	})
	_, err := key.BlindSign(t.Context(), m)
	var e *hsm.Error
	if !errors.As(err, &e) || e.Class() != hsm.ClassOperator || errors.Is(err, hsm.ErrUnavailable) {
		t.Fatalf("got %v, want class operator", err)
	}
	if calls != 1 {
		t.Fatalf("%d calls, want 1", calls)
	}
}

// The directory of the token goes away under the running module, as when a
// network volume is lost.
func TestAVanishedTokenIsUnavailable(t *testing.T) {
	cfg := newConfig(t)
	tok, err := module.Token(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer tok.Close()
	key := newRSA(t, tok, "k")
	if err := key.Audit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(tokenDirectory(t, cfg)); err != nil {
		t.Fatal(err)
	}
	calls := map[string]func(context.Context) error{
		"Check": key.Check,
		"Audit": key.Audit,
		// The module answers each of these with nothing, which is not true.
		"RSAKeys":   func(ctx context.Context) error { _, err := tok.RSAKeys(ctx); return err },
		"FindRSA":   func(ctx context.Context) error { _, err := tok.FindRSA(ctx, "k"); return err },
		"ECDSAKeys": func(ctx context.Context) error { _, err := tok.ECDSAKeys(ctx); return err },
		"Items":     func(ctx context.Context) error { _, err := tok.Items(ctx); return err },
		"Unused":    func(ctx context.Context) error { return tok.Unused(ctx, "k") },
	}
	for name, call := range calls {
		if err := call(t.Context()); !errors.Is(err, hsm.ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrUnavailable", name, err)
		}
	}
}

// A token that vanished and was not used since answers searches, wrongly.
func TestAVanishedTokenIsNotEmpty(t *testing.T) {
	for name, call := range map[string]func(*hsm.Token, context.Context) error{
		"RSAKeys": func(tok *hsm.Token, ctx context.Context) error { _, err := tok.RSAKeys(ctx); return err },
		"FindRSA": func(tok *hsm.Token, ctx context.Context) error { _, err := tok.FindRSA(ctx, "k"); return err },
		"Items":   func(tok *hsm.Token, ctx context.Context) error { _, err := tok.Items(ctx); return err },
		"Unused":  func(tok *hsm.Token, ctx context.Context) error { return tok.Unused(ctx, "k") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			if err := os.RemoveAll(tokenDirectory(t, p.cfg)); err != nil {
				t.Fatal(err)
			}
			if err := call(p.tok, t.Context()); !errors.Is(err, hsm.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
		})
	}
}
