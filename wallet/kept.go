package wallet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
)

// A merchant may accept a payment while his bank can't be reached, and deposit it
// later: the payer has the merchant's receipt then, and the bank's with the change
// when that is done. The operation stays open until then, with the receipt in it.

// takeKept verifies the receipt of a merchant who has kept a payment, and stores it.
func (w *Wallet) takeKept(ctx context.Context, op Operation, body *payment, answer *client.TillAnswer) error {
	if err := body.checkReceipt(answer.Receipt); err != nil {
		return err
	}
	body.Receipt = answer.Receipt
	return w.purse.update(ctx, func(tx *sql.Tx) error { return moveOp(ctx, tx, op.ID, OpSubmitted, op.Note, body) })
}

// checkReceipt says whether a receipt is the merchant's for this payment.
func (p *payment) checkReceipt(jws string) error {
	spend, _, err := coin.DecodeSpend(p.Spend)
	if err != nil {
		return err
	}
	offer, err := paidOffer(p.Link)
	if err != nil {
		return err
	}
	receipt, err := coin.VerifyHolderReceipt([]byte(jws), offer.Private.MerchantID)
	if err == nil {
		err = receipt.Covers(spend)
	}
	if err != nil {
		return fmt.Errorf("merchant's receipt: %w: %w", ErrAnswer, err)
	}
	return nil
}

// accepted says whether the merchant has given his receipt for an open payment.
func (w *Wallet) accepted(ctx context.Context, id ID) (bool, error) {
	op, err := queryOp(ctx, w.purse.db, KindPay, id)
	if errors.Is(err, ErrNoOperation) {
		return false, nil // it is no payment
	}
	if err != nil || op.State != OpSubmitted {
		return false, err
	}
	var body payment
	err = decodeBody(op, &body)
	return body.Receipt != "", err
}

// ReclaimAccepted is Reclaim for a payment, too, that the merchant has given his
// receipt for and has not deposited. Who has had the goods still owes their price:
// the merchant has the payment with its owners' consent, and the bank shows him who
// was faster with the coins. It is for change that would expire with a merchant who
// is gone.
func (w *Wallet) ReclaimAccepted(ctx context.Context, id ID) error { return w.reclaimAny(ctx, id) }
