package wallet_test

import (
	"net/http"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/tpm/swtpm"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// widow is a holder whose TPM gets cleared.
type widow struct {
	*wallettest.Holder
	town     *wallettest.Town
	emulator *swtpm.Emulator
	device   wallet.TPM
	member   string
}

// newWidow enrols a holder with a TPM of her own.
func newWidow(t *testing.T, town *wallettest.Town, money coin.Amount) *widow {
	t.Helper()
	w := &widow{Holder: town.NewHolder(t, money), town: town, emulator: town.NewTPM(t)}
	w.device = wallet.TPM{Address: w.emulator.TCTI()}
	m, err := w.Enroll(t.Context(), w.device, asAlice(town), nil)
	must(t, err)
	w.member = m.Member
	must(t, w.AttachTPM(t.Context(), w.device))
	return w
}

// loseTPM clears the TPM, and makes its owner a member again.
func (w *widow) loseTPM(t *testing.T) {
	t.Helper()
	must(t, w.emulator.Clear(t.Context()))
	w.Reopen(t)
	again := asAlice(w.town)
	again.Code = readmit(t, w.town, w.member)
	m, err := w.Enroll(t.Context(), w.device, again, nil)
	must(t, err)
	w.member = m.Member
	must(t, w.AttachTPM(t.Context(), w.device))
}

// wait lets the old membership's epoch pass.
func (w *widow) wait(t *testing.T) {
	t.Helper()
	w.town.Group.Clock.Forward(registrationtest.EpochLength + groupdoc.EpochSkew)
	w.again(t)
}

// again is the wallet after a crash, with its TPM.
func (w *widow) again(t *testing.T) {
	t.Helper()
	w.Reopen(t)
	must(t, w.AttachTPM(t.Context(), w.device))
}

// recoverAll recovers all that there is.
func (w *widow) recoverAll(t *testing.T, toAccount bool) (*wallet.Recovered, error) {
	t.Helper()
	plan, err := w.Recoverable(t.Context())
	must(t, err)
	return w.Recover(t.Context(), plan, toAccount, nil)
}

// strands fails unless so much is bound to a TPM that is gone.
func strands(t *testing.T, w *wallettest.Holder, amount coin.Amount) {
	t.Helper()
	b, err := w.Balance(t.Context())
	must(t, err)
	if b.Stranded != amount {
		t.Fatalf("%d is stranded, want %d", b.Stranded, amount)
	}
}

func TestCoinsOfAClearedTPMAreRecoveredOnce(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), newWidow(t, town, 100)
	alice.Draw(t, 21, coin.Bound) // 16 4 1
	_, err := alice.Pay(t.Context(), shop.Ask(t, 14))
	must(t, err) // change of 2, of another operation
	alice.loseTPM(t)
	strands(t, alice.Holder, 7)
	plan, err := alice.Recoverable(t.Context())
	must(t, err)
	if len(plan.Coins) != 3 || plan.Worth != 7 || plan.Payments != 0 || plan.Unproven != 0 || !plan.Coins[0].Stranded {
		t.Fatalf("what can be recovered: %+v", plan)
	}
	doc := town.Group.ReadDocument(t)
	if want := doc.Current.Ends.Add(groupdoc.EpochSkew); !plan.From.Equal(want) {
		t.Fatalf("from %v on, want %v", plan.From, want)
	}
	alice.Wire.Sent()
	waiting, err := alice.Recover(t.Context(), plan, false, nil)
	want(t, err, coin.ErrTooEarly)
	if waiting.Waiting != 7 || waiting.Coins != 0 {
		t.Errorf("%+v", waiting)
	}
	if sent := alice.Wire.Sent(); len(sent) != 0 {
		t.Errorf("the bank was shown something: %+v", sent)
	}
	copied := alice.Copy(t) // by somebody who has no TPM
	alice.wait(t)

	plan, err = alice.Recoverable(t.Context())
	must(t, err)
	if !plan.From.IsZero() {
		t.Errorf("from %v on", plan.From)
	}
	alice.Wire.Sent()
	steps := 0
	got, err := alice.Recover(t.Context(), plan, false, func(done, total int) {
		if steps++; done != 3 || total != 3 {
			t.Errorf("%d of %d", done, total)
		}
	})
	must(t, err)
	if got.Coins != 3 || got.Worth != 7 || got.Credited != 0 || got.Paid != 0 || got.Waiting != 0 || steps != 1 {
		t.Errorf("recovered: %+v", got)
	}
	for _, s := range alice.Wire.Sent() {
		if s.Authorized {
			t.Errorf("the account's token went with %s", s.Path)
		}
	}
	worth(t, alice.Holder, 7, 0)
	strands(t, alice.Holder, 0)
	state(t, alice.Holder, wallet.KindRecover, wallet.OpDone)
	got, err = alice.recoverAll(t, false)
	must(t, err)
	if got.Coins != 0 {
		t.Errorf("recovered again: %+v", got)
	}
	plan, err = copied.Recoverable(t.Context())
	must(t, err)
	_, err = copied.Recover(t.Context(), plan, false, nil)
	want(t, err, wallet.ErrNoTPM)
	_, err = alice.Pay(t.Context(), shop.Ask(t, 7))
	must(t, err) // what came back is good
	if n := town.Cases(t); n != 0 {
		t.Errorf("%d cases against an honest holder", n)
	}
	town.CheckBooks(t)
}

// TestTwoCopiesOfAPurseRecoverOnce: the second, which has the same TPM, is told.
func TestTwoCopiesOfAPurseRecoverOnce(t *testing.T) {
	town := wallettest.New(t)
	alice := newWidow(t, town, 100)
	alice.Draw(t, 12, coin.Bound)
	alice.loseTPM(t)
	alice.wait(t)
	second := &widow{Holder: alice.Copy(t), town: town, device: alice.device}
	must(t, alice.AttachTPM(t.Context(), alice.device))
	alice.Draw(t, 12, coin.Bound) // or both would ask for the very same coins
	_, err := alice.recoverAll(t, false)
	must(t, err)
	worth(t, alice.Holder, 24, 0)
	alice.Reopen(t)
	must(t, second.AttachTPM(t.Context(), second.device))
	_, err = second.recoverAll(t, false)
	want(t, err, wallet.ErrSpent)
	worth(t, second.Holder, 0, 0)
	strands(t, second.Holder, 0)
	if n := town.Cases(t); n != 0 {
		t.Errorf("%d cases", n)
	}
	town.CheckBooks(t)
}

// TestARecoverSurvivesEveryLoss: each request of it is lost once, and each
// answer, and the wallet crashes; what was begun is finished without a TPM.
func TestARecoverSurvivesEveryLoss(t *testing.T) {
	town := wallettest.New(t)
	alice := newWidow(t, town, 400)
	lost, drawn := 0, coin.Amount(0)
	for _, toAccount := range []bool{false, true}[:max(1, 2/slower)] {
		for _, fate := range []wallettest.Fate{wallettest.LoseRequest, wallettest.LoseAnswer} {
			for n := 1; ; n++ {
				alice.Draw(t, 6, coin.Bound)
				drawn += 6
				alice.loseTPM(t)
				alice.wait(t)
				_, err := alice.Keyset(t.Context()) // the bank is asked for a newer one in any case
				must(t, err)
				before, _ := alice.Worth(t)
				held := town.Balance(t, alice.Account)
				seen := 0
				alice.Wire.Decree(func(*http.Request) wallettest.Fate {
					if seen++; seen == n {
						return fate
					}
					return wallettest.Deliver
				})
				plan, err := alice.Recoverable(t.Context())
				if err == nil {
					_, err = alice.Recover(t.Context(), plan, toAccount, nil)
				}
				alice.Wire.Decree(nil)
				done := seen < n
				if done {
					must(t, err)
				} else {
					if err == nil {
						t.Fatalf("request %d was lost and nobody noticed", n)
					}
					lost++
					alice.Reopen(t)
					resume(t, alice.Holder)
					alice.again(t)
					_, err = alice.recoverAll(t, toAccount)
					must(t, err)
				}
				strands(t, alice.Holder, 0)
				fresh, _ := alice.Worth(t)
				credited := town.Balance(t, alice.Account) - held
				if got := fresh - before + credited; got < 6 || toAccount && credited < 6 {
					t.Fatalf("%d came back, %d of it to the account", got, credited)
				}
				if done {
					break
				}
			}
		}
	}
	if lost < 4/min(2, slower) {
		t.Errorf("%d losses", lost)
	}
	fresh, committed := alice.Worth(t)
	if fresh+committed+town.Balance(t, alice.Account) != 400 {
		t.Errorf("%d of coins, %d promised and %d on the account", fresh, committed, town.Balance(t, alice.Account))
	}
	town.CheckBooks(t)
}
