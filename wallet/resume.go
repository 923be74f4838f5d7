package wallet

import (
	"context"
	"errors"
	"fmt"

	"github.com/speciecash/specie/sqlitefile"
)

// Resume settles every operation that a crash, a lost answer or a refusal
// left open, oldest first, exchanges, recoups and recovers before the payments
// that they may take back. An operation that still can't be settled is reported and left as it
// is; the others go on. A withdrawal that the bank refused and carried out after
// all is taken up, and dormant coins are asked after. It returns the operations that it looked at, as they
// are now.
func (w *Wallet) Resume(ctx context.Context) ([]Operation, error) {
	var errs []error
	if _, err := w.late(ctx); err != nil {
		errs = append(errs, err)
	}
	if _, err := w.wake(ctx); err != nil {
		errs = append(errs, err)
	}
	pending, err := queryOps(ctx, w.purse.db, "WHERE state IN (?, ?) ORDER BY kind NOT IN (?, ?, ?), created, id",
		OpPrepared, OpSubmitted, KindExchange, KindRecoup, KindRecover)
	if err != nil {
		return nil, err
	}
	w.watch.report(0, len(pending))
	for i, op := range pending {
		if err := w.resumeOne(ctx, op); err != nil {
			errs = append(errs, fmt.Errorf("%s of %s: %w", op.Kind, op.Created.UTC().Format("2006-01-02 15:04 UTC"), err))
		}
		w.watch.report(i+1, len(pending))
	}
	now := make([]Operation, 0, len(pending))
	for _, op := range pending {
		op, err := queryOp(ctx, w.purse.db, op.Kind, op.ID)
		if err != nil {
			return now, errors.Join(append(errs, err)...)
		}
		now = append(now, op)
	}
	return now, errors.Join(errs...)
}

func (w *Wallet) resumeOne(ctx context.Context, op Operation) error {
	op, err := queryOp(ctx, w.purse.db, op.Kind, op.ID)
	if err != nil || !op.isOpen() {
		return err // closed meanwhile by an exchange
	}
	switch op.Kind {
	case KindWithdraw:
		return w.resumeWithdrawal(ctx, op)
	case KindExchange, KindRecoup, KindRecover:
		k, err := w.Keyset(ctx)
		if err != nil {
			return err
		}
		var body exchange
		if err := decodeBody(op, &body); err != nil {
			return err
		}
		return w.reclaimRest(ctx, k, body.Reclaims, w.sendExchange(ctx, k, op))
	case KindPay:
		return w.resumePayment(ctx, op)
	case KindSend:
		return w.checkSent(ctx, op)
	case KindReceive:
		k, err := w.Keyset(ctx)
		if err != nil {
			return err
		}
		_, err = w.sendReceive(ctx, k, op, nil)
		return err
	case KindRefund:
		return w.resumeRefund(ctx, op)
	}
	return fmt.Errorf("%w: operation of kind %q", sqlitefile.ErrDamaged, op.Kind)
}
