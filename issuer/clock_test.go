package issuer_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
)

// TestAClockThatJumpsTakesNothingTooLateAndLosesNothing: whatever time the
// bank's clock shows, and whatever it showed before, coins are issued and taken
// exactly between the key's instants, and what was recorded is answered again.
func TestAClockThatJumpsTakesNothingTooLateAndLosesNothing(t *testing.T) {
	ctx := t.Context()
	s := newShop(t)
	instants := []time.Time{
		issuertest.Now, issuertest.IssueUntil.Add(-time.Second), issuertest.IssueUntil, issuertest.IssueUntil.Add(time.Hour),
		issuertest.SpendUntil.Add(-time.Second), issuertest.SpendUntil, issuertest.SpendUntil.Add(24 * time.Hour),
	}
	account, _ := s.Funded(t, 1000)
	first := s.purse.Prepare(t, 1)
	signed, err := s.Withdraw(ctx, account, first.Outputs)
	expect(t, err, nil)
	var deposits []*issuer.DepositRequest
	var receipts [][]byte
	dice := rand.New(rand.NewPCG(1, 2))
	var drawn, taken int64 = 1, 0
	coins := first.Finalize(t, signed.Signatures)
	for range 60 {
		now := instants[dice.IntN(len(instants))]
		s.Clock.Set(now)

		batch := s.purse.Prepare(t, 1)
		got, err := s.Withdraw(ctx, account, batch.Outputs)
		if want := now.Before(issuertest.IssueUntil); want != (err == nil) {
			t.Fatalf("a withdrawal at %v: %v", now, err)
		} else if want {
			drawn++
			coins = append(coins, batch.Finalize(t, got.Signatures)...)
		} else {
			expect(t, err, coin.ErrKeyExpired)
		}

		if len(coins) > 0 {
			offer := s.till.Offer(t, 1, func(o *coin.Offer) { o.Expires = now.Add(time.Minute) })
			spend, authorisation := s.purse.Pay(t, offer, coins[:1], nil)
			request := s.till.Deposit(offer, spend, authorisation)
			done, err := s.Deposit(ctx, s.till.Account, request)
			if want := now.Before(issuertest.SpendUntil); want != (err == nil) {
				t.Fatalf("a deposit at %v: %v", now, err)
			} else if want {
				taken++
				coins, deposits, receipts = coins[1:], append(deposits, request), append(receipts, done.Receipt)
			} else {
				expect(t, err, coin.ErrKeyExpired)
			}
		}

		again, err := s.Withdraw(ctx, account, first.Outputs)
		expect(t, err, nil)
		if !bytes.Equal(again.Signatures[0], signed.Signatures[0]) {
			t.Fatal("another signature")
		}
		for i := range deposits {
			back, err := s.Deposit(ctx, s.till.Account, deposits[i])
			expect(t, err, nil)
			if !bytes.Equal(back.Receipt, receipts[i]) {
				t.Fatal("another receipt")
			}
		}
	}
	if drawn < 5 || taken < 5 {
		t.Fatalf("%d drawn, %d taken: the dice were one-sided", drawn, taken)
	}
	s.CheckBooks(t, 1000-drawn, taken, 15+drawn-taken)
	report, err := s.Audit(ctx, nil)
	expect(t, err, nil)
	expect(t, report.Err(), nil)
}
