package tpm_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2/transport"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/tpm"
)

func TestASecretComesOutOfItsTPMOnly(t *testing.T) {
	onEach(t, func(t *testing.T, d *tpm.Device, past transport.TPM) {
		secret := []byte("thirty-two bytes that open a bag")
		for _, pin := range []tpm.Auth{nil, tpm.Auth("blue sky")} {
			blob, err := d.Seal(t.Context(), secret, pin)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(blob.Private, secret) || bytes.Contains(blob.Public, secret) {
				t.Error("it is in the blob")
			}
			if err := d.CheckSealed(t.Context(), blob); err != nil {
				t.Error(err)
			}
			got, err := d.Unseal(t.Context(), blob, pin)
			if err != nil || !bytes.Equal(got, secret) {
				t.Fatalf("PIN of %d: %v", len(pin), err)
			}
			bad := blob
			bad.Private = bytes.Clone(blob.Private)
			bad.Private[len(bad.Private)-1] ^= 1
			if _, err := d.Unseal(t.Context(), bad, pin); !errors.Is(err, tpm.ErrWrongTPM) {
				t.Errorf("an altered one: %v", err)
			}
		}
		if n := loaded(t, past); n != 0 {
			t.Errorf("%d handles are left", n)
		}
	})
}

func TestWhatIsNotSealed(t *testing.T) {
	d := open(t, emulator(t, "one").TCTI())
	key, err := d.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, blob := range map[string]tpm.Blob{
		"nothing": {}, "rubbish": {Public: []byte{1, 2, 3}, Private: []byte{4}},
		"too long": {Public: make([]byte, 2000), Private: []byte{4}}, "a key": key,
	} {
		if _, err := d.Unseal(t.Context(), blob, nil); !errors.Is(err, tpm.ErrInput) {
			t.Errorf("%s: got %v, want ErrInput", name, err)
		}
	}
	for _, secret := range [][]byte{nil, make([]byte, 129)} {
		if _, err := d.Seal(t.Context(), secret, nil); !errors.Is(err, tpm.ErrInput) {
			t.Errorf("%d bytes: got %v, want ErrInput", len(secret), err)
		}
	}
}

func TestAWrongPINOfASealCounts(t *testing.T) {
	e := emulator(t, "one")
	if err := e.SetDictionaryAttack(t.Context(), 2, 10*time.Minute); err != nil {
		t.Fatal(err)
	}
	d := open(t, e.TCTI())
	seal := func(pin tpm.Auth) tpm.Blob {
		t.Helper()
		blob, err := d.Seal(t.Context(), []byte("secret"), pin)
		if err != nil {
			t.Fatal(err)
		}
		return blob
	}
	guarded, free := seal(tpm.Auth("blue sky")), seal(nil)
	for _, left := range []int{1, 0} {
		_, err := d.Unseal(t.Context(), guarded, tpm.Auth("red sky"))
		var refused *tpm.AuthError
		if !errors.As(err, &refused) || refused.Left != left {
			t.Fatalf("got %v, want %d left", err, left)
		}
	}
	if _, err := d.Unseal(t.Context(), guarded, tpm.Auth("blue sky")); !errors.Is(err, tpm.ErrLockout) {
		t.Errorf("locked out, the right one: %v", err)
	}
	if _, err := d.Unseal(t.Context(), free, nil); err != nil {
		t.Errorf("without a PIN it does not lock: %v", err)
	}
	if err := e.ForgiveFailures(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Unseal(t.Context(), guarded, tpm.Auth("blue sky")); err != nil {
		t.Error(err)
	}
}

func TestASealIsOfNoUseElsewhere(t *testing.T) {
	one := emulator(t, "one")
	d := open(t, one.TCTI())
	blob, err := d.Seal(t.Context(), []byte("secret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	other := open(t, emulator(t, "two").TCTI())
	if _, err := other.Unseal(t.Context(), blob, nil); !errors.Is(err, tpm.ErrWrongTPM) {
		t.Errorf("in another TPM: %v", err)
	}
	if err := one.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Unseal(t.Context(), blob, nil); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if err := one.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.CheckSealed(t.Context(), blob); !errors.Is(err, tpm.ErrWrongTPM) {
		t.Errorf("after it was cleared: %v", err)
	}
}

// TestNothingOfASealCrossesTheBusInTheClear listens between the device and the
// TPM.
func TestNothingOfASealCrossesTheBusInTheClear(t *testing.T) {
	e := emulator(t, "one")
	tap := &tap{TPM: raw(t, e)}
	d := tpm.New(tap)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	secret, pin := []byte("thirty-two bytes that open a bag"), tpm.Auth("blue sky above")
	blob, err := d.Seal(t.Context(), secret, pin)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.Unseal(t.Context(), blob, pin); err != nil || !bytes.Equal(got, secret) {
		t.Fatal(err)
	}
	if len(tap.heard) < 1000 {
		t.Fatalf("only %d bytes were heard", len(tap.heard))
	}
	if bytes.Contains(tap.heard, secret) || bytes.Contains(tap.heard, pin) {
		t.Error("it was heard")
	}
}

// tap hears what crosses.
type tap struct {
	transport.TPM
	heard []byte
}

func (t *tap) Send(command []byte) ([]byte, error) {
	answer, err := t.TPM.Send(command)
	t.heard = append(append(t.heard, command...), answer...)
	return answer, err
}

func (t *tap) Close() error { return nil }
