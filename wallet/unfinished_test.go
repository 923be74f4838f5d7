package wallet_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// keyFiles counts the files of keys beside a purse.
func keyFiles(t *testing.T, h *wallettest.Holder) int {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(filepath.Dir(h.Path), "keys"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return len(list)
}

func TestAnEnrolmentWithAForgottenPIN(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 0)
	var told []string
	e := asAlice(town)
	e.NewPIN, e.Note = says(goodPIN), func(s string) { told = append(told, s) }
	guess := wallet.TPM{Address: town.NewTPM(t).TCTI(), PIN: says("guess")}
	alice.Wire.Once("/join", wallettest.LoseAnswer)
	_, err := alice.Enroll(t.Context(), guess, e, nil)
	want(t, err, wallettest.ErrLost)
	told, e.Name = nil, "Alice B. Example" // so that there is something to sign
	_, err = alice.Enroll(t.Context(), guess, e, nil)
	var refused *wallet.PINError
	if !errors.As(err, &refused) || !refused.Unfinished {
		t.Errorf("a guess ends with %v", err)
	}
	if !strings.Contains(strings.Join(told, "\n"), "not finished: its key has the PIN that you chose then") {
		t.Errorf("the person is told %q", told)
	}
	e.Anew, e.NewPIN = true, says("another")
	_, err = alice.Enroll(t.Context(), guess, e, nil)
	must(t, err)
	if n := keyFiles(t, alice); n != 1 {
		t.Errorf("%d key files", n)
	}
	must(t, alice.AttachTPM(t.Context(), wallet.TPM{Address: guess.Address, PIN: says("another")}))
}

func TestAKeyThatMayBeAMembersIsGivenUpWithACodeOnly(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 0)
	device := at(t, town, registrationtest.TPMA)
	e := asAlice(town)
	alice.Wire.Once("/activation", wallettest.LoseAnswer)
	_, err := alice.Enroll(t.Context(), device, e, nil)
	want(t, err, wallettest.ErrLost)
	e.Anew = true
	_, err = alice.Enroll(t.Context(), device, e, nil)
	want(t, err, wallet.ErrUnfinished)
	if n := keyFiles(t, alice); n != 1 {
		t.Fatalf("%d key files", n)
	}
	list, err := town.Group.Members(t.Context(), enrol.ID{}, 0, false)
	must(t, err)
	e.Code = readmit(t, town, list[0].ID.String())
	_, err = alice.Enroll(t.Context(), device, e, nil)
	must(t, err)
	if n := keyFiles(t, alice); n != 2 {
		t.Errorf("%d key files: the member's is gone", n)
	}
}

func TestWhatIsRefusedWithoutAPINIsRefusedBefore(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 0)
	never := func(context.Context) (tpm.Auth, error) {
		t.Error("asked for a PIN")
		return nil, nil
	}
	e := asAlice(town)
	e.NewPIN = never
	_, err := alice.Enroll(t.Context(), at(t, town, registrationtest.Stranger), e, nil)
	code(t, err, "ek-chain")
	must(t, enroll(t, town, town.NewHolder(t, 0), registrationtest.TPMA))
	_, err = alice.Enroll(t.Context(), at(t, town, registrationtest.TPMA), e, nil)
	code(t, err, "ek-registered")
	e.Name = ""
	_, err = alice.Enroll(t.Context(), at(t, town, registrationtest.TPMB), e, nil)
	want(t, err, enrol.ErrMalformed)
	if n := keyFiles(t, alice); n != 0 {
		t.Errorf("%d key files", n)
	}
}
