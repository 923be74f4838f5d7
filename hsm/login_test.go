package hsm_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
)

// unclear are answers to C_Login that some tokens give to a wrong PIN too.
var unclear = map[string]uint{
	"device error": pkcs11.CKR_DEVICE_ERROR, "general error": pkcs11.CKR_GENERAL_ERROR, "function failed": pkcs11.CKR_FUNCTION_FAILED,
}

// A token that answers every login so is not worked down to its last try.
func TestAnOpeningRepeatsALoginWithoutAClearAnswerOnce(t *testing.T) {
	for name, code := range unclear {
		t.Run(name, func(t *testing.T) {
			cfg := newConfig(t)
			stop, tries := failing(t, code, "C_Login")
			for range 2 {
				if _, err := module.Token(t.Context(), cfg); !errors.Is(err, hsm.ErrPIN) {
					t.Fatalf("got %v, want ErrPIN", err)
				}
			}
			stop()
			if _, err := module.Token(t.Context(), cfg); !errors.Is(err, hsm.ErrPIN) || tries.Load() != 2 {
				t.Errorf("got %v after %d logins, want ErrPIN after 2", err, tries.Load())
			}
		})
	}
}

func TestATokenThatIsSlowToWakeOpensAllTheSame(t *testing.T) {
	cfg := newConfig(t)
	var tries atomic.Int64
	fault.intercept(t, func(call string, _ []byte) error {
		if call == "C_Login" && tries.Add(1) == 1 {
			return pkcs11.Error(pkcs11.CKR_DEVICE_ERROR)
		}
		return nil
	})
	openToken(t, cfg)
	if n := tries.Load(); n != 2 {
		t.Errorf("%d logins", n)
	}
}

func TestHealingRepeatsALoginWithoutAClearAnswerOnce(t *testing.T) {
	for name, code := range unclear {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			stop, tries := failing(t, code, "C_Login")
			if err := p.tok.LoseSessions(fault.raw); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "latch", func() bool { return errors.Is(p.signs(t.Context()), hsm.ErrPIN) })
			stop()
			hsm.WaitHeal()
			hsm.WaitHeal()
			p.failsFast(t)
			if n := tries.Load(); n != 2 {
				t.Errorf("%d logins, want 2", n)
			}
		})
	}
}

// Where an unclear answer has cost a try, it was a refusal.
func TestAnUnclearAnswerThatCostATryIsARefusal(t *testing.T) {
	for name, flag := range map[string]uint{
		"count low": pkcs11.CKF_USER_PIN_COUNT_LOW, "final try": pkcs11.CKF_USER_PIN_FINAL_TRY, "locked": pkcs11.CKF_USER_PIN_LOCKED,
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			var tries atomic.Int64
			fault.intercept(t, func(call string, _ []byte) error {
				if call != "C_Login" {
					return nil
				}
				tries.Add(1)
				fault.set(t, func() {
					fault.tokenInfo = func(i pkcs11.TokenInfo) pkcs11.TokenInfo { i.Flags |= flag; return i }
				})
				return pkcs11.Error(pkcs11.CKR_DEVICE_ERROR)
			})
			if err := p.tok.LoseSessions(fault.raw); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "refusal", func() bool { return errors.Is(p.signs(t.Context()), hsm.ErrPIN) })
			fault.calm()
			fault.set(t, func() { fault.tokenInfo = nil })
			time.Sleep(3 * time.Second) // past the pause after which it would be repeated
			p.failsFast(t)
			if n := tries.Load(); n != 1 {
				t.Errorf("%d logins, want 1", n)
			}
		})
	}
}
