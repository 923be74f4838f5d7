package issuer_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

// paidShop is a shop with a deposit of 10.
type paidShop struct {
	*shop
	request *issuer.DepositRequest
	op      ledger.ID
}

func newPaidShop(t *testing.T) *paidShop {
	t.Helper()
	p := &paidShop{shop: newShop(t)}
	_, _, p.request = p.payment(t)
	done, err := p.Deposit(t.Context(), p.till.Account, p.request)
	expect(t, err, nil)
	p.op = done.Op
	return p
}

// order is a refund of the deposit into the outputs, as the merchant orders it;
// change, if not nil, may alter the order before it is signed.
func (p *paidShop) order(t *testing.T, b *issuertest.Batch, change func(*coin.RefundOrder)) *issuer.RefundRequest {
	t.Helper()
	total, err := p.House.Keyset.CheckOutputs(b.Outputs, issuertest.Now)
	expect(t, err, nil)
	o := &coin.RefundOrder{
		Bank: issuertest.BankID, Deposit: p.op, Outputs: coin.OutputsDigest(b.Outputs), Amount: total, Currency: "EUR", At: issuertest.Now,
	}
	if change != nil {
		change(o)
	}
	jws, err := o.Sign(p.till.Key)
	expect(t, err, nil)
	return &issuer.RefundRequest{Order: jws, Outputs: b.Outputs}
}

func TestARefundGivesThePayerCoinsAndDebitsTheMerchant(t *testing.T) {
	p := newPaidShop(t)
	ctx := t.Context()
	var first *issuer.Signed
	for i, values := range [][]coin.Amount{{4, 2}, {2}, {2}} { // partial ones, again and again
		batch := p.purse.Prepare(t, values...)
		request := p.order(t, batch, nil)
		signed, err := p.Refund(ctx, p.till.Account, request)
		expect(t, err, nil)
		if signed.Op != coin.RefundOp(p.op, batch.Outputs) {
			t.Error("the payer looks for another op")
		}
		batch.Finalize(t, signed.Signatures)
		again, err := p.Refund(ctx, p.till.Account, request)
		expect(t, err, nil)
		if !slices.EqualFunc(again.Signatures, signed.Signatures, bytes.Equal) {
			t.Error("the repetition got other bytes")
		}
		if i == 0 {
			first = signed
		}
	}
	p.CheckBooks(t, 0, 0, 15)
	// The payer finds it at the bank, whose merchant is gone.
	op, err := p.Operation(ctx, first.Op)
	expect(t, err, nil)
	if op.Kind != issuer.KindRefund || !slices.EqualFunc(op.Signatures, first.Signatures, bytes.Equal) || len(op.Receipt) != 0 {
		t.Errorf("the operation is %+v", op)
	}
	_, err = p.Refund(ctx, p.till.Account, p.order(t, p.purse.Prepare(t, 1), nil))
	expect(t, err, issuer.ErrRefund)
	state, err := p.DepositOf(ctx, p.till.Account, p.op)
	expect(t, err, nil)
	if state.Paid != 10 || state.Refunded != 10 || state.Refundable != 0 || state.Settled || state.Offer != p.request.Spend.OfferDigest {
		t.Errorf("the deposit stands at %+v", state)
	}
	r, err := p.Audit(ctx, nil)
	expect(t, err, nil)
	expect(t, r.Err(), nil)
}

func TestARefundIsRefusedWithNothingMoved(t *testing.T) {
	p := newPaidShop(t)
	ctx := t.Context()
	other := p.NewTill(t)
	holder, _ := p.Funded(t, 0)
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	expect(t, err, nil)
	suspended := *p.till.Account
	suspended.Suspended = true
	fresh := func() *issuertest.Batch { return p.purse.Prepare(t, 2) }
	with := func(change func(*coin.RefundOrder)) *issuer.RefundRequest { return p.order(t, fresh(), change) }
	foreign := with(nil)
	order, _, err := coin.VerifyRefundOrder(foreign.Order)
	expect(t, err, nil)
	foreign.Order, err = order.Sign(stranger)
	expect(t, err, nil)
	used := p.order(t, &issuertest.Batch{Outputs: p.request.Spend.ToIssuer}, nil)
	otherOutputs := with(nil)
	otherOutputs.Outputs = fresh().Outputs
	none := with(nil)
	none.Outputs = nil
	many := with(nil)
	many.Outputs = make([]coin.Output, coin.MaxOutputs+1)
	broken := with(nil)
	broken.Order = broken.Order[:len(broken.Order)-4]
	void := func() ledger.ID { // an operation that is no deposit
		offer := p.till.Offer(t, 1, nil)
		s, a := p.purse.Void(t, offer, p.coins[3:], p.purse.Prepare(t, 1).Outputs)
		_, err := p.Exchange(ctx, s, a)
		expect(t, err, nil)
		return s.Op()
	}()
	theirShop := *p.shop
	theirShop.till = other
	theirs := &paidShop{shop: &theirShop, op: p.op}
	tests := []struct {
		name    string
		account *issuer.Account
		request *issuer.RefundRequest
		want    error
	}{
		{"by a holder", holder, with(nil), issuer.ErrForbidden},
		{"by a suspended merchant", &suspended, with(nil), issuer.ErrSuspended},
		{"that a stranger signed", p.till.Account, foreign, issuer.ErrForbidden},
		{"that is another merchant's, with his own token", other.Account, with(nil), issuer.ErrForbidden},
		{"of another merchant's deposit", other.Account, theirs.order(t, fresh(), nil), issuer.ErrNotFound},
		{"of a deposit that is none", p.till.Account, with(func(o *coin.RefundOrder) { o.Deposit = ledger.ID{1} }), issuer.ErrNotFound},
		{"of a void", p.till.Account, with(func(o *coin.RefundOrder) { o.Deposit = void }), issuer.ErrNotFound},
		{"of another bank's deposit", p.till.Account, with(func(o *coin.RefundOrder) { o.Bank = "OTHERBANK" }), coin.ErrBank},
		{"in another currency", p.till.Account, with(func(o *coin.RefundOrder) { o.Currency = "USD" }), coin.ErrCurrency},
		{"of less than the outputs are worth", p.till.Account, with(func(o *coin.RefundOrder) { o.Amount-- }), coin.ErrAmount},
		{"of more than was paid", p.till.Account, p.order(t, p.purse.Prepare(t, 8, 4), nil), issuer.ErrRefund},
		{"into other outputs than ordered", p.till.Account, otherOutputs, issuer.ErrMalformed},
		{"into nothing", p.till.Account, none, issuer.ErrMalformed},
		{"into too much", p.till.Account, many, coin.ErrTooLarge},
		{"into outputs that were signed before", p.till.Account, used, issuer.ErrOutputUsed},
		{"under a key that has not begun", p.till.Account, func() *issuer.RefundRequest {
			b := p.purse.Prepare(t, issuertest.ValueNotYet)
			o := &coin.RefundOrder{Bank: issuertest.BankID, Deposit: p.op, Outputs: coin.OutputsDigest(b.Outputs), Amount: 10, Currency: "EUR", At: issuertest.Now}
			jws, err := o.Sign(p.till.Key)
			expect(t, err, nil)
			return &issuer.RefundRequest{Order: jws, Outputs: b.Outputs}
		}(), coin.ErrKeyNotYet},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := p.Refund(ctx, tt.account, tt.request)
			expect(t, err, tt.want)
		})
	}
	t.Run("that does not read", func(t *testing.T) {
		if _, err := p.Refund(ctx, p.till.Account, broken); err == nil {
			t.Fatal("taken")
		}
	})
	t.Run("while the bank redeems only", func(t *testing.T) {
		expect(t, p.SetDraining(ctx, true), nil)
		_, err := p.Refund(ctx, p.till.Account, with(nil))
		expect(t, err, issuer.ErrDraining)
		expect(t, p.SetDraining(ctx, false), nil)
	})
	t.Run("of money that the merchant has not any more", func(t *testing.T) {
		_, err := p.Withdraw(ctx, p.till.Account, p.purse.Prepare(t, 8, 1).Outputs)
		expect(t, err, nil)
		_, err = p.Refund(ctx, p.till.Account, with(nil))
		expect(t, err, issuer.ErrInsufficientFunds)
	})
	_, err = p.DepositOf(ctx, other.Account, p.op)
	expect(t, err, issuer.ErrNotFound)
	_, err = p.DepositOf(ctx, p.till.Account, void)
	expect(t, err, issuer.ErrNotFound)
	p.CheckBooks(t, 0, 1, 14)
}

func TestNothingIsRefundedOnceTheMerchantWasPaidOut(t *testing.T) {
	p := newPaidShop(t)
	ctx := t.Context()
	batch := p.purse.Prepare(t, 2)
	request := p.order(t, batch, nil)
	signed, err := p.Refund(ctx, p.till.Account, request)
	expect(t, err, nil)
	p.Clock.Set(issuertest.Now.Add(time.Minute))
	_, err = p.Payout(ctx, p.till.Account.ID, 5, "wire 1")
	expect(t, err, nil)
	_, err = p.Refund(ctx, p.till.Account, p.order(t, p.purse.Prepare(t, 1), nil))
	expect(t, err, issuer.ErrSettled)
	state, err := p.DepositOf(ctx, p.till.Account, p.op)
	expect(t, err, nil)
	if !state.Settled || state.Refundable != 0 || state.Refunded != 2 {
		t.Errorf("the deposit stands at %+v", state)
	}
	again, err := p.Refund(ctx, p.till.Account, request) // what is recorded is kept
	expect(t, err, nil)
	if !bytes.Equal(again.Signatures[0], signed.Signatures[0]) {
		t.Error("other bytes")
	}
	// A deposit of after the payout can be refunded.
	p.Clock.Set(issuertest.Now.Add(2 * time.Minute))
	offer := p.till.Offer(t, 2, nil)
	s, a := p.purse.Pay(t, offer, p.coins[2:3], nil)
	later, err := p.Deposit(ctx, p.till.Account, p.till.Deposit(offer, s, a))
	expect(t, err, nil)
	p.op = later.Op
	_, err = p.Refund(ctx, p.till.Account, p.order(t, p.purse.Prepare(t, 1), nil))
	expect(t, err, nil)
	p.CheckBooks(t, 0, 4, 6)
}

// TestADepositOfBeforeAPayoutIsSettledWhateverTheClocksSay: of several processes
// on one database each has its own.
func TestADepositOfBeforeAPayoutIsSettledWhateverTheClocksSay(t *testing.T) {
	for name, since := range map[string]time.Duration{
		"in the same second": 0, "by a clock that is behind": -time.Hour, "by a clock that is ahead": time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			p := newPaidShop(t)
			ctx := t.Context()
			p.Clock.Set(issuertest.Now.Add(since))
			_, err := p.Payout(ctx, p.till.Account.ID, 5, "wire 1")
			expect(t, err, nil)
			p.Clock.Set(issuertest.Now)
			_, err = p.Refund(ctx, p.till.Account, p.order(t, p.purse.Prepare(t, 1), nil))
			expect(t, err, issuer.ErrSettled)
			state, err := p.DepositOf(ctx, p.till.Account, p.op)
			expect(t, err, nil)
			if !state.Settled || state.Refundable != 0 {
				t.Errorf("the deposit stands at %+v", state)
			}
		})
	}
}

// TestRefundsAtOnceComeToNoMoreThanWasPaid: on three banks, while one of them
// pays the merchant out.
func TestRefundsAtOnceComeToNoMoreThanWasPaid(t *testing.T) {
	p := newPaidShop(t)
	offer := p.till.Offer(t, 2, nil) // money of other payments is there
	s, a := p.purse.Pay(t, offer, p.coins[2:3], nil)
	_, err := p.Deposit(t.Context(), p.till.Account, p.till.Deposit(offer, s, a))
	expect(t, err, nil)
	banks := []*issuer.Bank{p.Bank.Bank}
	for range 2 {
		b, err := issuer.New(t.Context(), p.Config)
		expect(t, err, nil)
		banks = append(banks, b)
	}
	var wait sync.WaitGroup
	var given atomic.Int64
	for i := range 18 {
		request := p.order(t, p.purse.Prepare(t, 1), nil)
		wait.Go(func() {
			if _, err := banks[i%3].Refund(t.Context(), p.till.Account, request); err == nil {
				given.Add(1)
			} else if !errors.Is(err, issuer.ErrRefund) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if given.Load() != 10 {
		t.Errorf("%d of 10 were given back", given.Load())
	}
	p.CheckBooks(t, 0, 2, 13)
}
