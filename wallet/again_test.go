package wallet_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/tpm/swtpm"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// readmit ends a membership and returns the code to continue it.
func readmit(t *testing.T, town *wallettest.Town, member string) enrol.Code {
	t.Helper()
	id, err := enrol.ParseID(member)
	must(t, err)
	r, err := town.Group.Readmit(t.Context(), id)
	must(t, err)
	return r.Code
}

func TestAMembershipIsContinued(t *testing.T) {
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

	t.Run("by the person of that name", func(t *testing.T) {
		mallory := again
		mallory.Name = "Mallory"
		_, err := alice.Enroll(t.Context(), device, mallory, nil)
		code(t, err, "identity")
	})
	t.Run("with the manager's word for it, whose successor she is", func(t *testing.T) {
		activation := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/activation") }
		for _, c := range []struct {
			name       string
			succession func() string
			want       error
		}{
			{"none", func() string { return "" }, wallet.ErrAnswer},
			{"rubbish", func() string { return "a.b.c" }, trust.ErrMalformed},
			{"that somebody else succeeds her", func() string { return town.Succession(t, tag, wallettest.Nobody()) }, wallet.ErrAnswer},
			{"that she succeeds somebody else", func() string { return town.Succession(t, wallettest.Nobody(), alice.NextTag(t.Context())) }, wallet.ErrAnswer},
		} {
			t.Run(c.name, func(t *testing.T) {
				town.GroupGate.SpoilAll(activation, func(answer map[string]any) {
					delete(answer, "successions")
					if s := c.succession(); s != "" {
						answer["successions"] = []string{s}
					}
				})
				defer town.GroupGate.SpoilAll(nil, nil)
				_, err := alice.Enroll(t.Context(), device, again, nil)
				want(t, err, c.want)
				if got := alice.Tag(); got != tag {
					t.Error("she is somebody else now")
				}
			})
		}
	})
	second, err := alice.Enroll(t.Context(), device, again, nil)
	must(t, err)
	if second.Succeeds != first.Member || second.Member == first.Member || second.KeyFile == first.KeyFile {
		t.Errorf("%+v after %+v", second, first)
	}
	before, err := alice.Formerly(t.Context())
	must(t, err)
	if len(before) != 1 || before[0].Tag != tag || before[0].Member != first.Member {
		t.Fatalf("formerly %+v", before)
	}
	s, err := enrol.ParseSuccession(town.Group.Group.Root, second.Group, before[0].Succession, town.Now())
	must(t, err)
	if s.Old != tag || s.New != alice.Tag() {
		t.Errorf("succession %+v", s)
	}

	t.Run("and its coins are kept apart from new ones", func(t *testing.T) {
		alice.Reopen(t)
		must(t, alice.AttachTPM(t.Context(), device))
		b, err := alice.Balance(t.Context())
		must(t, err)
		if b.Total != 0 || b.Stranded != 21 {
			t.Errorf("balance %+v", b)
		}
		_, err = alice.Pay(t.Context(), town.NewShop(t).Ask(t, 5))
		want(t, err, wallet.ErrFunds)
		alice.Draw(t, 9, coin.Bound)
		_, err = alice.Pay(t.Context(), town.NewShop(t).Ask(t, 5))
		must(t, err)
		worth(t, alice, 4, 0)
	})
	t.Run("without a code she can't enrol again", func(t *testing.T) {
		alice.Reopen(t)
		want(t, enroll(t, town, alice, registrationtest.TPMB), wallet.ErrEnrolled)
	})
	t.Run("nor with one in another group", func(t *testing.T) {
		other := wallettest.New(t).Group.ReadDocument(t)
		town.Forge(t, nil, func(c *groupdoc.Contents) { c.W, c.WProof = other.W, other.WProof })
		defer town.Restore()
		_, err := alice.Enroll(t.Context(), device, again, nil)
		want(t, err, wallet.ErrEnrolled)
		if got, err := alice.Formerly(t.Context()); err != nil || len(got) != 1 {
			t.Errorf("formerly %v, %v", got, err)
		}
	})
}

// TestAWithdrawalUnderWayWhenTheTPMIsCleared: its coins come, bound to the key
// that is gone.
func TestAWithdrawalUnderWayWhenTheTPMIsCleared(t *testing.T) {
	town := wallettest.New(t)
	emulator := town.NewTPM(t)
	alice := town.NewHolder(t, 100)
	device := wallet.TPM{Address: emulator.TCTI()}
	m, err := alice.Enroll(t.Context(), device, asAlice(town), nil)
	must(t, err)
	must(t, alice.AttachTPM(t.Context(), device))
	alice.Wire.Once("/v1/withdrawals", wallettest.LoseAnswer)
	_, err = alice.Withdraw(t.Context(), 7, coin.Bound, wallet.Steps{})
	want(t, err, wallet.ErrOpen)
	must(t, emulator.Clear(t.Context()))
	alice.Reopen(t)
	again := asAlice(town)
	again.Code = readmit(t, town, m.Member)
	_, err = alice.Enroll(t.Context(), device, again, nil)
	must(t, err)
	resume(t, alice)
	b, err := alice.Balance(t.Context())
	must(t, err)
	if b.Total != 0 || b.Stranded != 7 {
		t.Errorf("balance %+v", b)
	}
}

// TestAnEnrolmentWhoseKeyIsGoneBeginsAnew: nobody can be helped by a key that no
// TPM loads any more; the manager says whether it became a member.
func TestAnEnrolmentWhoseKeyIsGoneBeginsAnew(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, h *wallettest.Holder, e *swtpm.Emulator){
		"with the TPM, which was cleared": func(t *testing.T, _ *wallettest.Holder, e *swtpm.Emulator) { must(t, e.Clear(t.Context())) },
		"with its file": func(t *testing.T, h *wallettest.Holder, _ *swtpm.Emulator) {
			must(t, os.RemoveAll(filepath.Join(filepath.Dir(h.Path), "keys")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			town := wallettest.New(t)
			emulator := town.NewTPM(t)
			device := wallet.TPM{Address: emulator.TCTI()}
			alice := town.NewHolder(t, 0)
			alice.Wire.Once("/join", wallettest.LoseAnswer)
			_, err := alice.Enroll(t.Context(), device, asAlice(town), nil)
			want(t, err, wallettest.ErrLost)
			lose(t, alice, emulator)
			alice.Reopen(t)
			_, err = alice.Enroll(t.Context(), device, asAlice(town), nil)
			must(t, err)
			must(t, alice.AttachTPM(t.Context(), device))

			bob, second := town.NewHolder(t, 0), town.NewTPM(t)
			device.Address = second.TCTI()
			bob.Wire.Once("/activation", wallettest.LoseAnswer)
			_, err = bob.Enroll(t.Context(), device, asAlice(town), nil)
			want(t, err, wallettest.ErrLost)
			lose(t, bob, second)
			bob.Reopen(t)
			_, err = bob.Enroll(t.Context(), device, asAlice(town), nil)
			code(t, err, "ek-registered") // he had become a member
		})
	}
}

func TestAnEnrolmentOfBeforeHandsItsKeyOver(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 0)
	alice.Wire.Once("/activation", wallettest.LoseAnswer)
	want(t, enroll(t, town, alice, registrationtest.TPMA), wallettest.ErrLost)
	must(t, alice.KeepEnrollingKeyInPurse(t.Context()))
	must(t, os.RemoveAll(filepath.Join(filepath.Dir(alice.Path), "keys")))
	alice.Reopen(t)
	must(t, enroll(t, town, alice, registrationtest.TPMA))
	attach(t, town, alice)
}
