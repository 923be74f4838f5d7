package issuer_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

func TestAPayoutHappensOnceForItsReference(t *testing.T) {
	b := issuertest.NewHouse(t).NewBank(t, nil)
	ctx := t.Context()
	account, _ := b.Funded(t, 100)
	id, err := b.Payout(ctx, account.ID, 30, "wire 1")
	expect(t, err, nil)
	again, err := b.Payout(ctx, account.ID, 30, "wire 1")
	expect(t, err, nil)
	if again != id {
		t.Error("the same payout has two ids")
	}
	b.CheckBooks(t, 70, 0, 0)
	other, _ := b.Funded(t, 0)
	tests := []struct {
		name, account string
		amount        coin.Amount
		reference     string
		want          error
	}{
		{"of another amount under one reference", account.ID, 31, "wire 1", issuer.ErrConflict},
		{"from another account under one reference", other.ID, 30, "wire 1", issuer.ErrConflict},
		{"of more than is there", account.ID, 71, "wire 2", issuer.ErrInsufficientFunds},
		{"of nothing", account.ID, 0, "wire 2", issuer.ErrMalformed},
		{"of more than there can be", account.ID, coin.MaxAmount + 1, "wire 2", coin.ErrOverflow},
		{"without a reference", account.ID, 1, "", issuer.ErrMalformed},
		{"with a reference that is too long", account.ID, 1, strings.Repeat("x", 201), issuer.ErrMalformed},
		{"with a reference that is no text", account.ID, 1, "a\x00", issuer.ErrMalformed},
		{"from the reserve", "reserve", 1, "wire 2", issuer.ErrMalformed},
		{"from an account that there is not", "holder/nobody", 1, "wire 2", issuer.ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := b.Payout(ctx, tt.account, tt.amount, tt.reference)
			expect(t, err, tt.want)
		})
	}
	// One reference may name a funding and a payout: they are other payments.
	_, err = b.Fund(ctx, account.ID, 1, "wire 1")
	expect(t, err, nil)
	b.CheckBooks(t, 71, 0, 0)
}

func TestPayoutsOfOneAccountAtOnceAllHappen(t *testing.T) {
	b := issuertest.NewHouse(t).NewBank(t, nil)
	account, _ := b.Funded(t, 8)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			_, err := b.Payout(t.Context(), account.ID, 1, strings.Repeat("w", i+1))
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	b.CheckBooks(t, 0, 0, 0)
	at, err := b.Ledger.Count(t.Context(), "settled/"+account.ID)
	expect(t, err, nil)
	if at != issuertest.Now.Unix() {
		t.Errorf("the newest payout was at %d", at)
	}
}

func TestASuspendedAccountGetsWhatWasRecordedAndNoMore(t *testing.T) {
	s := newShop(t)
	ctx := t.Context()
	account, token := s.Funded(t, 8)
	batch := s.purse.Prepare(t, 4)
	_, err := s.Withdraw(ctx, account, batch.Outputs)
	expect(t, err, nil)
	_, _, request := s.payment(t)
	_, err = s.Deposit(ctx, s.till.Account, request)
	expect(t, err, nil)

	for range 2 { // the first reason stands
		expect(t, s.Suspend(ctx, account.ID, "a complaint"), nil)
		expect(t, s.Suspend(ctx, s.till.Account.ID, "a complaint"), nil)
	}
	shut, err := s.Authenticate(ctx, token)
	expect(t, err, nil)
	if !shut.Suspended || shut.Reason != "a complaint" {
		t.Fatalf("the account is %+v", shut)
	}
	merchant, err := s.Account(ctx, s.till.Account.ID)
	expect(t, err, nil)
	_, err = s.Withdraw(ctx, shut, batch.Outputs)
	expect(t, err, nil)
	_, err = s.Withdraw(ctx, shut, s.purse.Prepare(t, 4).Outputs)
	expect(t, err, issuer.ErrSuspended)
	_, err = s.Deposit(ctx, merchant, request)
	expect(t, err, nil)
	offer := s.till.Offer(t, 1, nil)
	spend, authorisation := s.purse.Pay(t, offer, s.coins[3:], nil)
	_, err = s.Deposit(ctx, merchant, s.till.Deposit(offer, spend, authorisation))
	expect(t, err, issuer.ErrSuspended)
	_, err = s.Payout(ctx, account.ID, 1, "out")
	expect(t, err, issuer.ErrSuspended)
	_, _, err = s.CreateToken(ctx, shut, issuer.TokenRequest{Scopes: []issuer.Scope{issuer.ScopeAccount}})
	expect(t, err, issuer.ErrSuspended)
	_, err = s.Fund(ctx, account.ID, 1, "in")
	expect(t, err, nil)
	_, err = s.StatementPage(ctx, shut, issuer.Period{From: issuertest.Now, Until: issuertest.Now.Add(hour)}, ledger.Page{})
	expect(t, err, nil)

	for range 2 {
		expect(t, s.Reinstate(ctx, account.ID, "a mistake"), nil)
	}
	open, err := s.Authenticate(ctx, token)
	expect(t, err, nil)
	_, err = s.Withdraw(ctx, open, s.purse.Prepare(t, 4).Outputs)
	expect(t, err, nil)
	for _, reason := range []string{"", strings.Repeat("x", issuer.MaxReason+1), "\xff"} {
		expect(t, s.Suspend(ctx, account.ID, reason), issuer.ErrMalformed)
		expect(t, s.Reinstate(ctx, account.ID, reason), issuer.ErrMalformed)
	}
	expect(t, s.Suspend(ctx, "holder/nobody", "x"), issuer.ErrNotFound)
	r, err := s.Audit(ctx, nil)
	expect(t, err, nil)
	expect(t, r.Err(), nil)
}

func TestADrainingBankRedeemsAndIssuesNothing(t *testing.T) {
	s := newShop(t)
	ctx := t.Context()
	account, _ := s.Funded(t, 8)
	batch := s.purse.Prepare(t, 4)
	_, err := s.Withdraw(ctx, account, batch.Outputs)
	expect(t, err, nil)
	expect(t, s.SetDraining(ctx, true), nil)
	on, err := s.Draining(ctx)
	expect(t, err, nil)
	if !on {
		t.Error("it does not say so")
	}
	// Another issuer on the same ledger finds out.
	beside, err := issuer.New(ctx, s.Config)
	expect(t, err, nil)
	for _, b := range []*issuer.Bank{s.Bank.Bank, beside} {
		_, err = b.Withdraw(ctx, account, batch.Outputs)
		expect(t, err, nil)
		_, err = b.Withdraw(ctx, account, s.purse.Prepare(t, 4).Outputs)
		expect(t, err, issuer.ErrDraining)
		_, err = b.Fund(ctx, account.ID, 1, "in")
		expect(t, err, issuer.ErrDraining)
		_, err = b.Fund(ctx, account.ID, 8, "for "+account.ID) // recorded before
		expect(t, err, nil)
	}
	_, change, request := s.payment(t)
	done, err := s.Deposit(ctx, s.till.Account, request)
	expect(t, err, nil)
	coins := change.Finalize(t, done.Signatures)
	spend, authorisation := s.purse.Exchange(t, coins, s.purse.Prepare(t, 2).Outputs)
	_, err = s.Exchange(ctx, spend, authorisation)
	expect(t, err, nil)
	_, err = s.Payout(ctx, account.ID, 4, "out")
	expect(t, err, nil)
	expect(t, s.SetDraining(ctx, false), nil)
	_, err = s.Fund(ctx, account.ID, 1, "in")
	expect(t, err, nil)
}

func TestWithdrawalsAreLimitedByTheDayAndEach(t *testing.T) {
	h := issuertest.NewHouse(t)
	limits := issuer.DefaultLimits()
	limits.WithdrawalsPerDay, limits.Withdrawal = 20, 16
	b := h.NewBank(t, func(c *issuer.Config) { c.Limits = &limits })
	ctx := t.Context()
	account, _ := b.Funded(t, 100)
	other, _ := b.Funded(t, 100)
	purse := h.NewPurse(t)
	draw := func(a *issuer.Account, values ...coin.Amount) error {
		_, err := b.Withdraw(ctx, a, purse.Prepare(t, values...).Outputs)
		return err
	}
	refused := func(err error, name string, most int64, until time.Time) {
		t.Helper()
		var limit *issuer.LimitError
		if !errors.As(err, &limit) || limit.Name != name || limit.Max != most || !limit.Until.Equal(until) {
			t.Fatalf("got %v", err)
		}
	}
	y, m, d := issuertest.Now.Date()
	midnight := time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
	refused(draw(account, 16, 1), issuer.LimitWithdrawal, 16, time.Time{})
	first := purse.Prepare(t, 16)
	_, err := b.Withdraw(ctx, account, first.Outputs)
	expect(t, err, nil)
	refused(draw(account, 4, 1), issuer.LimitWithdrawalsPerDay, 20, midnight)
	expect(t, draw(account, 4), nil)
	refused(draw(account, 1), issuer.LimitWithdrawalsPerDay, 20, midnight)
	_, err = b.Withdraw(ctx, account, first.Outputs) // what is recorded is answered
	expect(t, err, nil)
	expect(t, draw(other, 16), nil)
	b.Clock.Set(midnight.Add(-time.Second))
	refused(draw(account, 1), issuer.LimitWithdrawalsPerDay, 20, midnight)
	b.Clock.Set(midnight)
	expect(t, draw(account, 1), nil)
	b.CheckBooks(t, 200-37, 0, 37)
	r, err := b.Audit(ctx, nil)
	expect(t, err, nil)
	expect(t, r.Err(), nil)
}

func TestAMerchantTurnsReceiptsIntoCoinsOfHisOwn(t *testing.T) {
	s := newShop(t)
	ctx := t.Context()
	_, _, request := s.payment(t)
	_, err := s.Deposit(ctx, s.till.Account, request)
	expect(t, err, nil)
	had, err := s.Balance(ctx, s.till.Account.ID)
	expect(t, err, nil)
	till, err := s.Authenticate(ctx, s.till.Token)
	expect(t, err, nil)
	expect(t, till.May(issuer.ScopeWithdraw), nil)
	purse := s.House.NewPurse(t)
	batch := purse.Prepare(t, 4)
	signed, err := s.Withdraw(ctx, till, batch.Outputs)
	expect(t, err, nil)
	coins := batch.Finalize(t, signed.Signatures)
	left, err := s.Balance(ctx, s.till.Account.ID)
	expect(t, err, nil)
	if left != had-4 || len(coins) != 1 {
		t.Errorf("he has %d of %d", left, had)
	}
	r, err := s.Audit(ctx, nil)
	expect(t, err, nil)
	expect(t, r.Err(), nil)
}
