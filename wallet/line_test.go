package wallet_test

import (
	"bytes"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// TestTheWordOnAMembershipNobodyUsedIsNotLost: the TPM is cleared, the
// activation's answer is lost, and the TPM is cleared once more.
func TestTheWordOnAMembershipNobodyUsedIsNotLost(t *testing.T) {
	town := wallettest.New(t)
	emulator := town.NewTPM(t)
	alice := town.NewHolder(t, 100)
	device := wallet.TPM{Address: emulator.TCTI()}
	first, err := alice.Enroll(t.Context(), device, asAlice(town), nil)
	must(t, err)
	must(t, alice.AttachTPM(t.Context(), device))
	alice.Draw(t, 21, coin.Bound)
	tag := alice.Tag()
	must(t, emulator.Clear(t.Context()))
	alice.Reopen(t)
	again := asAlice(town)
	again.Code = readmit(t, town, first.Member)
	alice.Wire.Once("/activation", wallettest.LoseAnswer)
	_, err = alice.Enroll(t.Context(), device, again, nil)
	want(t, err, wallettest.ErrLost)
	must(t, emulator.Clear(t.Context()))
	alice.Reopen(t)
	list, err := town.Group.Members(t.Context(), enrol.ID{}, 0, false)
	must(t, err)
	for _, m := range list {
		if m.State == ledger.MemberActive {
			again.Code = readmit(t, town, m.ID.String())
		}
	}
	_, err = alice.Enroll(t.Context(), device, again, nil)
	must(t, err)

	leads := func() [][]byte {
		t.Helper()
		former, err := alice.Formerly(t.Context())
		must(t, err)
		if len(former) != 1 || len(former[0].Then) != 1 {
			t.Fatalf("formerly %+v", former)
		}
		words := append([][]byte{former[0].Succession}, former[0].Then...)
		line, err := enrol.ParseLine(town.Group.Group.Root, town.Group.Name(), words, alice.Tag(), town.Now())
		must(t, err)
		if line[0].Old != tag {
			t.Fatal("they begin with somebody else")
		}
		return words
	}
	before := leads()
	t.Run("and each renewal brings newer ones", func(t *testing.T) {
		town.Group.Clock.Forward(registrationtest.EpochLength)
		alice.Reopen(t)
		must(t, alice.AttachTPM(t.Context(), device))
		for i, word := range leads() {
			if bytes.Equal(word, before[i]) {
				t.Errorf("word %d is the old one", i)
			}
		}
	})
	t.Run("and with them its coins come back", func(t *testing.T) {
		town.Group.Clock.Forward(2 * registrationtest.EpochLength)
		alice.Reopen(t)
		must(t, alice.AttachTPM(t.Context(), device))
		plan, err := alice.Recoverable(t.Context())
		must(t, err)
		got, err := alice.Recover(t.Context(), plan, false, nil)
		must(t, err)
		if got.Worth != 21 {
			t.Fatalf("got %+v", got)
		}
	})
}
