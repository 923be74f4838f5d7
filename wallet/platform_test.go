package wallet_test

import (
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/tpm/swtpm"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

func update(t *testing.T, e *swtpm.Emulator, pcr int) {
	t.Helper()
	must(t, e.ExtendPCR(t.Context(), pcr, sha256.Sum256([]byte("an update"))))
}

// pays makes a payment in bound coins.
func pays(t *testing.T, town *wallettest.Town, h *wallettest.Holder) error {
	t.Helper()
	_, err := h.Pay(t.Context(), town.NewShop(t).Ask(t, 1), coin.Bound)
	return err
}

func TestAMemberPaysOnApprovedPlatformsOnly(t *testing.T) {
	town := wallettest.New(t)
	e := town.NewTPM(t)
	machine := wallet.TPM{Address: e.TCTI()}
	manager := town.NewApprover(t)
	must(t, manager.Publish(t))
	alice := town.NewHolder(t, 100)

	// Nobody enrols on a machine that nobody has approved.
	_, err := alice.Enroll(t.Context(), machine, asAlice(town), nil)
	want(t, err, wallet.ErrPlatform)
	if err.Error() == "" || alice.Enrolled() {
		t.Fatalf("enrolled, or %v", err)
	}
	manager.Approve(t, "as shipped", e.TCTI(), 0, 7)
	_, err = alice.Enroll(t.Context(), machine, asAlice(town), nil)
	must(t, err)
	must(t, alice.AttachTPM(t.Context(), machine))
	alice.Draw(t, 16, coin.Bound)
	must(t, pays(t, town, alice))

	// An update: at once, and at the next start of the program.
	update(t, e, 7)
	want(t, pays(t, town, alice), wallet.ErrPlatform)
	alice.Reopen(t)
	err = alice.AttachTPM(t.Context(), machine)
	want(t, err, wallet.ErrPlatform)
	var refused *wallet.PlatformError
	if !errors.As(err, &refused) || refused.State != "as shipped" || !slices.Equal(refused.PCRs, []int{7}) ||
		refused.Error() != "this machine's start-up state (PCR 7) is not one that TESTGROUP has approved" {
		t.Fatalf("it says %v", err)
	}

	// The new state is approved: the same membership, the same coins. Nobody
	// has to be told; the wallet looks for a newer document.
	before, fresh := alice.Enrolled(), coin.Amount(0)
	fresh, _ = alice.Worth(t)
	manager.Approve(t, "after the update", e.TCTI(), 0, 7)
	must(t, alice.AttachTPM(t.Context(), machine))
	resume(t, alice)
	must(t, pays(t, town, alice))
	if now, _ := alice.Worth(t); !before || now >= fresh+1 {
		t.Fatalf("%d before, %d now", fresh, now)
	}
	town.CheckBooks(t)
}

func TestAPlatformRuleStaysAsMembersKnowIt(t *testing.T) {
	town := wallettest.New(t)
	e := town.NewTPM(t)
	manager := town.NewApprover(t)
	manager.Approve(t, "as shipped", e.TCTI(), 7)
	alice := town.NewHolder(t, 0)
	_, err := alice.Enroll(t.Context(), wallet.TPM{Address: e.TCTI()}, asAlice(town), nil)
	must(t, err)
	want(t, town.NewApprover(t).Publish(t), registration.ErrTemplateFixed)
	want(t, town.Group.Reload(t.Context(), town.Group.Config.Policy), registration.ErrTemplateFixed)
	must(t, manager.Publish(t))
}

func TestARuleIsNotImposedOnMembersWhoHaveNone(t *testing.T) {
	town := wallettest.New(t)
	e := town.NewTPM(t)
	alice := town.NewHolder(t, 0)
	_, err := alice.Enroll(t.Context(), wallet.TPM{Address: e.TCTI()}, asAlice(town), nil)
	must(t, err)
	want(t, town.NewApprover(t).Publish(t), registration.ErrTemplateFixed)
}

// TestAKeyOfBeforeTheRuleIsMadeAnew: an enrolment that was begun under one rule
// is finished under another.
func TestAKeyOfBeforeTheRuleIsMadeAnew(t *testing.T) {
	town := wallettest.New(t)
	e := town.NewTPM(t)
	machine := wallet.TPM{Address: e.TCTI()}
	alice := town.NewHolder(t, 0)
	begun := func() {
		t.Helper()
		alice.Wire.Once("/join", wallettest.LoseRequest)
		_, err := alice.Enroll(t.Context(), machine, asAlice(town), nil)
		want(t, err, wallettest.ErrLost)
	}
	begun() // without a rule
	town.NewApprover(t).Approve(t, "as shipped", e.TCTI(), 7)
	begun() // under one
	town.NewApprover(t).Approve(t, "as shipped", e.TCTI(), 7)
	begun() // under another
	must(t, town.Group.Reload(t.Context(), town.Group.Config.Policy))
	begun() // without one again
	town.NewApprover(t).Approve(t, "as shipped", e.TCTI(), 7)
	_, err := alice.Enroll(t.Context(), machine, asAlice(town), nil)
	must(t, err)
}
