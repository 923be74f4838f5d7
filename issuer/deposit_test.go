package issuer_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
)

// shop is a bank with a till and a purse of bearer coins 8, 4, 2 and 1.
type shop struct {
	*issuertest.Bank
	till  *issuertest.Till
	purse *issuertest.Purse
	coins []coin.Coin
}

func newShop(t *testing.T) *shop {
	t.Helper()
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	s := &shop{Bank: b, till: b.NewTill(t), purse: h.NewPurse(t)}
	s.coins = s.purse.Withdraw(t, b, 8, 4, 2, 1)
	return s
}

// payment is a payment of 10 with 8 and 4, and change of 2.
func (s *shop) payment(t *testing.T) (*coin.SignedOffer, *issuertest.Batch, *issuer.DepositRequest) {
	t.Helper()
	offer := s.till.Offer(t, 10, nil)
	change := s.purse.Prepare(t, 1, 1)
	spend, authorisation := s.purse.Pay(t, offer, s.coins[:2], change.Outputs)
	return offer, change, s.till.Deposit(offer, spend, authorisation)
}

func TestADepositCreditsTheMerchantAndGivesChangeAndReceipt(t *testing.T) {
	s := newShop(t)
	offer, change, request := s.payment(t)
	done, err := s.Deposit(t.Context(), s.till.Account, request)
	expect(t, err, nil)
	if done.Op != request.Spend.Op() {
		t.Error("the answer names another operation")
	}
	change.Finalize(t, done.Signatures)
	receipt, err := coin.VerifyDepositReceipt(s.House.Root, done.Receipt, issuertest.Now)
	expect(t, err, nil)
	expect(t, receipt.Covers(request.Spend, offer.Offer.Payee), nil)
	s.CheckBooks(t, 0, 10, 5)

	// The payer finds the same by himself.
	op, err := s.Operation(t.Context(), request.Spend.Op())
	expect(t, err, nil)
	if op.Kind != issuer.KindDeposit || op.State != "done" || !bytes.Equal(op.Receipt, done.Receipt) ||
		!slices.EqualFunc(op.Signatures, done.Signatures, bytes.Equal) ||
		coin.OutputsDigest(op.Outputs) != coin.OutputsDigest(change.Outputs) {
		t.Errorf("the operation is another than the deposit: %+v", op)
	}
}

func TestARepeatedDepositGetsTheSameBytesWhateverChanged(t *testing.T) {
	s := newShop(t)
	_, _, request := s.payment(t)
	first, err := s.Deposit(t.Context(), s.till.Account, request)
	expect(t, err, nil)
	s.Clock.Set(issuertest.SpendUntil.AddDate(0, 1, 0)) // offer and keys are over
	same := func(r *issuer.DepositRequest) {
		t.Helper()
		again, err := s.Deposit(t.Context(), s.till.Account, r)
		expect(t, err, nil)
		if again.Op != first.Op || !bytes.Equal(again.Receipt, first.Receipt) ||
			!slices.EqualFunc(again.Signatures, first.Signatures, bytes.Equal) {
			t.Error("the repetition got other bytes")
		}
	}
	same(request)
	// Other change outputs for the same offer and coins: the recorded answer,
	// and nothing else is signed.
	spend := *request.Spend
	spend.ToIssuer = s.purse.Prepare(t, 2).Outputs
	other, authorisation := s.purse.Authorise(t, spend)
	same(&issuer.DepositRequest{Offer: request.Offer, PayeeSalt: request.PayeeSalt, Spend: other, Authorisation: authorisation})
	s.CheckBooks(t, 0, 10, 5)
}

func TestADepositIsRefusedWithNothingLost(t *testing.T) {
	s := newShop(t)
	other := s.NewTill(t)
	holder, _ := s.Funded(t, 0)
	type edit = func(r *issuer.DepositRequest)
	// pay authorises a payment of its own offer; change comes before signing.
	pay := func(amount coin.Amount, offerChange func(*coin.Offer), change func(*coin.Spend)) *issuer.DepositRequest {
		offer := s.till.Offer(t, amount, offerChange)
		spend := issuertest.Payment(offer, slices.Clone(s.coins[:1]), nil)
		if change != nil {
			change(&spend)
		}
		signed, authorisation := s.purse.Authorise(t, spend)
		return s.till.Deposit(offer, signed, authorisation)
	}
	good := func(change edit) *issuer.DepositRequest {
		r := pay(8, nil, nil)
		if change != nil {
			change(r)
		}
		return r
	}
	tests := []struct {
		name    string
		account *issuer.Account
		request *issuer.DepositRequest
		at      time.Time
		want    error
	}{
		{name: "into a holder's account", account: holder, request: good(nil), want: issuer.ErrForbidden},
		{name: "into another merchant's account", account: other.Account, request: good(nil), want: coin.ErrForeignOffer},
		{name: "with another salt", request: good(func(r *issuer.DepositRequest) { r.PayeeSalt[0] ^= 1 }), want: coin.ErrForeignOffer},
		{name: "with another offer of the same merchant",
			request: good(func(r *issuer.DepositRequest) {
				o := s.till.Offer(t, 8, nil)
				r.Offer, r.PayeeSalt = o.Public, o.Private.PayeeSalt
			}), want: coin.ErrForeignOffer},
		{name: "with an offer that is not canonical", request: good(func(r *issuer.DepositRequest) { r.Offer = append(r.Offer, '\n') }), want: coin.ErrMalformed},
		{name: "with an offer that is too long", request: good(func(r *issuer.DepositRequest) { r.Offer = make([]byte, coin.MaxOffer+1) }), want: coin.ErrTooLarge},
		{name: "of an expired offer", request: good(nil), at: issuertest.Now.Add(15 * time.Minute), want: coin.ErrOfferExpired},
		{name: "of an offer for another acquirer", request: pay(8, func(o *coin.Offer) { o.Acquirer = "OTHERBANK" }, nil), want: coin.ErrBank},
		{name: "of an offer in another currency", request: pay(8, func(o *coin.Offer) { o.Currency = "USD" }, nil), want: coin.ErrCurrency},
		{name: "of less than the offer", request: pay(10, nil, func(s *coin.Spend) { s.Amount = 8 }), want: coin.ErrAmount},
		{name: "of coins worth less than the amount", request: pay(10, nil, nil), want: coin.ErrAmount},
		{name: "of coins worth more than amount and change", request: pay(7, nil, nil), want: coin.ErrAmount},
		{name: "of an exchange", request: good(func(r *issuer.DepositRequest) {
			r.Spend, r.Authorisation = s.purse.Exchange(t, s.coins[:1], s.purse.Prepare(t, 8).Outputs)
		}), want: coin.ErrPurpose},
		{name: "with outputs for an acquirer who is the issuer", request: pay(8, nil, func(sp *coin.Spend) { sp.ToAcquirer = s.purse.Prepare(t, 8).Outputs }), want: coin.ErrOutput},
		{name: "with change under a key that issues no more", request: pay(4, nil, func(sp *coin.Spend) {
			sp.Coins = s.coins[:2] // 12 = 4 + 8
			sp.ToIssuer = s.purse.Prepare(t, issuertest.ValueExpired).Outputs
		}), want: coin.ErrKeyExpired},
		{name: "after the coins' spend_until", request: pay(8, func(o *coin.Offer) { o.Expires = issuertest.SpendUntil.AddDate(1, 0, 0) }, nil),
			at: issuertest.SpendUntil, want: coin.ErrKeyExpired},
		{name: "of coins of another bank", request: good(func(r *issuer.DepositRequest) {
			r.Spend.Bank = "OTHERBANK"
		}), want: coin.ErrBank},
		{name: "of a coin with a flipped signature", request: good(func(r *issuer.DepositRequest) {
			r.Spend.Coins[0].Signature = slices.Clone(r.Spend.Coins[0].Signature)
			r.Spend.Coins[0].Signature[100] ^= 1
		}), want: coin.ErrCoinSignature},
		{name: "of a coin under an unknown key", request: good(func(r *issuer.DepositRequest) { r.Spend.Coins[0].KeyID[0] ^= 1 }), want: coin.ErrUnknownKey},
		{name: "with a flipped owner's signature", request: good(func(r *issuer.DepositRequest) { r.Authorisation.Bearer[0][5] ^= 1 }), want: coin.ErrOwner},
		{name: "without an owner's signature", request: good(func(r *issuer.DepositRequest) { r.Authorisation.Bearer = nil }), want: coin.ErrOwner},
		{name: "with a change output swapped under way", request: func() *issuer.DepositRequest {
			r := pay(7, nil, func(sp *coin.Spend) { sp.ToIssuer = s.purse.Prepare(t, 1).Outputs })
			r.Spend.ToIssuer = s.purse.Prepare(t, 1).Outputs
			return r
		}(), want: coin.ErrOwner},
		{name: "with one coin twice", request: good(func(r *issuer.DepositRequest) {
			r.Spend.Coins = append(r.Spend.Coins, r.Spend.Coins[0])
			r.Authorisation.Bearer = append(r.Authorisation.Bearer, r.Authorisation.Bearer[0])
		}), want: coin.ErrDuplicateCoin},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			account := tt.account
			if account == nil {
				account = s.till.Account
			}
			if !tt.at.IsZero() {
				s.Clock.Set(tt.at)
				defer s.Clock.Set(issuertest.Now)
			}
			_, err := s.Deposit(t.Context(), account, tt.request)
			expect(t, err, tt.want)
			_, err = s.Operation(t.Context(), tt.request.Spend.Op())
			expect(t, err, issuer.ErrNotFound)
		})
	}
	s.CheckBooks(t, 0, 0, 15)
	if _, err := s.Deposit(t.Context(), s.till.Account, good(nil)); err != nil {
		t.Errorf("the coins were not good any more: %v", err)
	}
}

func TestAnOfflinePaymentMayComeLaterIfItWasMadeInTime(t *testing.T) {
	s := newShop(t)
	offline := func(o *coin.Offer) { o.Mode = coin.Offline }
	pay := func(c coin.Coin, amount coin.Amount, at time.Time) *issuer.DepositRequest {
		offer := s.till.Offer(t, amount, offline)
		spend := issuertest.Payment(offer, []coin.Coin{c}, nil)
		spend.IssuedAt = at.Unix()
		signed, authorisation := s.purse.Authorise(t, spend)
		return s.till.Deposit(offer, signed, authorisation)
	}
	s.Clock.Set(issuertest.Now.AddDate(0, 0, 3))
	_, err := s.Deposit(t.Context(), s.till.Account, pay(s.coins[0], 8, issuertest.Now.Add(time.Hour)))
	expect(t, err, coin.ErrOfferExpired)
	_, err = s.Deposit(t.Context(), s.till.Account, pay(s.coins[0], 8, issuertest.Now))
	expect(t, err, nil)
}

func TestADoubleSpendIsRefusedWithAProofThatVerifies(t *testing.T) {
	s := newShop(t)
	_, _, first := s.payment(t)
	_, err := s.Deposit(t.Context(), s.till.Account, first)
	expect(t, err, nil)

	other := s.NewTill(t)
	offer := other.Offer(t, 6, nil)
	// The 4 is spent; the 2 is not, and stays so.
	spend, authorisation := s.purse.Pay(t, offer, s.coins[1:3], nil)
	_, err = s.Deposit(t.Context(), other.Account, other.Deposit(offer, spend, authorisation))
	expect(t, err, issuer.ErrDoubleSpend)
	var refusal *issuer.DoubleSpendError
	if !errors.As(err, &refusal) {
		t.Fatal("no evidence")
	}
	if refusal.Op != first.Spend.Op() || refusal.Proof.CoinID != s.coins[1].ID() {
		t.Error("the evidence names another operation or coin")
	}
	expect(t, refusal.Proof.Verify(spend, s.House.Keyset, nil), nil)

	exchange, authorisation := s.purse.Exchange(t, s.coins[1:2], s.purse.Prepare(t, 4).Outputs)
	_, err = s.Exchange(t.Context(), exchange, authorisation)
	if !errors.As(err, &refusal) {
		t.Fatalf("exchange of a spent coin: %v", err)
	}
	expect(t, refusal.Proof.Verify(exchange, s.House.Keyset, nil), nil)
	s.CheckBooks(t, 0, 10, 5)

	exchange, authorisation = s.purse.Exchange(t, s.coins[2:3], s.purse.Prepare(t, 2).Outputs)
	_, err = s.Exchange(t.Context(), exchange, authorisation)
	expect(t, err, nil)
	if cases, _, err := s.Cases(t.Context(), ledgerPage); err != nil || len(cases) != 0 {
		t.Errorf("bearer coins name nobody, yet there are %d cases, %v", len(cases), err)
	}
}

func TestAmongAHundredDoubleSpendsOneWins(t *testing.T) {
	s := newShop(t)
	const n = 100
	tills := make([]*issuertest.Till, 10)
	for i := range tills {
		tills[i] = s.NewTill(t)
	}
	requests := make([]*issuer.DepositRequest, n)
	for i := range requests {
		offer := tills[i%len(tills)].Offer(t, 8, nil)
		spend, authorisation := s.purse.Pay(t, offer, s.coins[:1], nil)
		requests[i] = tills[i%len(tills)].Deposit(offer, spend, authorisation)
	}
	errs := make([]error, n)
	var wait sync.WaitGroup
	for i, r := range requests {
		wait.Go(func() {
			_, errs[i] = s.Deposit(context.Background(), tills[i%len(tills)].Account, r)
		})
	}
	wait.Wait()
	won := 0
	for i, err := range errs {
		var refusal *issuer.DoubleSpendError
		switch {
		case err == nil:
			won++
		case !errors.As(err, &refusal):
			t.Errorf("deposit %d: %v", i, err)
		default:
			if err := refusal.Proof.Verify(requests[i].Spend, s.House.Keyset, nil); err != nil {
				t.Errorf("the proof for deposit %d: %v", i, err)
			}
		}
	}
	if won != 1 {
		t.Errorf("%d deposits of one coin went through", won)
	}
	s.CheckBooks(t, 0, 8, 7)
}

func TestEqualDepositsAtOnceHappenOnceAndGetTheSameBytes(t *testing.T) {
	s := newShop(t)
	_, change, request := s.payment(t)
	answers := make([]*issuer.Deposited, 16)
	var wait sync.WaitGroup
	for i := range answers {
		wait.Go(func() {
			var err error
			if answers[i], err = s.Deposit(context.Background(), s.till.Account, request); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, a := range answers {
		if a == nil || !bytes.Equal(a.Receipt, answers[0].Receipt) || !slices.EqualFunc(a.Signatures, answers[0].Signatures, bytes.Equal) {
			t.Error("two answers differ")
		}
	}
	change.Finalize(t, answers[0].Signatures)
	s.CheckBooks(t, 0, 10, 5)
}

func TestWhenTheTokenFailsAfterADepositARetryBringsTheChange(t *testing.T) {
	s := newShop(t)
	_, change, request := s.payment(t)
	s.Signer.FailNext.Store(2)
	_, err := s.Deposit(t.Context(), s.till.Account, request)
	expect(t, err, issuer.ErrUnavailable)
	s.CheckBooks(t, 0, 10, 5)
	s.Signer.FailNext.Store(0)
	done, err := s.Deposit(t.Context(), s.till.Account, request)
	expect(t, err, nil)
	change.Finalize(t, done.Signatures)
	s.CheckBooks(t, 0, 10, 5)
}

func TestWhenTheReceiptCanNotBeSignedNothingHappened(t *testing.T) {
	s := newShop(t)
	_, _, request := s.payment(t)
	cfg := s.Config
	broken := &brokenSigner{Signer: cfg.Receipts.Key}
	broken.fail.Store(true)
	cfg.Receipts.Key = broken
	b, err := issuer.New(t.Context(), cfg)
	expect(t, err, nil)
	_, err = b.Deposit(t.Context(), s.till.Account, request)
	expect(t, err, issuer.ErrUnavailable)
	expect(t, b.Ready(t.Context()), issuer.ErrUnavailable)
	s.CheckBooks(t, 0, 0, 15)
	broken.fail.Store(false)
	_, err = b.Deposit(t.Context(), s.till.Account, request)
	expect(t, err, nil)
	expect(t, b.Ready(t.Context()), nil)
	s.CheckBooks(t, 0, 10, 5)
}

func TestAnExchangeKeepsTheValue(t *testing.T) {
	s := newShop(t)
	batch := s.purse.Prepare(t, 8, 4, 1, 1, 1)
	spend, authorisation := s.purse.Exchange(t, s.coins, batch.Outputs)
	first, err := s.Exchange(t.Context(), spend, authorisation)
	expect(t, err, nil)
	batch.Finalize(t, first.Signatures)
	s.CheckBooks(t, 0, 0, 15)

	s.Clock.Set(issuertest.SpendUntil)
	again, err := s.Exchange(t.Context(), spend, authorisation)
	expect(t, err, nil)
	if again.Op != first.Op || !slices.EqualFunc(first.Signatures, again.Signatures, bytes.Equal) {
		t.Error("the repetition got other bytes")
	}
	op, err := s.Operation(t.Context(), first.Op)
	expect(t, err, nil)
	if op.Kind != issuer.KindExchange || len(op.Receipt) != 0 || len(op.Signatures) != 5 {
		t.Errorf("the operation is another than the exchange: %+v", op)
	}
}

func TestAnExchangeIsRefusedWithNothingLost(t *testing.T) {
	s := newShop(t)
	signed := func(change func(*coin.Spend)) (*coin.Spend, *coin.Authorisation) {
		spend := coin.Spend{
			Purpose: coin.Exchange, Bank: issuertest.BankID, Currency: issuertest.Currency,
			Coins: slices.Clone(s.coins[:1]), ToIssuer: s.purse.Prepare(t, 8).Outputs, IssuedAt: issuertest.Now.Unix(),
		}
		if change != nil {
			change(&spend)
		}
		return s.purse.Authorise(t, spend)
	}
	_, _, payment := s.payment(t)
	tests := []struct {
		name string
		make func() (*coin.Spend, *coin.Authorisation)
		want error
	}{
		{"of more than the coins", func() (*coin.Spend, *coin.Authorisation) {
			return signed(func(sp *coin.Spend) { sp.ToIssuer = s.purse.Prepare(t, 16).Outputs })
		}, coin.ErrAmount},
		{"of less than the coins", func() (*coin.Spend, *coin.Authorisation) {
			return signed(func(sp *coin.Spend) { sp.ToIssuer = s.purse.Prepare(t, 4).Outputs })
		}, coin.ErrAmount},
		{"for nothing", func() (*coin.Spend, *coin.Authorisation) {
			return signed(func(sp *coin.Spend) { sp.ToIssuer = nil })
		}, coin.ErrAmount},
		{"in another currency", func() (*coin.Spend, *coin.Authorisation) {
			return signed(func(sp *coin.Spend) { sp.Currency = "USD" })
		}, coin.ErrCurrency},
		{"that is a payment", func() (*coin.Spend, *coin.Authorisation) { return payment.Spend, payment.Authorisation }, coin.ErrPurpose},
		{"that another key signed", func() (*coin.Spend, *coin.Authorisation) {
			sp, a := signed(nil)
			_, key, _ := ed25519.GenerateKey(nil)
			a.Bearer[0] = ed25519.Sign(key, sp.Frame())
			return sp, a
		}, coin.ErrOwner},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spend, authorisation := tt.make()
			_, err := s.Exchange(t.Context(), spend, authorisation)
			expect(t, err, tt.want)
		})
	}
	s.CheckBooks(t, 0, 0, 15)
	spend, authorisation := signed(nil)
	_, err := s.Exchange(t.Context(), spend, authorisation)
	expect(t, err, nil)
}
