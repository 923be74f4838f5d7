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
// deposited after it, and anybody could spend those coins again. It raises its
// restore epoch, and the till hands in every deposit again that it has a receipt
// for. What the bank still knows it answers as before.

// metaRestored is the restore epoch up to which everything was handed in.
const metaRestored = "restored"

// resubmit hands in again what was deposited, if the bank's ledger was restored
// since the till has last done so. Refusals are in the error, once: the merchant
// has the bank's receipt and settles it with the bank. Cut short, it begins
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
	var done int64
	if _, err := getMeta(ctx, t.db, metaRestored, &done); err != nil || done >= epoch {
		return err
	}
	var refused []error
	for _, op := range ops {
		err := t.redeposit(ctx, op)
		var r *Refusal
		switch {
		case errors.Is(err, ErrOpen):
			return errors.Join(err, errors.Join(refused...))
		case errors.As(err, &r):
			refused = append(refused, fmt.Errorf("payment %x… was deposited, and the bank does not take it again: %w", op[:4], err))
		case err != nil:
			return err
		}
	}
	return errors.Join(putMeta(ctx, t.db, metaRestored, epoch), errors.Join(refused...))
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
