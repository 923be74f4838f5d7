package merchant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/speciecash/specie/client"
)

// A bank whose ledger was restored from a backup has forgotten what was
// deposited and refunded after it, and anybody could spend those coins again. It
// raises its restore epoch, and the till hands in every deposit again that it has a
// receipt for, then orders every refund again that was done: the account is debited
// once more for what the books have credited once more, and they know the coins
// that the payer got. What the bank still knows it answers as before.

// The restore epochs up to which everything was handed in and ordered. Refunds wait
// until the bank has reconciled, deposits do not.
const (
	metaRestored = "restored"
	metaReorders = "restored-refunds"
)

// resubmit hands in again what was deposited and refunded, if the bank's ledger was
// restored since the till has last done so. Refusals are in the error, once: the
// merchant has the bank's receipt and settles it with the bank. Cut short, it begins
// again.
func (t *Till) resubmit(ctx context.Context) error {
	ops, err := t.inState(ctx, StateDeposited)
	if err != nil || len(ops) == 0 {
		return err
	}
	epoch, err := t.restoreEpoch(ctx)
	if err != nil {
		return openErr(fmt.Errorf("ask whether the bank was restored: %w", err))
	}
	again := make([]resubmission, len(ops))
	for i, op := range ops {
		again[i] = resubmission{fmt.Sprintf("payment %x… was deposited, and the bank does not take it again", op[:4]),
			func() error { return t.redeposit(ctx, op) }}
	}
	refused, err := t.onceFor(ctx, metaRestored, epoch, again)
	if err != nil {
		return errors.Join(err, refused)
	}
	refunds, err := t.refunds(ctx, "WHERE state = ?", RefundDone)
	if err != nil {
		return errors.Join(err, refused)
	}
	again = make([]resubmission, len(refunds))
	for i := range refunds {
		r := &refunds[i]
		again[i] = resubmission{fmt.Sprintf("refund %x… was done, and the bank does not do it again", []byte(r.ID[:4])),
			func() error { _, err := t.postRefund(ctx, r); return err }}
	}
	more, err := t.onceFor(ctx, metaReorders, epoch, again)
	return errors.Join(err, refused, more)
}

// resubmission is something that is sent once more, and what its refusal means.
type resubmission struct {
	refusal string
	send    func() error
}

// onceFor sends all of the list if that was not done for this epoch. What was
// refused is told apart from what stops it.
func (t *Till) onceFor(ctx context.Context, meta string, epoch int64, list []resubmission) (refused, err error) {
	var done int64
	if _, err := getMeta(ctx, t.db, meta, &done); err != nil || done >= epoch {
		return nil, err
	}
	var open error
	for _, x := range list {
		err := x.send()
		var r *Refusal
		var answered *client.Problem
		switch {
		case errors.Is(err, ErrOpen) && errors.As(err, &answered) && answered.Code == codeUnavailable:
			// The bank can't judge this one now. The others must not wait for it:
			// whoever is first with their coins has them.
			open = errors.Join(open, err)
		case errors.Is(err, ErrOpen):
			return refused, err
		case errors.As(err, &r):
			refused = errors.Join(refused, fmt.Errorf("%s: %w", x.refusal, err))
		case err != nil:
			return refused, err
		}
	}
	if open != nil {
		return refused, open
	}
	return refused, putMeta(ctx, t.db, meta, epoch)
}

func (t *Till) restoreEpoch(ctx context.Context) (int64, error) {
	c, err := t.bank()
	if err != nil {
		return 0, err
	}
	r, err := c.GetInfoWithResponse(ctx)
	if err != nil {
		return 0, err
	}
	if r.JSON200 == nil {
		return 0, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return r.JSON200.RestoreEpoch, nil
}

// redeposit sends a deposit with the receipt that it was answered with. The
// answer changes nothing here; a final refusal is a *Refusal.
func (t *Till) redeposit(ctx context.Context, op [32]byte) error {
	p, err := t.payment(ctx, op)
	if err != nil {
		return err
	}
	answer, err := client.ReadTillAnswer(p.answer)
	if err != nil {
		return fmt.Errorf("till: answer: %w", err)
	}
	var request map[string]json.RawMessage
	if err := json.Unmarshal(p.request, &request); err != nil {
		return fmt.Errorf("till: deposit request: %w", err)
	}
	if request["receipt"], err = json.Marshal(answer.BankReceipt); err != nil {
		return fmt.Errorf("till: deposit request: %w", err)
	}
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("till: deposit request: %w", err)
	}
	c, err := t.bank()
	if err != nil {
		return err
	}
	r, err := c.DepositWithBodyWithResponse(ctx, "application/json", bytes.NewReader(body), t.account)
	if err != nil {
		return openErr(fmt.Errorf("bank: %w", err))
	}
	if r.JSON200 != nil {
		return nil
	}
	err = client.ReadProblem(r.HTTPResponse, r.Body)
	var problem *client.Problem
	if !errors.As(err, &problem) || !problem.Final() {
		return openErr(fmt.Errorf("bank: %w", err))
	}
	return refuse(problem.Code, err)
}
