package wallet_test

import (
	"context"
	"errors"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// faulty is a TPM that computes tags wrongly.
type faulty struct{ group.Key }

func (f faulty) Commit(ctx context.Context, p1 *fp256bn.G1, s2 []byte, y2 [32]byte) (k, l, e fp256bn.G1, counter uint16, err error) {
	k, l, e, counter, err = f.Key.Commit(ctx, p1, s2, y2)
	if p1 == nil {
		k = k.Add(k)
	}
	return k, l, e, counter, err
}

// TestAFaultyTPMCostsNoMoney: a coin with a wrong tag could never be spent.
func TestAFaultyTPMCostsNoMoney(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	alice.Enrol(t, registrationtest.TPMA)
	alice.WrapKey(func(k group.Key) group.Key { return faulty{k} })
	alice.Wire.Sent()
	if _, err := alice.Withdraw(t.Context(), 12, coin.Bound, wallet.Steps{}); err == nil || errors.Is(err, wallet.ErrOpen) {
		t.Fatalf("got %v", err)
	}
	for _, s := range alice.Wire.Sent() {
		if s.Path == "/v1/withdrawals" {
			t.Error("the wrong tags were sent")
		}
	}
	holds(t, town, alice.Account, 100)
}

// broken is a TPM that answers so many more commits and then none.
type broken struct {
	group.Key
	left int
}

func (b *broken) Commit(ctx context.Context, p1 *fp256bn.G1, s2 []byte, y2 [32]byte) (k, l, e fp256bn.G1, counter uint16, err error) {
	if b.left--; b.left < 0 {
		return k, l, e, 0, tpm.ErrUnavailable
	}
	return b.Key.Commit(ctx, p1, s2, y2)
}

// TestNoCoinNumberIsUsedTwice: whatever becomes of a withdrawal, before or after
// anything was sent, the next one has other numbers, and so other tags.
func TestNoCoinNumberIsUsedTwice(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	alice.Enrol(t, registrationtest.TPMA)
	sent := map[string]bool{}
	collect := func() (n int) {
		for _, s := range alice.Wire.Sent() {
			if s.Path == "/v1/withdrawals" {
				n++
				if sent[string(s.Body)] {
					t.Error("the same coins were asked for twice")
				}
				sent[string(s.Body)] = true
			}
		}
		return n
	}
	for left := range 5 { // 4 tags and the presentation over them
		alice.WrapKey(func(k group.Key) group.Key { return &broken{k, left} })
		_, err := alice.Withdraw(t.Context(), 15, coin.Bound, wallet.Steps{})
		want(t, err, tpm.ErrUnavailable)
		if collect() != 0 {
			t.Fatal("something was sent")
		}
		alice.Reopen(t)
		attach(t, town, alice)
	}
	holds(t, town, alice.Account, 100)
	for range 3 {
		alice.Draw(t, 15, coin.Bound)
		if collect() != 1 {
			t.Fatal("nothing was sent")
		}
	}
	numbers := map[coin.KeyID]map[uint64]bool{}
	coins, err := alice.Coins(t.Context())
	must(t, err)
	for _, c := range coins {
		if numbers[c.KeyID] == nil {
			numbers[c.KeyID] = map[uint64]bool{}
		}
		if numbers[c.KeyID][c.Index] || c.Index < 5 {
			t.Errorf("coin number %d of key %s was taken before", c.Index, c.KeyID)
		}
		numbers[c.KeyID][c.Index] = true
	}
	if len(coins) != 12 {
		t.Errorf("%d coins", len(coins))
	}
}

// TestAllWorkOfTheTPMIsReported: a discrete chip takes seconds for each.
func TestAllWorkOfTheTPMIsReported(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	must(t, enroll(t, town, alice, registrationtest.TPMA))
	opened, tags := 0, 0
	device := at(t, town, registrationtest.TPMA)
	device.Opening = func(done, total int) { opened = 100 * done / total }
	device.Tags = func(int, int) { tags++ }
	must(t, alice.AttachTPM(t.Context(), device))
	if opened != 100 {
		t.Errorf("opening it was reported to %d %%", opened)
	}
	shop := town.NewShop(t)
	for _, step := range []struct {
		name string
		work func() error
		tags int
	}{
		{"withdrawing", func() error {
			_, err := alice.Withdraw(t.Context(), 16, coin.Bound, wallet.Steps{})
			return err
		}, 1},
		{"paying with change", func() error {
			_, err := alice.Pay(t.Context(), shop.Ask(t, 11), coin.Bound)
			return err
		}, 2},
		{"exchanging", func() error {
			_, err := alice.Exchange(t.Context(), coin.Bound)
			return err
		}, 2},
		{"bearer coins need no TPM", func() error {
			_, err := alice.Withdraw(t.Context(), 7, coin.Bearer, wallet.Steps{})
			return err
		}, 0},
	} {
		tags = 0
		must(t, step.work())
		if tags != step.tags {
			t.Errorf("%s: %d tags were reported, want %d", step.name, tags, step.tags)
		}
	}
}
