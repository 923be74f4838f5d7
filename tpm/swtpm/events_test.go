package swtpm_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/tpm/swtpm"
)

// keyed starts a TPM with a key in it that needs a PIN.
func keyed(t *testing.T) (*swtpm.Emulator, *tpm.Device, tpm.Blob) {
	t.Helper()
	e := start(t, t.TempDir(), newCA(t))
	d, err := tpm.Open(t.Context(), e.TCTI())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	blob, err := d.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), tpm.Auth("2468"))
	if err != nil {
		t.Fatal(err)
	}
	return e, d, blob
}

// try uses the key with an authorisation value. The y is on no curve: the TPM
// looks at the authorisation first.
func try(t *testing.T, d *tpm.Device, blob tpm.Blob, auth string) error {
	t.Helper()
	key, err := d.LoadGroupKey(t.Context(), blob, tpm.Auth(auth))
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	_, _, _, _, err = key.Commit(t.Context(), nil, []byte{1}, [32]byte{})
	if errors.Is(err, tpm.ErrInput) {
		return nil
	}
	return err
}

func TestFailuresAreForgottenAndForgiven(t *testing.T) {
	e, d, blob := keyed(t)
	if err := e.SetDictionaryAttack(t.Context(), 1, time.Second); err != nil {
		t.Fatal(err)
	}
	if err := try(t, d, blob, "1357"); !errors.Is(err, tpm.ErrAuth) {
		t.Fatalf("got %v, want ErrAuth", err)
	}
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		err := try(t, d, blob, "2468")
		if err == nil {
			break
		}
		if !errors.Is(err, tpm.ErrLockout) || time.Since(begin) > 10*time.Second {
			t.Fatalf("waiting for the end of the lock-out: %v", err)
		}
	}
	if err := e.SetDictionaryAttack(t.Context(), 1, time.Hour); err != nil {
		t.Fatal(err)
	}
	_ = try(t, d, blob, "1357")
	if err := try(t, d, blob, "2468"); !errors.Is(err, tpm.ErrLockout) {
		t.Fatalf("got %v, want ErrLockout", err)
	}
	if err := e.ForgiveFailures(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := try(t, d, blob, "2468"); err != nil {
		t.Fatalf("after the lock-out was ended: %v", err)
	}
	for _, bad := range []struct {
		failures int
		interval time.Duration
	}{{0, time.Second}, {-1, time.Second}, {3, time.Millisecond}, {1 << 31, time.Second}, {3, 1 << 31 * time.Second}} {
		if err := e.SetDictionaryAttack(t.Context(), bad.failures, bad.interval); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func TestOnlyAPowerCutCountsAsAFailure(t *testing.T) {
	e, d, blob := keyed(t)
	if err := e.SetDictionaryAttack(t.Context(), 1, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := try(t, d, blob, "2468"); err != nil {
		t.Fatal(err)
	}
	if err := e.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := try(t, d, blob, "2468"); err != nil {
		t.Fatalf("after a reset: %v", err)
	}
	if err := e.PowerCut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := try(t, d, blob, "2468"); !errors.Is(err, tpm.ErrLockout) {
		t.Fatalf("after a power cut: got %v, want ErrLockout", err)
	}
}

func TestClearTakesTheKeysAndLeavesTheIdentity(t *testing.T) {
	e, d, blob := keyed(t)
	before := certificates(t, e)
	if err := e.SetOwnerPassword(t.Context(), "owner"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.LoadGroupKey(t.Context(), blob, nil); err == nil {
		t.Fatal("the owner's password is not asked for")
	}
	if err := e.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.LoadGroupKey(t.Context(), blob, nil); !errors.Is(err, tpm.ErrWrongTPM) {
		t.Fatalf("got %v, want ErrWrongTPM", err)
	}
	after := certificates(t, e)
	if len(before) != len(after) {
		t.Fatalf("%d certificates, %d before", len(after), len(before))
	}
	for i := range before {
		if !bytes.Equal(before[i], after[i]) {
			t.Fatal("another certificate")
		}
	}
	if err := e.SetOwnerPassword(t.Context(), string(make([]byte, 33))); err == nil {
		t.Fatal("a password that no TPM takes was accepted")
	}
}

func TestExtendingChangesOneRegisterUntilTheReset(t *testing.T) {
	e := start(t, t.TempDir(), newCA(t))
	c, err := linuxudstpm.Open(e.TCTI()[len("swtpm:path="):])
	if err != nil {
		t.Fatal(err)
	}
	read := func(register uint) []byte {
		t.Helper()
		rsp, err := tpm2.PCRRead{PCRSelectionIn: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
			Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(register),
		}}}}.Execute(c)
		if err != nil || len(rsp.PCRValues.Digests) != 1 {
			t.Fatalf("read PCR %d: %v", register, err)
		}
		return rsp.PCRValues.Digests[0].Buffer
	}
	d := sha256.Sum256([]byte("a boot loader"))
	if err := e.ExtendPCR(t.Context(), 7, d); err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(append(make([]byte, 32), d[:]...))
	if got := read(7); !bytes.Equal(got, want[:]) {
		t.Fatalf("register 7 is %x, want %x", got, want)
	}
	if got := read(8); !bytes.Equal(got, make([]byte, 32)) {
		t.Fatalf("register 8 is %x", got)
	}
	if err := e.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := read(7); !bytes.Equal(got, make([]byte, 32)) {
		t.Fatalf("after a reset register 7 is %x", got)
	}
	for _, register := range []int{-1, 24} {
		if err := e.ExtendPCR(t.Context(), register, d); err == nil {
			t.Errorf("register %d was extended", register)
		}
	}
}

func TestWhatTheTPMRefusesIsAnError(t *testing.T) {
	e := start(t, t.TempDir(), newCA(t))
	if err := e.SetOwnerPassword(t.Context(), "owner"); err != nil {
		t.Fatal(err)
	}
	if err := e.SetOwnerPassword(t.Context(), "other"); err == nil {
		t.Fatal("the owner's password was changed without knowing it")
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"reset":  func() error { return e.Reset(t.Context()) },
		"cut":    func() error { return e.PowerCut(t.Context()) },
		"clear":  func() error { return e.Clear(t.Context()) },
		"unlock": func() error { return e.ForgiveFailures(t.Context()) },
	} {
		if err := f(); err == nil {
			t.Errorf("%s: a TPM that is off obeys", name)
		}
	}
}
