package issuer

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// KindRefund is the kind of operation that gives money of a payment back.
const KindRefund = "refund"

// RefundRequest is a merchant's order to give money of a payment back, and what
// it goes into. The payer made the outputs; who he is, nobody here knows.
type RefundRequest struct {
	Order   []byte // a compact JWS, see coin.RefundOrder
	Outputs []coin.Output
}

// refundRecord is what the ledger keeps of a refund.
type refundRecord struct {
	Order   string            `json:"order"`
	Outputs []coin.OutputJSON `json:"outputs"`
}

// refundedQuota counts what was given back of a deposit.
func refundedQuota(deposit ledger.ID) string { return "refunded/" + hex.EncodeToString(deposit[:]) }

// Refund debits a merchant by what the outputs are worth and signs them. All
// refunds of a deposit come to no more than was paid, and there is none once the
// merchant was paid out after it: then the money is out of the bank's hands.
//
// Refusals: ErrForbidden for an order that another key signed, ErrSuspended,
// ErrDraining, ErrNotFound for a deposit that is not the account's, ErrSettled,
// ErrRefund, ErrInsufficientFunds, ErrOutputUsed, ErrMalformed for other outputs
// than the order's, coin.ErrBank, coin.ErrCurrency, coin.ErrAmount, and those of
// coin.VerifyRefundOrder and coin.Keyset.CheckOutputs. A refund with the deposit
// and outputs of a recorded one gets the recorded answer.
func (b *Bank) Refund(ctx context.Context, account *Account, r *RefundRequest) (*Signed, error) {
	if account.Kind != Merchant {
		return nil, fmt.Errorf("%w: refunds are for merchants", ErrForbidden)
	}
	if len(r.Outputs) == 0 {
		return nil, fmt.Errorf("%w: no output", ErrMalformed)
	}
	if len(r.Outputs) > coin.MaxOutputs {
		return nil, fmt.Errorf("%w: %d outputs", coin.ErrTooLarge, len(r.Outputs))
	}
	order, merchant, err := coin.VerifyRefundOrder(r.Order)
	if err != nil {
		return nil, err
	}
	switch {
	case merchant != account.Merchant:
		return nil, fmt.Errorf("%w: the order is signed by another merchant", ErrForbidden)
	case order.Outputs != coin.OutputsDigest(r.Outputs):
		return nil, fmt.Errorf("%w: the order is for other outputs", ErrMalformed)
	}
	op, err := b.recorded(ctx, order.Op())
	if err != nil {
		return nil, err
	}
	if op == nil {
		if err := errors.Join(account.active(), b.issuing(ctx)); err != nil {
			return nil, err
		}
		if err := b.recordRefund(ctx, account, order, r); err != nil {
			return nil, err
		}
	} else if op.Account != account.ID {
		return nil, fmt.Errorf("%w: no such deposit of this account", ErrNotFound)
	}
	signatures, err := b.sign(ctx, r.Outputs)
	if err != nil {
		return nil, err
	}
	return &Signed{Op: order.Op(), Signatures: signatures}, nil
}

func (b *Bank) recordRefund(ctx context.Context, account *Account, order *coin.RefundOrder, r *RefundRequest) error {
	now, f := b.now(), b.current()
	if order.Bank != b.id {
		return coin.ErrBank
	}
	if order.Currency != b.currency {
		return coin.ErrCurrency
	}
	deposit, paid, err := b.depositOf(ctx, account, order.Deposit)
	if err != nil {
		return err
	}
	total, err := f.keyset.CheckOutputs(r.Outputs, now)
	if err != nil {
		return err
	}
	if total != order.Amount {
		return fmt.Errorf("%w: outputs of %d for a refund of %d", coin.ErrAmount, total, order.Amount)
	}
	op, err := f.refund(account.ID, order, r)
	if err != nil {
		return err
	}
	settled := settledClass + account.ID
	op.Issuer, op.Acquirer, op.State, op.At, op.Floors = b.id, b.id, ledger.StateDone, now, []string{account.ID}
	op.Quotas[0].Max = int64(paid)
	op.Quotas = append(op.Quotas, ledger.Quota{Name: settled, Max: max(deposit.At.Unix()-1, 0)})
	out, err := b.apply(ctx, *op)
	if err != nil {
		return fmt.Errorf("issuer: refund: %w", store(err))
	}
	switch {
	case out.Status == ledger.Applied || out.Status == ledger.Replayed:
		return nil
	case out.Status == ledger.Conflict:
		return outputUsed(len(out.Conflicts))
	case out.Status == ledger.Exceeded && slices.Contains(out.Over, settled):
		return ErrSettled
	case out.Status == ledger.Exceeded:
		return fmt.Errorf("%w: %s to be given back of %s", ErrRefund, b.money(total), b.money(paid))
	case out.Status == ledger.Insufficient:
		return fmt.Errorf("%w: less than %s", ErrInsufficientFunds, b.money(total))
	}
	return fmt.Errorf("issuer: refund: ledger answered %s", out.Status)
}

// refund is the operation that carries out a refund, without conditions.
func (f *inForce) refund(account string, order *coin.RefundOrder, r *RefundRequest) (*ledger.Op, error) {
	request, err := json.Marshal(refundRecord{Order: string(r.Order), Outputs: coin.NewOutputsJSON(r.Outputs)})
	if err != nil {
		return nil, fmt.Errorf("issuer: refund: %w", err)
	}
	p := newPostings(f.keyset.Currency)
	p.add(account, -int64(order.Amount))
	if err := f.circulate(p, r.Outputs); err != nil {
		return nil, err
	}
	return &ledger.Op{
		ID: order.Op(), Kind: KindRefund, Account: account, Request: request,
		Spends: makes(r.Outputs), Postings: p.list(),
		Quotas: []ledger.Quota{{Name: refundedQuota(order.Deposit), Amount: int64(order.Amount)}},
	}, nil
}

// recordedRefund reads back what refund wrote. Its errors match no refusal, see
// recordedSpend.
func recordedRefund(op *ledger.Op) (*refundRecord, []coin.Output, error) {
	var r refundRecord
	if err := json.Unmarshal(op.Request, &r); err != nil {
		return nil, nil, fmt.Errorf("issuer: recorded refund does not read: %v", err)
	}
	outputs, err := coin.ParseOutputsJSON(r.Outputs)
	if err != nil {
		return nil, nil, fmt.Errorf("issuer: recorded refund does not read: %v", err)
	}
	return &r, outputs, nil
}

// DepositState is where a deposit stands.
type DepositState struct {
	Op      ledger.ID
	At      time.Time
	Paid    coin.Amount // what the merchant got
	Offer   [32]byte    // digest of the offer that was paid
	Settled bool        // the merchant was paid out since
	// Refunded is what was given back, Refundable what still can be.
	Refunded, Refundable coin.Amount
}

// DepositOf says where a deposit of the account stands, or ErrNotFound.
func (b *Bank) DepositOf(ctx context.Context, account *Account, id ledger.ID) (*DepositState, error) {
	op, paid, err := b.depositOf(ctx, account, id)
	if err != nil {
		return nil, err
	}
	spend, _, err := recordedSpend(op)
	if err != nil {
		return nil, err
	}
	refunded, err := b.cfg.Ledger.Count(ctx, refundedQuota(id))
	if err != nil {
		return nil, fmt.Errorf("issuer: deposit: %w", store(err))
	}
	settled, err := b.cfg.Ledger.Count(ctx, settledClass+account.ID)
	if err != nil {
		return nil, fmt.Errorf("issuer: deposit: %w", store(err))
	}
	out := &DepositState{
		Op: id, At: op.At, Paid: paid, Offer: spend.OfferDigest, Refunded: coin.Amount(refunded), Settled: settled >= op.At.Unix(),
	}
	if !out.Settled {
		out.Refundable = paid - out.Refunded
	}
	return out, nil
}

// depositOf finds a deposit of an account, and what it brought.
func (b *Bank) depositOf(ctx context.Context, account *Account, id ledger.ID) (*ledger.Op, coin.Amount, error) {
	op, err := b.recorded(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	if op == nil || op.Kind != KindDeposit || op.Account != account.ID {
		return nil, 0, fmt.Errorf("%w: no such deposit of this account", ErrNotFound)
	}
	spend, _, err := recordedSpend(op)
	if err != nil {
		return nil, 0, err
	}
	return op, spend.Amount, nil
}

// rebuildRefund recomputes a refund.
func (f *inForce) rebuildRefund(op *ledger.Op) (*rebuilt, error) {
	r, outputs, err := recordedRefund(op)
	if err != nil {
		return nil, err
	}
	order, _, err := coin.VerifyRefundOrder([]byte(r.Order))
	if err != nil {
		return nil, err
	}
	if order.Outputs != coin.OutputsDigest(outputs) {
		return nil, errors.New("the order is for other outputs")
	}
	want, err := f.refund(op.Account, order, &RefundRequest{Order: []byte(r.Order), Outputs: outputs})
	if err != nil {
		return nil, err
	}
	return &rebuilt{id: want.ID, postings: want.Postings, makes: want.Spends, quotas: want.Quotas}, nil
}

// checkRefund compares a recorded refund with its deposit and its merchant.
func checkRefund(ctx context.Context, l ledger.Ledger, op *ledger.Op) error {
	r, _, err := recordedRefund(op)
	if err != nil {
		return err
	}
	order, merchant, err := coin.VerifyRefundOrder([]byte(r.Order))
	if err != nil {
		return err
	}
	account, err := l.Account(ctx, op.Account)
	if err != nil {
		return fmt.Errorf("its account: %v", err)
	}
	if string(account.Key) != merchant {
		return errors.New("the order is another merchant's")
	}
	deposit, err := l.Op(ctx, order.Deposit)
	if err != nil {
		return fmt.Errorf("its deposit: %v", err)
	}
	if deposit.Kind != KindDeposit || deposit.Account != op.Account {
		return errors.New("what it refunds is no deposit of the account")
	}
	spend, _, err := recordedSpend(deposit)
	if err != nil {
		return err
	}
	refunded, err := l.Count(ctx, refundedQuota(order.Deposit))
	if err != nil {
		return err
	}
	if refunded > int64(spend.Amount) {
		return fmt.Errorf("%d were given back of %d", refunded, spend.Amount)
	}
	return nil
}
