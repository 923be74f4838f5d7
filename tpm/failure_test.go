package tpm_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/tpm/swtpm"
)

// guess uses a key with an authorisation value.
func guess(t *testing.T, d *tpm.Device, blob tpm.Blob, auth string) error {
	t.Helper()
	key, err := d.LoadGroupKey(t.Context(), blob, tpm.Auth(auth))
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	_, s2, y2 := base(t, "tag")
	_, _, _, _, err = key.Commit(t.Context(), nil, s2, y2)
	return err
}

func withPIN(t *testing.T, e *swtpm.Emulator) (*tpm.Device, tpm.Blob) {
	t.Helper()
	d := open(t, e.TCTI())
	blob, err := d.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), tpm.Auth("2468"))
	if err != nil {
		t.Fatal(err)
	}
	return d, blob
}

func TestTheTriesThatAreLeftAreCounted(t *testing.T) {
	e := emulator(t, "one")
	if err := e.SetDictionaryAttack(t.Context(), 3, time.Hour); err != nil {
		t.Fatal(err)
	}
	d, blob := withPIN(t, e)
	for i, words := range []string{"2 tries left", "1 try left", "the last try"} {
		err := guess(t, d, blob, "1357")
		var wrong *tpm.AuthError
		if !errors.As(err, &wrong) || !errors.Is(err, tpm.ErrAuth) || !errors.Is(err, tpm2.TPMRCAuthFail) {
			t.Fatalf("got %v, want an AuthError", err)
		}
		if wrong.Left != 2-i || !strings.Contains(err.Error(), words) {
			t.Fatalf("%d left, and the words are %q; want %q", wrong.Left, err, words)
		}
	}
	var locked *tpm.LockoutError
	for _, auth := range []string{"1357", "2468"} {
		err := guess(t, d, blob, auth)
		if !errors.As(err, &locked) || !errors.Is(err, tpm.ErrLockout) || !errors.Is(err, tpm2.TPMRCLockout) {
			t.Fatalf("got %v, want a LockoutError", err)
		}
		if locked.Wait != time.Hour || !strings.Contains(err.Error(), "60 minutes at most") {
			t.Fatalf("%v to wait, and the words are %q", locked.Wait, err)
		}
	}
}

func TestTheNextTryIsPossibleAfterTheTimeThatWasSaid(t *testing.T) {
	e := emulator(t, "one")
	if err := e.SetDictionaryAttack(t.Context(), 2, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	d, blob := withPIN(t, e)
	for range 2 {
		_ = guess(t, d, blob, "1357")
	}
	var locked *tpm.LockoutError
	if err := guess(t, d, blob, "2468"); !errors.As(err, &locked) {
		t.Fatalf("got %v, want a LockoutError", err)
	}
	if locked.Wait <= 0 || locked.Wait > 2*time.Second {
		t.Fatalf("%v to wait", locked.Wait)
	}
	time.Sleep(locked.Wait + 300*time.Millisecond)
	if err := guess(t, d, blob, "2468"); err != nil {
		t.Fatalf("after that time: %v", err)
	}
}

func TestATPMThatDoesNotSayLeavesItOpen(t *testing.T) {
	past := raw(t, emulator(t, "one"))
	code2 := tpm2.TPMRCAuthFail
	d := tpm.New(&meddler{TPM: past, after: func(command, response []byte) []byte {
		switch code(command) {
		case tpm2.TPMCCCommit:
			return answer(code2)
		case tpm2.TPMCCGetCapability:
			return answer(tpm2.TPMRCFailure)
		}
		return response
	}})
	defer d.Close()
	_, key := newKey(t, d, nil)
	_, s2, y2 := base(t, "tag")
	_, _, _, _, err := key.Commit(t.Context(), nil, s2, y2)
	var wrong *tpm.AuthError
	if !errors.As(err, &wrong) || wrong.Left != -1 || strings.Contains(err.Error(), "left") {
		t.Errorf("got %v, want an AuthError without a number", err)
	}
	code2 = tpm2.TPMRCLockout
	_, _, _, _, err = key.Commit(t.Context(), nil, s2, y2)
	var locked *tpm.LockoutError
	if !errors.As(err, &locked) || locked.Wait != 0 || strings.Contains(err.Error(), "at most") {
		t.Errorf("got %v, want a LockoutError without a time", err)
	}
}

func TestWhatATPMMeansIsSaid(t *testing.T) {
	past := raw(t, emulator(t, "one"))
	for _, c := range []struct {
		code  tpm2.TPMRC
		want  error
		words string
	}{
		{tpm2.TPMRCInitialize, tpm.ErrUnavailable, "restart the machine"},
		{tpm2.TPMRCFailure, tpm.ErrBroken, "switch the machine off and on"},
		{tpm2.TPMRC(0x80280400), tpm.ErrUnavailable, "administrator"},
		{tpm2.TPMRCObjectMemory, tpm.ErrNoSlot, "no free slot"},
		{tpm2.TPMRCSessionHandles, tpm.ErrNoSlot, "no free slot"},
		{tpm2.TPMRCSessionMemory, tpm.ErrNoSlot, "no free slot"},
		{tpm2.TPMRCBadAuth, tpm.ErrHierarchy, "tpm2_changeauth -c owner"},
	} {
		d := tpm.New(&meddler{TPM: past, after: func(command, response []byte) []byte {
			if code(command) == tpm2.TPMCCCreatePrimary {
				return answer(c.code)
			}
			return response
		}})
		_, err := d.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), nil)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%v: got %v, want %v with %q", c.code, err, c.want, c.words)
		}
		if c.want != tpm.ErrAuth && errors.Is(err, tpm.ErrAuth) {
			t.Errorf("%v is taken for a wrong PIN: %v", c.code, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAnOwnersPasswordIsNotTakenForTheKeys(t *testing.T) {
	e := emulator(t, "one")
	if err := e.SetOwnerPassword(t.Context(), "owner"); err != nil {
		t.Fatal(err)
	}
	d := open(t, e.TCTI())
	_, err := d.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), tpm.Auth("2468"))
	if !errors.Is(err, tpm.ErrHierarchy) || errors.Is(err, tpm.ErrAuth) {
		t.Fatalf("got %v, want ErrHierarchy", err)
	}
}
