package issuer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// Redeposit takes a deposit back into a ledger that was restored from a backup
// of before it: receipt is what the bank gave for it then. It stands for all
// that the bank checked at that time, and nobody else can sign it: so neither
// the offer's end, nor a key's, nor a group's epoch matters now. Coins and their
// owners' consent are verified again: the receipt does not cover that, and a later
// double spend is proven by it.
//
// A deposit that is recorded gets the recorded answer. Refusals: those of
// Deposit, coin.ErrReceipt for a receipt about something else, and
// *DoubleSpendError where somebody was faster: then the bank owes the merchant,
// who shows both.
func (b *Bank) Redeposit(ctx context.Context, account *Account, r *DepositRequest, receipt []byte) (*Deposited, error) {
	op, err := b.payment(ctx, account, r.Spend, "deposits")
	if err != nil {
		return nil, err
	}
	if op == nil {
		if op, err = b.recordAgain(ctx, account, r, receipt); err != nil {
			return nil, err
		}
	}
	return b.deposited(ctx, account, op)
}

// recordAgain records a deposit as it was recorded before, to the byte.
func (b *Bank) recordAgain(ctx context.Context, account *Account, r *DepositRequest, receipt []byte) (*ledger.Op, error) {
	f := b.current()
	offer, err := b.checkPaid(account, r)
	if err != nil {
		return nil, err
	}
	given, err := b.ownReceipt(f, receipt, r.Spend, offer)
	if err != nil {
		return nil, err
	}
	for i := range r.Spend.Coins {
		if _, err := f.keyset.VerifyCoin(&r.Spend.Coins[i]); err != nil {
			return nil, fmt.Errorf("coin %d: %w", i, err)
		}
	}
	if err := r.Authorisation.VerifyOwners(r.Spend); err != nil {
		return nil, err
	}
	if err := b.verifyPast(ctx, r.Spend, r.Authorisation); err != nil {
		return nil, err
	}
	request, err := encodeRecord(r.Offer, r.PayeeSalt[:], r.Spend, r.Authorisation)
	if err != nil {
		return nil, err
	}
	p := newPostings(b.currency)
	p.add(account.ID, int64(r.Spend.Amount))
	b.log.InfoContext(ctx, "a deposit of before the restoration", "op", fmt.Sprintf("%x", r.Spend.Op()), "at", given.At)
	return b.recordSpendBy(ctx, b.applyAnyway, f, r.Spend, r.Authorisation, p, ledger.Op{
		ID: r.Spend.Op(), Kind: KindDeposit, Account: account.ID, Acquirer: b.id,
		Request: request, Answer: receipt, At: given.At,
	})
}

// verifyPast verifies the presentation for bound coins, of whatever epoch. Of a
// group that the bank takes no more nobody can judge it: the receipt has to do.
func (b *Bank) verifyPast(ctx context.Context, s *coin.Spend, a *coin.Authorisation) error {
	verifier, err := b.verifier(ctx, s)
	if errors.Is(err, coin.ErrBinding) {
		return nil
	}
	if err != nil {
		return err
	}
	past, ok := verifier.(coin.Successors)
	if !ok {
		return nil
	}
	return coin.VerifyPast(s, a, past)
}

// ownReceipt verifies a receipt of this bank for a spend. Its certificate may
// have run out since: it counts if it was valid while the payment was made.
func (b *Bank) ownReceipt(f *inForce, jws []byte, s *coin.Spend, offer *coin.Offer) (*coin.DepositReceipt, error) {
	var first error
	for _, at := range []time.Time{b.now(), time.Unix(s.IssuedAt, 0), offer.Expires} {
		r, err := f.keyset.VerifyDepositReceipt(b.cfg.Root, jws, at)
		if err == nil {
			return r, r.Covers(s, offer.Payee)
		}
		if first == nil {
			first = err
		}
	}
	return nil, fmt.Errorf("%w: %w", coin.ErrReceipt, first)
}
