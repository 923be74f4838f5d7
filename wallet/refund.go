package wallet

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/sqlitefile"
)

// refund is the body of a "refund" operation.
type refund struct {
	// Payment is the operation that is refunded, To where it was paid.
	Payment []byte `json:"payment"`
	To      string `json:"to"`
	// Refund is the till's name of it.
	Refund []byte `json:"refund"`
	// Request is the exact body to send, a client.RefundClaim.
	Request []byte   `json:"request"`
	Items   []item   `json:"items"`
	Holding *holding `json:"holding,omitempty"` // of the bound ones among them
}

// spend is what asks for it.
func (b *refund) spend() (*coin.Spend, error) {
	var claim client.RefundClaim
	if err := json.Unmarshal(b.Request, &claim); err != nil {
		return nil, fmt.Errorf("purse: refund: %w: %w", sqlitefile.ErrDamaged, err)
	}
	s, _, err := claim.Spend.Parse()
	return s, err
}

// op is the bank's name of the refund: the payment is the one whose offer and
// coins the spend names.
func (b *refund) op() ([32]byte, []coin.Output, error) {
	s, err := b.spend()
	if err != nil {
		return [32]byte{}, nil, err
	}
	return coin.RefundOp(s.Op(), s.ToIssuer), s.ToIssuer, nil
}

// Refund collects what the merchant gives back of a payment, and returns how much
// came. The owners of the payment's coins say what it goes into, so bound coins
// need the TPM; nobody else can collect it, and the bank does not learn who does.
// Refunds that were begun before are finished first. [ErrNoRefund] if the merchant
// offers none; after [ErrOpen], [Wallet.Resume] finishes it.
func (w *Wallet) Refund(ctx context.Context, id ID) (coin.Amount, error) {
	pay, err := queryOp(ctx, w.purse.db, KindPay, id)
	if err != nil {
		return 0, err
	}
	if pay.State != OpDone {
		return 0, fmt.Errorf("payment %s: %w: it is %s", id, ErrNoRefund, pay.State)
	}
	var body payment
	if err := decodeBody(pay, &body); err != nil {
		return 0, err
	}
	begun, err := w.openRefunds(ctx, id)
	if err != nil {
		return 0, err
	}
	var got coin.Amount
	for i, op := range begun {
		w.watch.report(i, len(begun))
		if err := w.resumeRefund(ctx, op); err != nil {
			return got, err
		}
		got += coin.Amount(op.Amount)
		w.watch.report(i+1, len(begun))
	}
	offers, spend, to, err := w.refundOffers(ctx, &body)
	if err != nil {
		return got, err
	}
	for i, offer := range offers {
		w.watch.report(i, len(offers))
		if err := w.collect(ctx, pay, &body, spend, to, offer); err != nil {
			return got, err
		}
		got += offer.Amount
		w.watch.report(i+1, len(offers))
	}
	if got == 0 {
		return 0, fmt.Errorf("payment %s: %w", id, ErrNoRefund)
	}
	return got, nil
}

// refundOffers asks the till what of a payment can be collected.
func (w *Wallet) refundOffers(ctx context.Context, body *payment) ([]client.RefundOffer, *coin.Spend, string, error) {
	l, err := coin.ParseLink(body.Link)
	if err != nil {
		return nil, nil, "", err
	}
	spend, _, err := coin.DecodeSpend(body.Spend)
	if err != nil {
		return nil, nil, "", err
	}
	offers, err := client.RefundOffers(ctx, w.http, l.To, spend.Op())
	if err != nil {
		return nil, nil, "", fmt.Errorf("refund: %w", err)
	}
	var sum coin.Amount
	for _, o := range offers {
		if sum, err = sum.Add(o.Amount); err != nil || o.Amount == 0 || sum > spend.Amount || len(o.ID) == 0 || len(o.ID) > 64 {
			return nil, nil, "", fmt.Errorf("refund: %w: the till offers more than was paid, or nothing", ErrAnswer)
		}
	}
	return offers, spend, l.To, nil
}

// openRefunds are those of a payment that are not finished.
func (w *Wallet) openRefunds(ctx context.Context, payment ID) ([]Operation, error) {
	ops, err := queryOps(ctx, w.purse.db, "WHERE kind = ? AND state IN (?, ?) ORDER BY created, id", KindRefund, OpPrepared, OpSubmitted)
	if err != nil {
		return nil, err
	}
	var out []Operation
	for _, op := range ops {
		var body refund
		if err := decodeBody(op, &body); err != nil {
			return nil, err
		}
		if bytes.Equal(body.Payment, payment) {
			out = append(out, op)
		}
	}
	return out, nil
}

// collect makes the outputs of one refund, persists the claim byte for byte, and
// sends it. What comes back is bound if any of the payment's coins was.
func (w *Wallet) collect(ctx context.Context, pay Operation, paid *payment, payment *coin.Spend, to string, offer client.RefundOffer) error {
	k, err := w.Keyset(ctx)
	if err != nil {
		return err
	}
	coins, err := coinsOf(ctx, w.purse.db, paid.Coins)
	if err != nil {
		return err
	}
	kind := coin.Bearer
	if len(only(coins, coin.Bound)) > 0 {
		kind = coin.Bound
		if err := w.canPresent(ctx); err != nil {
			return fmt.Errorf("refund: %w", err)
		}
	}
	ds, err := coin.Breakdown(offer.Amount, k.ForIssue(kind, w.now()))
	if err != nil {
		return fmt.Errorf("refund: %w: %w", ErrAmount, err)
	}
	body := refund{Payment: pay.ID, To: to, Refund: offer.ID}
	if body.Items, body.Holding, err = w.newItems(ctx, k, ds, nil); err != nil {
		return fmt.Errorf("refund: %w", err)
	}
	_, encoded, err := w.buildSpend(ctx, k, coin.Spend{
		Purpose: coin.Refund, OfferDigest: payment.OfferDigest, Amount: offer.Amount,
	}, coins, body.Items, origin{refunds: payment})
	if err != nil {
		return fmt.Errorf("refund: %w", err)
	}
	claim := client.RefundClaim{Refund: offer.ID}
	if err := json.Unmarshal(encoded, &claim.Spend); err != nil {
		return fmt.Errorf("refund: %w", err)
	}
	if body.Request, err = json.Marshal(claim); err != nil {
		return fmt.Errorf("refund: %w", err)
	}
	op := Operation{
		ID: newID(), Kind: KindRefund, State: OpSubmitted, Amount: int64(offer.Amount), Created: w.now(),
		Note: pay.Note, offer: payment.OfferDigest[:],
	}
	if op.body, err = json.Marshal(body); err != nil {
		return fmt.Errorf("refund: %w", err)
	}
	if err := w.purse.update(ctx, func(tx *sql.Tx) error { return insertOp(ctx, tx, op, body) }); err != nil {
		return err
	}
	return w.sendRefund(ctx, op, &body)
}

// sendRefund sends the recorded claim to the till, for the first time or again.
func (w *Wallet) sendRefund(ctx context.Context, op Operation, body *refund) error {
	sigs, err := client.CollectRefund(ctx, w.http, body.To, body.Request)
	if err != nil {
		var p *client.Problem
		if !errors.As(err, &p) || !p.Final() {
			return fmt.Errorf("refund: %w", open(err))
		}
		w.learnRevocation(ctx, err)
		uerr := w.purse.update(ctx, func(tx *sql.Tx) error { return moveOp(ctx, tx, op.ID, OpRefused, p.Error(), nil) })
		return errors.Join(fmt.Errorf("refund: %w", err), uerr)
	}
	return w.closeRefund(ctx, op, body, sigs)
}

// closeRefund unblinds the coins and stores them.
func (w *Wallet) closeRefund(ctx context.Context, op Operation, body *refund, sigs [][]byte) error {
	k, err := w.Keyset(ctx)
	if err != nil {
		return err
	}
	coins, err := w.finalize(ctx, k, body.Items, sigs, nil)
	if err != nil {
		return fmt.Errorf("refund: %w", open(err))
	}
	err = w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := w.storeCoins(ctx, tx, k, body.Items, coins); err != nil {
			return err
		}
		return moveOp(ctx, tx, op.ID, OpDone, op.Note, nil)
	})
	if err != nil {
		return open(err)
	}
	return nil
}

// resumeRefund asks the bank first: it has the coins if the merchant is gone. If
// not, the till gets the same bytes again.
func (w *Wallet) resumeRefund(ctx context.Context, op Operation) error {
	var body refund
	if err := decodeBody(op, &body); err != nil {
		return err
	}
	id, outputs, err := body.op()
	if err != nil {
		return err
	}
	done, err := w.bank.op(ctx, id)
	if err != nil {
		return open(err)
	}
	if done == nil {
		return w.sendRefund(ctx, op, &body)
	}
	if done.kind != KindRefund || coin.OutputsDigest(done.outputs) != coin.OutputsDigest(outputs) {
		return open(fmt.Errorf("%w: the bank signed something else than the refund", ErrAnswer))
	}
	return w.closeRefund(ctx, op, &body, done.signatures)
}

// Show lets the merchant of a prepared payment see its coins without their owners'
// authorisation, so that he may check them and have the bank hold them before he
// is paid. Nothing is paid by it: see Submit. The state is the till's, "held" or
// "checked".
func (w *Wallet) Show(ctx context.Context, p *Payment) (*client.Shown, error) {
	_, body, err := w.openPayment(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	l, err := coin.ParseLink(body.Link)
	if err != nil {
		return nil, err
	}
	spend, _, err := coin.DecodeSpend(body.Spend)
	if err != nil {
		return nil, err
	}
	shown, err := coin.EncodeShown(spend)
	if err != nil {
		return nil, err
	}
	s, err := client.Show(ctx, w.http, l.To, shown)
	if err != nil {
		return nil, fmt.Errorf("show: %w", err)
	}
	return s, nil
}
