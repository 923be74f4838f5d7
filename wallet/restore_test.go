package wallet_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// lose makes a new purse of what a backup of h says, and nothing else. h is not
// used any more.
func lose(t *testing.T, town *wallettest.Town, h *wallettest.Holder) *wallettest.Holder {
	t.Helper()
	saved, err := h.Backup(t.Context())
	must(t, err)
	return town.NewHolderFrom(t, saved, h)
}

// restore finds everything, or fails.
func restore(t testing.TB, h *wallettest.Holder, o wallet.RestoreOptions) *wallet.Restored {
	t.Helper()
	r, err := h.Restore(t.Context(), o)
	must(t, err)
	return r
}

func TestALostPurseIsMadeAgain(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 200)
	alice.Enrol(t, registrationtest.TPMA)
	alice.Draw(t, 40, coin.Bearer)
	alice.Draw(t, 21, coin.Bound)
	_, err := alice.Pay(t.Context(), shop.Ask(t, 5), coin.Bearer)
	must(t, err)
	_, err = alice.Exchange(t.Context(), coin.Bound)
	must(t, err)
	worth(t, alice, 56, 0)
	// A withdrawal whose answer never came is the bank's only.
	alice.Wire.Once("/withdrawals", wallettest.LoseAnswer)
	_, err = alice.Withdraw(t.Context(), 9, coin.Bearer, wallet.Steps{})
	want(t, err, wallet.ErrOpen)

	back := lose(t, town, alice)
	worth(t, back, 0, 0)
	r := restore(t, back, wallet.RestoreOptions{})
	if r.Worth != 35+9 || r.Skipped == 0 || r.Dormant != 0 {
		t.Errorf("without the TPM it found %+v", r)
	}
	worth(t, back, 44, 0)
	must(t, back.AttachTPM(t.Context(), wallet.TPM{Address: town.TPM(t, registrationtest.TPMA)}))
	var steps []int
	r = restore(t, back, wallet.RestoreOptions{Progress: func(done, total int) { steps = append(steps, done*100/total) }})
	if r.Worth != 21 || r.Dormant == 0 || r.Spent == 0 || r.Skipped != 0 {
		t.Errorf("with the TPM it found %+v", r)
	}
	if len(steps) == 0 || steps[len(steps)-1] != 100 {
		t.Errorf("progress %v", steps)
	}
	if again := restore(t, back, wallet.RestoreOptions{}); again.Coins != 0 {
		t.Errorf("a second look found %+v", again)
	}

	// Bound coins wake when no merchant can have a payment with them any more.
	worth(t, back, 44, 0)
	resume(t, back)
	worth(t, back, 44, 0)
	town.Group.Clock.Forward(wallet.DormantFor)
	resume(t, back)
	worth(t, back, 65, 0)

	// They are as good as ever: paid with, and counted on from.
	back.Reopen(t) // for a credential of the epoch that it is now
	must(t, back.AttachTPM(t.Context(), wallet.TPM{Address: town.TPM(t, registrationtest.TPMA)}))
	_, err = back.Pay(t.Context(), shop.Ask(t, 19), coin.Bound)
	must(t, err)
	_, err = back.Pay(t.Context(), shop.Ask(t, 44), coin.Bearer)
	must(t, err)
	back.Draw(t, 31, coin.Bearer)
	worth(t, back, 33, 0)
	holds(t, town, shop.Account, 68)
	if n := town.Cases(t); n != 0 {
		t.Errorf("%d cases against an honest holder", n)
	}
	town.CheckBooks(t)
}

// TestRefundsAreFoundInARestore: also one that the purse was lost before it had.
func TestRefundsAreFoundInARestore(t *testing.T) {
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		t.Run(string(kind), func(t *testing.T) {
			town, shop, alice, p, op := sale(t, kind)
			for _, lost := range []bool{false, true} {
				_, err := shop.OfferRefund(t.Context(), op, 4, nil)
				must(t, err)
				if lost {
					shop.Wire.Once("/v1/refunds", wallettest.LoseAnswer)
				}
				if _, err = alice.Refund(t.Context(), p.ID); !lost {
					must(t, err)
				} else {
					want(t, err, wallet.ErrOpen)
				}
			}
			holds(t, town, shop.Account, 5)
			back := lose(t, town, alice)
			if kind == coin.Bound {
				must(t, back.AttachTPM(t.Context(), wallet.TPM{Address: town.TPM(t, registrationtest.TPMA)}))
			}
			if r := restore(t, back, wallet.RestoreOptions{Settled: true}); r.Worth != 3+4+4 {
				t.Errorf("found %+v", r)
			}
			worth(t, back, 11, 0)
			_, err := back.Pay(t.Context(), shop.Ask(t, 11), kind)
			must(t, err)
			holds(t, town, shop.Account, 16)
			town.CheckBooks(t)
		})
	}
}

func TestARestoreByWhoKnowsThatNothingWasOpenWaitsForNothing(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	alice.Enrol(t, registrationtest.TPMA)
	alice.Draw(t, 21, coin.Bound)
	back := lose(t, town, alice)
	must(t, back.AttachTPM(t.Context(), wallet.TPM{Address: town.TPM(t, registrationtest.TPMA)}))
	if r := restore(t, back, wallet.RestoreOptions{Settled: true}); r.Worth != 21 || r.Dormant != 0 {
		t.Errorf("found %+v", r)
	}
	worth(t, back, 21, 0)
}

func TestAnInterruptedRestoreGoesOn(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 200)
	alice.Draw(t, 93, coin.Bearer)
	for _, path := range []string{"/v1/restore", "/v1/coins"} {
		for _, fate := range []wallettest.Fate{wallettest.LoseRequest, wallettest.LoseAnswer} {
			back := lose(t, town, alice)
			var total coin.Amount
			for try := 0; ; try++ {
				back.Wire.Once(path, fate)
				if try == 3 {
					back.Wire.Decree(nil)
				}
				r, err := back.Restore(t.Context(), wallet.RestoreOptions{Gap: 20})
				total += r.Worth
				if err == nil {
					break
				}
				if !errors.Is(err, wallettest.ErrLost) {
					t.Fatal(err)
				}
				back.Reopen(t)
			}
			if total != 93 {
				t.Errorf("%s: found %d", path, total)
			}
			worth(t, back, 93, 0)
		}
	}
}

func TestAKeyThatWasDestroyedInItsTimeHoldsNoRestoreUp(t *testing.T) {
	town := wallettest.New(t)
	town.Mint(t, coin.Bearer, 64, func(d *coin.Denomination) {
		d.IssueUntil, d.SpendUntil = town.Now().Truncate(time.Second).Add(time.Hour), town.Now().Truncate(time.Second).Add(2*time.Hour)
	})
	alice := town.NewHolder(t, 100)
	alice.Draw(t, 71, coin.Bearer)
	town.Group.Clock.Forward(2 * time.Hour)
	town.Destroy(t, coin.Bearer, 64)
	town.Rotate(t, func(k *coin.Keyset) { slices.Reverse(k.Denominations) }) // the key that is gone comes first
	back := lose(t, town, alice)
	restore(t, back, wallet.RestoreOptions{})
	worth(t, back, 7, 0)
}

func TestTheBankIsNotBelievedInARestore(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	alice.Draw(t, 7, coin.Bearer)
	for name, spoilt := range map[string]struct {
		path   string
		change func(answer map[string]any)
	}{
		"an answer too few":    {"/v1/restore", func(a map[string]any) { a["outputs"] = a["outputs"].([]any)[1:] }},
		"a signature of rot":   {"/v1/restore", each(func(o map[string]any) { o["signature"] = strings.Repeat("A", 342) })},
		"no signature":         {"/v1/restore", each(func(o map[string]any) { o["signature"] = "" })},
		"an operation's rest":  {"/v1/restore", each(func(o map[string]any) { o["op"] = "AAAA" })},
		"half of an answer":    {"/v1/restore", each(func(o map[string]any) { delete(o, "index") })},
		"states of other many": {"/v1/coins", func(a map[string]any) { a["states"] = []any{"unspent", "unspent"} }},
	} {
		t.Run(name, func(t *testing.T) {
			back := lose(t, town, alice)
			town.BankGate.Spoil(spoilt.path, func(a map[string]any) { spoilt.change(a) })
			_, err := back.Restore(t.Context(), wallet.RestoreOptions{})
			want(t, err, wallet.ErrAnswer)
			worth(t, back, 0, 0)
			town.BankGate.Instead(spoilt.path, nil)
			restore(t, back, wallet.RestoreOptions{})
			worth(t, back, 7, 0)
		})
	}
}

// each changes those outputs that the bank knows.
func each(change func(o map[string]any)) func(map[string]any) {
	return func(a map[string]any) {
		for _, o := range a["outputs"].([]any) {
			if m := o.(map[string]any); m["op"] != nil {
				change(m)
			}
		}
	}
}

func TestAnOlderCopyOfAPurseDrawsNothingTwice(t *testing.T) {
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		t.Run(string(kind), func(t *testing.T) {
			town := wallettest.New(t)
			shop, alice := town.NewShop(t), town.NewHolder(t, 100)
			alice.Enrol(t, registrationtest.TPMA)
			alice.Draw(t, 16, kind)
			old := alice.Copy(t)
			if kind == coin.Bound {
				for _, h := range []*wallettest.Holder{old, alice} {
					must(t, h.AttachTPM(t.Context(), wallet.TPM{Address: town.TPM(t, registrationtest.TPMA)}))
				}
			}
			alice.Draw(t, 7, kind)
			_, err := alice.Pay(t.Context(), shop.Ask(t, 4), kind) // with one of them
			must(t, err)

			// The same amount is the same request at the bank, which would give the
			// same coins again, one of them spent; another amount has some of them.
			for i, amount := range []coin.Amount{7, 3} {
				var told *wallet.ReusedError
				coins, err := old.Withdraw(t.Context(), amount, kind, wallet.Steps{Reused: func(e *wallet.ReusedError) { told = e }})
				must(t, err)
				if sum := values(coins); sum != amount {
					t.Errorf("drew %d, not %d", sum, amount)
				}
				if (told != nil) != (i == 0) {
					t.Errorf("withdrawal %d: told %v", i, told)
				}
				if told != nil && (told.Found.Coins != 3 || told.Found.Spent != 1) {
					t.Errorf("found %+v", told.Found)
				}
			}
			town.Group.Clock.Forward(wallet.DormantFor)
			resume(t, old)
			worth(t, old, 16+3+7+3, 0)
			holds(t, town, old.Account, 100-16-7-7-3)
			town.CheckBooks(t)
		})
	}
}

func values(coins []wallet.StoredCoin) (sum coin.Amount) {
	for _, c := range coins {
		sum += c.Value
	}
	return sum
}

func TestAnOlderCopyExchangesWithOtherNumbers(t *testing.T) {
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		t.Run(string(kind), func(t *testing.T) {
			town := wallettest.New(t)
			alice := town.NewHolder(t, 100)
			alice.Enrol(t, registrationtest.TPMA)
			alice.Draw(t, 16, kind)
			old := alice.Copy(t)
			if kind == coin.Bound {
				for _, h := range []*wallettest.Holder{old, alice} {
					must(t, h.AttachTPM(t.Context(), wallet.TPM{Address: town.TPM(t, registrationtest.TPMA)}))
				}
			}
			alice.Draw(t, 16, kind) // number 1, which the copy would use for what comes back
			n, err := old.Exchange(t.Context(), kind)
			must(t, err)
			if n != 1 {
				t.Errorf("exchanged %d", n)
			}
			town.Group.Clock.Forward(wallet.DormantFor)
			resume(t, old)
			worth(t, old, 32, 0)
			town.CheckBooks(t)
		})
	}
}

func TestAnOlderCopyWhoseChangeIsUsedPaysAgain(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 16, coin.Bearer)
	old := alice.Copy(t)
	alice.Draw(t, 3, coin.Bearer)
	link := shop.Ask(t, 13) // change of 2 and 1
	p, err := old.Pay(t.Context(), link)
	want(t, err, wallet.ErrPromised)
	want(t, err, wallet.ErrReused)
	worth(t, old, 3, 16)
	must(t, old.Reclaim(t.Context(), p.ID))
	worth(t, old, 19, 0)
	_, err = old.Pay(t.Context(), shop.Ask(t, 13))
	must(t, err)
	worth(t, old, 6, 0)
	holds(t, town, shop.Account, 13)
	town.CheckBooks(t)
}

// TestAWithdrawalThatWasRefusedAndArrivesLate: the first try was lost on its way;
// a second was refused, since the money had not come yet; and then the first arrives.
func TestAWithdrawalThatWasRefusedAndArrivesLate(t *testing.T) {
	for name, find := range map[string]func(t testing.TB, town *wallettest.Town, h *wallettest.Holder){
		"and resume takes it up": func(t testing.TB, _ *wallettest.Town, h *wallettest.Holder) { resume(t, h) },
		"and a restore finds it": func(t testing.TB, town *wallettest.Town, h *wallettest.Holder) {
			town.Group.Clock.Forward(40 * 24 * time.Hour)
			resume(t, h)
			worth(t, h, 0, 0)
			restore(t, h, wallet.RestoreOptions{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			town := wallettest.New(t) // one of its own: its clock goes forward
			alice := town.NewHolder(t, 0)
			alice.Wire.Once("/withdrawals", wallettest.LoseRequest)
			_, err := alice.Withdraw(t.Context(), 9, coin.Bearer, wallet.Steps{})
			want(t, err, wallet.ErrOpen)
			var lost wallettest.Sent
			for _, s := range alice.Wire.Sent() {
				if s.Path == "/v1/withdrawals" {
					lost = s
				}
			}
			_, err = alice.Resume(t.Context())
			if err == nil {
				t.Fatal("it was drawn from an empty account")
			}
			state(t, alice, wallet.KindWithdraw, wallet.OpRefused)
			town.Fund(t, alice.Account, 9)
			town.Replay(t, lost, alice.Token)
			holds(t, town, alice.Account, 0)
			find(t, town, alice)
			worth(t, alice, 9, 0)
			town.CheckBooks(t)
		})
	}
}

// TestRestoredCoinsAreMadeGood: what a lost purse knew of where its coins came from
// is asked for again.
func TestRestoredCoinsAreMadeGood(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 24, coin.Bearer)
	_, err := alice.Pay(t.Context(), shop.Ask(t, 6)) // change of 2
	must(t, err)
	town.Revoke(t, coin.Bearer, 2, 16)
	back := lose(t, town, alice)
	restore(t, back, wallet.RestoreOptions{})
	plan, err := back.Recoupable(t.Context())
	must(t, err)
	done, err := back.Recoup(t.Context(), plan, false)
	must(t, err)
	if done.Worth != 18 {
		t.Errorf("made good: %+v", done)
	}
	worth(t, back, 18, 0)
	town.CheckBooks(t)
}

func TestABackupSaysWhatAPurseIsAndNothingElse(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	alice.Enrol(t, registrationtest.TPMA)
	saved, err := alice.Backup(t.Context())
	must(t, err)
	if bytes.Contains(saved, []byte(alice.Token)) {
		t.Error("the account's token is in it")
	}
	dir := t.TempDir()
	create := func(data []byte) error {
		return wallet.CreateFromBackup(t.Context(), filepath.Join(dir, "purse.db"), data, wallet.Lock{Kind: wallet.LockPlain})
	}
	flip := func(old, new string) []byte {
		out := bytes.Replace(saved, []byte(old), []byte(new), 1)
		if bytes.Equal(out, saved) {
			t.Fatalf("no %s in a backup", old)
		}
		return out
	}
	for name, data := range map[string][]byte{
		"nothing":                      nil,
		"more than one can be":         make([]byte, wallet.MaxBackup+1),
		"half of it":                   saved[:len(saved)/2],
		"of a later version":           flip(`"v": 1`, `"v": 2`),
		"of another kind":              flip(`specie-backup`, `specie-backdoor`),
		"with a member too many":       flip(`"v": 1`, `"v": 1, "w": 1`),
		"with a short seed":            flip(`"seed": "`, `"seed": "AA`),
		"without a root":               flip("BEGIN CERTIFICATE", "BEGIN NOTHING"),
		"with a bank of no address":    flip(`"bank": "http`, `"bank": "gopher`),
		"with a key file elsewhere":    flip(`"file": "`, `"file": "../`),
		"with a key file that is none": flip("-----BEGIN TSS2 PRIVATE KEY", "-----BEGUN TSS2 PRIVATE KEY"),
	} {
		if err := create(data); !errors.Is(err, wallet.ErrBackup) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("a backup that was refused left %v, %v", left, err)
	}
	must(t, create(saved))
	want(t, create(saved), wallet.ErrExists)
	if info, err := os.Stat(filepath.Join(dir, "keys", filepath.Base(alice.KeyPath()))); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, %v", info, err)
	}
	w, err := wallet.Open(t.Context(), filepath.Join(dir, "purse.db"), wallet.Options{})
	must(t, err)
	again, err := w.Backup(context.WithoutCancel(t.Context()))
	must(t, err)
	must(t, w.Close())
	if !bytes.Equal(again, saved) {
		t.Error("the backup of the new purse is another")
	}
}

// FuzzBackup: what is taken for a backup makes a purse that opens, and anything
// else leaves nothing behind.
func FuzzBackup(f *testing.F) {
	f.Add([]byte(`{"v":1,"type":"specie-backup","seed":"AAAA","root":"","bank":"http://127.0.0.1:1"}`))
	f.Add([]byte(`{"v":1,"type":"specie-backup","seed":"` + strings.Repeat("A", 43) + `","root":"-----BEGIN CERTIFICATE-----","bank":"http://127.0.0.1:1","keys":[{"file":"../x.pem","pem":""}]}`))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, "purse.db")
		if err := wallet.CreateFromBackup(t.Context(), path, data, wallet.Lock{Kind: wallet.LockPlain}); err != nil {
			want(t, err, wallet.ErrBackup)
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Fatalf("it left %v, %v", left, err)
			}
			return
		}
		w, err := wallet.Open(t.Context(), path, wallet.Options{})
		must(t, err)
		must(t, w.Close())
	})
}
