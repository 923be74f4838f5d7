package wallet_test

import (
	"os"
	"testing"

	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

func TestTheKeyIsTriedWithoutItsPIN(t *testing.T) {
	town := wallettest.New(t)
	emulator := town.NewTPM(t)
	alice := town.NewHolder(t, 0)
	want(t, alice.TryKey(t.Context(), emulator.TCTI()), wallet.ErrNotEnrolled)
	enrollWithPIN(t, town, alice, emulator.TCTI())
	must(t, alice.TryKey(t.Context(), emulator.TCTI()))
	want(t, alice.TryKey(t.Context(), town.TPM(t, registrationtest.TPMB)), wallet.ErrWrongTPM)

	ends, err := alice.CredentialEnds(t.Context())
	must(t, err)
	if left := ends.Sub(town.Now()); left <= 0 || left > registrationtest.EpochLength {
		t.Errorf("the credential is good for %v", left)
	}
	town.Group.Clock.Forward(registrationtest.EpochLength)
	if ends, err = alice.CredentialEnds(t.Context()); err != nil || !ends.IsZero() {
		t.Errorf("an epoch later: %v, %v", ends, err)
	}

	must(t, emulator.Clear(t.Context()))
	want(t, alice.TryKey(t.Context(), emulator.TCTI()), wallet.ErrCleared)
	must(t, os.Remove(alice.KeyPath()))
	want(t, alice.TryKey(t.Context(), emulator.TCTI()), wallet.ErrKeyFile)
}
