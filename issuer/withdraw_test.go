package issuer_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
)

func TestAWithdrawalMakesCoinsAndMovesTheirValue(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	account, _ := b.Funded(t, 100)
	p := h.NewPurse(t)
	batch := p.Prepare(t, 16, 8, 4, 2, 1, 1)
	signed, err := b.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, nil)
	if signed.Op != coin.WithdrawalOp(account.ID, batch.Outputs) {
		t.Error("the answer names another operation")
	}
	coins := batch.Finalize(t, signed.Signatures)
	for i := range coins {
		if _, err := h.Keyset.VerifyCoin(&coins[i]); err != nil {
			t.Errorf("coin %d: %v", i, err)
		}
	}
	b.CheckBooks(t, 100-32, 0, 32)
}

// output is an output that is well-formed but for what change does to it.
func output(t *testing.T, h *issuertest.House, value coin.Amount, change func(*coin.Output)) []coin.Output {
	t.Helper()
	out := h.NewPurse(t).Prepare(t, value).Outputs
	if change != nil {
		change(&out[0])
	}
	return out
}

func TestAWithdrawalIsRefusedWithNothingLost(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	account, _ := b.Funded(t, 20)
	till := b.NewTill(t)
	staff, _, err := b.CreateAccount(t.Context(), issuer.Operator, "Olga", "")
	expect(t, err, nil)
	one := h.Key(t, coin.Bearer, 1)
	tests := []struct {
		name    string
		account *issuer.Account
		outputs []coin.Output
		want    error
	}{
		{"from an operator's account", staff, output(t, h, 1, nil), issuer.ErrForbidden},
		{"from a merchant's account that is empty", till.Account, output(t, h, 1, nil), issuer.ErrInsufficientFunds},
		{"of nothing", account, nil, issuer.ErrMalformed},
		{"of too many outputs", account, make([]coin.Output, coin.MaxOutputs+1), coin.ErrTooLarge},
		{"under an unknown key", account, output(t, h, 1, func(o *coin.Output) { o.KeyID[0] ^= 1 }), coin.ErrUnknownKey},
		{"under a key that issues later", account, output(t, h, issuertest.ValueNotYet, nil), coin.ErrKeyNotYet},
		{"under a key that issues no more", account, output(t, h, issuertest.ValueExpired, nil), coin.ErrKeyExpired},
		{"under a revoked key", account, output(t, h, issuertest.ValueRevoked, nil), coin.ErrRevoked},
		{"of a message longer than the modulus", account, output(t, h, 1, func(o *coin.Output) { o.Blinded = append(o.Blinded, 0) }), coin.ErrOutput},
		{"of a message shorter than the modulus", account, output(t, h, 1, func(o *coin.Output) { o.Blinded = o.Blinded[1:] }), coin.ErrOutput},
		{"of an empty message", account, output(t, h, 1, func(o *coin.Output) { o.Blinded = nil }), coin.ErrOutput},
		{"of zero", account, output(t, h, 1, func(o *coin.Output) { clear(o.Blinded) }), coin.ErrOutput},
		{"of the modulus itself", account, output(t, h, 1, func(o *coin.Output) { o.Blinded = one.PublicKey.N.Bytes() }), coin.ErrOutput},
		{"of more than the modulus", account, output(t, h, 1, func(o *coin.Output) { o.Blinded = bytes.Repeat([]byte{0xff}, 256) }), coin.ErrOutput},
		{"of one message twice", account, slices.Repeat(output(t, h, 1, nil), 2), coin.ErrOutput},
		{"of more than is there", account, h.NewPurse(t).Prepare(t, 16, 4, 1).Outputs, issuer.ErrInsufficientFunds},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := b.Withdraw(t.Context(), tt.account, tt.outputs)
			expect(t, err, tt.want)
		})
	}
	b.CheckBooks(t, 20, 0, 0)
	if n := b.Signer.Calls.Load(); n != 0 {
		t.Errorf("the token was asked for %d signatures", n)
	}
	if _, err := b.Withdraw(t.Context(), account, h.NewPurse(t).Prepare(t, 16, 4).Outputs); err != nil {
		t.Errorf("the money was not there any more: %v", err)
	}
}

func TestARepeatedWithdrawalGetsTheSameBytesWhateverChanged(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	account, _ := b.Funded(t, 17)
	batch := h.NewPurse(t).Prepare(t, 16, 1)
	first, err := b.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, nil)
	// The balance is zero, and after this the keys issue no more.
	b.Clock.Set(issuertest.IssueUntil.AddDate(0, 1, 0))
	again, err := b.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, nil)
	if again.Op != first.Op || !slices.EqualFunc(first.Signatures, again.Signatures, bytes.Equal) {
		t.Error("the repetition got other bytes")
	}
	batch.Finalize(t, again.Signatures)
	_, err = b.Withdraw(t.Context(), account, h.NewPurse(t).Prepare(t, 1).Outputs)
	expect(t, err, coin.ErrKeyExpired)
	b.CheckBooks(t, 0, 0, 17)
}

func TestTheSameOutputsFromTwoAccountsArePaidForOnce(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	one, _ := b.Funded(t, 1)
	two, _ := b.Funded(t, 1)
	outputs := h.NewPurse(t).Prepare(t, 1).Outputs
	_, err := b.Withdraw(t.Context(), one, outputs)
	expect(t, err, nil)
	_, err = b.Withdraw(t.Context(), two, outputs)
	expect(t, err, issuer.ErrOutputUsed)
	b.CheckBooks(t, 1, 0, 1)
}

func TestWhenTheTokenFailsAfterTheCommitARetryCompletes(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	account, _ := b.Funded(t, 31)
	batch := h.NewPurse(t).Prepare(t, 16, 8, 4, 2, 1)
	for _, fail := range []int64{1, 3, 5} {
		b.Signer.FailNext.Store(fail)
		_, err := b.Withdraw(t.Context(), account, batch.Outputs)
		expect(t, err, issuer.ErrUnavailable)
		expect(t, err, issuertest.ErrInjected)
		b.CheckBooks(t, 0, 0, 31)
	}
	b.Signer.FailNext.Store(0)
	signed, err := b.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, nil)
	batch.Finalize(t, signed.Signatures)
	b.CheckBooks(t, 0, 0, 31)
}

func TestASignatureThatIsNoneIsNotReleased(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	account, _ := b.Funded(t, 1)
	batch := h.NewPurse(t).Prepare(t, 1)
	b.Signer.Cut.Store(true)
	signed, err := b.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, issuer.ErrUnavailable)
	if signed != nil {
		t.Fatal("a signature came with the refusal")
	}
	b.Signer.Cut.Store(false)
	signed, err = b.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, nil)
	batch.Finalize(t, signed.Signatures)
	b.CheckBooks(t, 0, 0, 1)
}

func TestACallerWhoLeavesIsServedWhenHeComesBack(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	account, _ := b.Funded(t, 2)
	batch := h.NewPurse(t).Prepare(t, 1, 1)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	_, err := b.Withdraw(ctx, account, batch.Outputs)
	expect(t, err, context.Canceled)
	signed, err := b.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, nil)
	batch.Finalize(t, signed.Signatures)
	b.CheckBooks(t, 0, 0, 2)
}

func TestConcurrentWithdrawalsNeverOverdraw(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	account, _ := b.Funded(t, 16)
	var mu sync.Mutex
	done, short := 0, 0
	var wait sync.WaitGroup
	for range 24 {
		outputs := h.NewPurse(t).Prepare(t, 2).Outputs
		wait.Go(func() {
			_, err := b.Withdraw(context.Background(), account, outputs)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				done++
			case errors.Is(err, issuer.ErrInsufficientFunds):
				short++
			default:
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if done != 8 || short != 16 {
		t.Errorf("%d withdrawals went through and %d were refused", done, short)
	}
	b.CheckBooks(t, 0, 0, 16)
}

func TestEqualWithdrawalsAtOnceHappenOnce(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	account, _ := b.Funded(t, 3)
	batch := h.NewPurse(t).Prepare(t, 1, 2)
	answers := make([]*issuer.Signed, 16)
	var wait sync.WaitGroup
	for i := range answers {
		wait.Go(func() {
			var err error
			if answers[i], err = b.Withdraw(context.Background(), account, batch.Outputs); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, a := range answers {
		if a != nil && !slices.EqualFunc(a.Signatures, answers[0].Signatures, bytes.Equal) {
			t.Error("two answers differ")
		}
	}
	b.CheckBooks(t, 0, 0, 3)
}
