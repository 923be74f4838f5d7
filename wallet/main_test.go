package wallet_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"os"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

func TestMain(m *testing.M) { os.Exit(wallettest.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want fails unless err matches want.
func want(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// worth fails unless the purse has that much to spend and in open operations.
func worth(t testing.TB, h *wallettest.Holder, fresh, committed coin.Amount) {
	t.Helper()
	f, c := h.Worth(t)
	if f != fresh || c != committed {
		t.Fatalf("the purse has %d to spend and %d promised, want %d and %d", f, c, fresh, committed)
	}
}

// holds fails unless an account holds that much.
func holds(t testing.TB, town *wallettest.Town, account string, amount coin.Amount) {
	t.Helper()
	if got := town.Balance(t, account); got != amount {
		t.Fatalf("the account holds %d, want %d", got, amount)
	}
}

// last is the newest operation of a kind.
func last(t testing.TB, h *wallettest.Holder, kind string) wallet.Operation {
	t.Helper()
	ops, err := h.History(t.Context())
	must(t, err)
	for _, op := range ops {
		if op.Kind == kind {
			return op
		}
	}
	t.Fatalf("no operation of kind %s", kind)
	return wallet.Operation{}
}

// state fails unless the newest operation of a kind is in that state.
func state(t testing.TB, h *wallettest.Holder, kind, state string) {
	t.Helper()
	if op := last(t, h, kind); op.State != state {
		t.Fatalf("%s is %s, want %s: %s", kind, op.State, state, op.Note)
	}
}

// resume settles everything, or fails.
func resume(t testing.TB, h *wallettest.Holder) {
	t.Helper()
	_, err := h.Resume(t.Context())
	must(t, err)
}

func errorsIs(err, target error) bool { return errors.Is(err, target) }

func newMerchantKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return key
}

func errorsAs(err error, target any) bool { return errors.As(err, target) }
