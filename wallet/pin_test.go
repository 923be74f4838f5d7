package wallet_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

const goodPIN = "correct horse"

// says is somebody who answers every question for a PIN with the same one.
func says(pin string) wallet.AskPIN {
	return func(context.Context) (tpm.Auth, error) { return tpm.Auth(pin), nil }
}

// enrollWithPIN enrols a TPM with goodPIN, and returns it with somebody who
// knows that.
func enrollWithPIN(t *testing.T, town *wallettest.Town, h *wallettest.Holder, tcti string) wallet.TPM {
	t.Helper()
	device := wallet.TPM{Address: tcti, PIN: says(goodPIN)}
	e := asAlice(town)
	e.NewPIN = says(goodPIN)
	m, err := h.Enroll(t.Context(), device, e, nil)
	must(t, err)
	if !m.PIN {
		t.Error("it does not say that the key has a PIN")
	}
	return device
}

func TestThePINIsAskedWhereTheKeyHasOne(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	asked := 0
	device := wallet.TPM{Address: town.NewTPM(t).TCTI(), PIN: func(context.Context) (tpm.Auth, error) {
		asked++
		return tpm.Auth(goodPIN), nil
	}}
	e := asAlice(town)
	e.NewPIN = says(goodPIN)
	_, err := alice.Enroll(t.Context(), device, e, nil)
	must(t, err)
	if asked != 0 {
		t.Errorf("asked for the PIN of a key that it has just made")
	}
	must(t, alice.AttachTPM(t.Context(), device))
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	alice.Draw(t, 5, coin.Bound)
	_, err = alice.Pay(t.Context(), town.NewShop(t).Ask(t, 3))
	must(t, err)

	t.Run("and is written nowhere and sent to nobody", func(t *testing.T) {
		for _, s := range alice.Wire.Sent() {
			if bytes.Contains(s.Body, []byte(goodPIN)) {
				t.Errorf("it was sent to %s", s.URL)
			}
		}
		must(t, filepath.WalkDir(filepath.Dir(alice.Path), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if bytes.Contains(text, []byte(goodPIN)) {
				t.Errorf("it is in %s", path)
			}
			return err
		}))
	})
	t.Run("with nobody to ask, it says so", func(t *testing.T) {
		alice.Reopen(t)
		want(t, alice.AttachTPM(t.Context(), wallet.TPM{Address: device.Address}), wallet.ErrPINNeeded)
	})
}

func TestNobodyIsAskedForThePINOfAKeyWithoutOne(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 0)
	must(t, enroll(t, town, alice, registrationtest.TPMA))
	device := at(t, town, registrationtest.TPMA)
	device.PIN = func(context.Context) (tpm.Auth, error) {
		t.Error("asked")
		return nil, nil
	}
	must(t, alice.AttachTPM(t.Context(), device))
	if pin, err := alice.HasPIN(); err != nil || pin {
		t.Errorf("HasPIN: %v, %v", pin, err)
	}
}

func TestWrongPINsLeadToALockOutThatEnds(t *testing.T) {
	town := wallettest.New(t)
	emulator := town.NewTPM(t)
	must(t, emulator.SetDictionaryAttack(t.Context(), 3, 2*time.Second))
	alice := town.NewHolder(t, 0)
	device := enrollWithPIN(t, town, alice, emulator.TCTI())
	guess := wallet.TPM{Address: device.Address, PIN: says("guess")}
	for _, left := range []int{2, 1, 0} {
		err := alice.AttachTPM(t.Context(), guess)
		want(t, err, wallet.ErrPIN)
		var e *wallet.PINError
		if !errors.As(err, &e) || e.Left != left {
			t.Errorf("with %d tries left, it says %q", left, err)
		}
	}
	unasked := wallet.TPM{Address: device.Address, PIN: func(context.Context) (tpm.Auth, error) {
		t.Error("asked for a PIN that the TPM does not take")
		return nil, nil
	}}
	err := alice.AttachTPM(t.Context(), unasked)
	want(t, err, wallet.ErrLockout)
	var locked *wallet.LockoutError
	if !errors.As(err, &locked) || locked.Wait <= 0 || locked.Wait > 4*time.Second {
		t.Fatalf("locked out: %v", err)
	}
	time.Sleep(locked.Wait + time.Second)
	must(t, alice.AttachTPM(t.Context(), device))
}

func TestPINsThatAreNone(t *testing.T) {
	for name, pin := range map[string]string{
		"too short": "123", "too long": "123456789012345678901234567890123", "with a zero byte": "12\x0034",
	} {
		t.Run(name, func(t *testing.T) { want(t, wallet.CheckPIN(tpm.Auth(pin)), wallet.ErrPINForm) })
	}
	for _, pin := range []string{"", "1234", "12345678901234567890123456789012"} {
		must(t, wallet.CheckPIN(tpm.Auth(pin)))
	}
	town := wallettest.New(t)
	alice := town.NewHolder(t, 0)
	e := asAlice(town)
	e.NewPIN = says("123")
	_, err := alice.Enroll(t.Context(), at(t, town, registrationtest.TPMA), e, nil)
	want(t, err, wallet.ErrPINForm)
}

func TestThePINIsChanged(t *testing.T) {
	town := wallettest.New(t)
	emulator := town.NewTPM(t)
	alice := town.NewHolder(t, 0)
	want(t, alice.ChangePIN(t.Context(), wallet.TPM{}, says("")), wallet.ErrNotEnrolled)
	device := enrollWithPIN(t, town, alice, emulator.TCTI())
	before, err := os.ReadFile(alice.KeyPath())
	must(t, err)
	never := func(context.Context) (tpm.Auth, error) {
		t.Error("asked for a new PIN before the old one was right")
		return nil, nil
	}
	want(t, alice.ChangePIN(t.Context(), wallet.TPM{Address: device.Address, PIN: says("guess")}, never), wallet.ErrPIN)
	want(t, alice.ChangePIN(t.Context(), device, says("123")), wallet.ErrPINForm)
	unchanged, err := os.ReadFile(alice.KeyPath())
	must(t, err)
	if !bytes.Equal(before, unchanged) {
		t.Fatal("the key's file has changed")
	}
	must(t, alice.ChangePIN(t.Context(), device, says("another")))
	want(t, alice.AttachTPM(t.Context(), device), wallet.ErrPIN)
	must(t, alice.AttachTPM(t.Context(), wallet.TPM{Address: device.Address, PIN: says("another")}))

	t.Run("a crash before the new file was in place leaves a file that works", func(t *testing.T) {
		must(t, os.WriteFile(alice.KeyPath(), before, 0o600))
		alice.Reopen(t)
		must(t, alice.AttachTPM(t.Context(), device))
	})
	t.Run("to none at all", func(t *testing.T) {
		alice.Reopen(t)
		must(t, alice.ChangePIN(t.Context(), device, says("")))
		must(t, alice.AttachTPM(t.Context(), wallet.TPM{Address: device.Address}))
	})
}
