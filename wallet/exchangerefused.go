package wallet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
)

// signedOthers looks into signatures that don't fit. One set of coins is
// exchanged once, and who asks again gets what was signed the first time. If
// the bank names other outputs than this exchange's, the coins are gone: see
// exchangedElsewhere. Anything else leaves the outcome open.
func (w *Wallet) signedOthers(ctx context.Context, op Operation, body exchange, cause error) error {
	spend, err := body.spend()
	if err != nil {
		return err
	}
	done, err := w.bank.op(ctx, spend.Op())
	if err != nil || done == nil {
		return errors.Join(open(cause), err)
	}
	if coin.OutputsDigest(done.outputs) == coin.OutputsDigest(spend.ToIssuer) {
		return open(cause)
	}
	if sent, err := w.sentOf(ctx, body); err != nil || sent != nil {
		if err != nil {
			return err
		}
		return w.friendFirst(ctx, op, body, sent, func([]byte) bool { return true })
	}
	return w.exchangedElsewhere(ctx, spend.Op(), done, body.Coins, op.ID, body.Reclaims)
}

// exchangedElsewhere closes operations whose coins the bank exchanged, or
// took back, for other outputs than this purse knows to be open: another copy
// of it did that, or an exchange of this one that was given up for refused,
// which is taken up again then.
func (w *Wallet) exchangedElsewhere(ctx context.Context, bankOp [32]byte, done *recorded, coins [][]byte, ops ...ID) error {
	signed := coin.OutputsDigest(done.outputs)
	err := w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := spendCoins(ctx, tx, coins, ops[0]); err != nil {
			return err
		}
		for _, id := range ops {
			if err := moveOp(ctx, tx, id, OpRefused, ErrSpent.Error(), nil); err != nil {
				return err
			}
		}
		return reopen(ctx, tx, func(s *coin.Spend) bool {
			return s.Op() == bankOp && coin.OutputsDigest(s.ToIssuer) == signed
		})
	})
	return errors.Join(ErrSpent, err)
}

// exchangeRefused closes a refused exchange. If the bank proves that some of
// its coins are spent, those are spent. Otherwise coins of a voided payment
// are that payment's again, and bearer coins are free.
//
// Bound coins stay promised to the exchange. The bank holds their owner's
// authorisation now, whatever it answered: if they were paid with, it could
// show both as a double spend and have an honest holder opened. Exchanging
// exactly the same coins again is the same op, and safe.
func (w *Wallet) exchangeRefused(ctx context.Context, op Operation, body exchange, err error) error {
	var p *client.Problem
	if !errors.As(err, &p) || !p.Final() {
		return fmt.Errorf("%s: %w", op.Kind, open(err))
	}
	w.learnRevocation(ctx, err)
	if op.Kind != KindRecover { // which may be refused for the member whom it was
		err = errors.Join(err, w.learnEnd(ctx, err))
	}
	spend, serr := body.spend()
	if serr != nil {
		return serr
	}
	if len(p.Conflict) == 0 {
		uerr := w.purse.update(ctx, func(tx *sql.Tx) error {
			var back error
			switch {
			case body.Reclaims != nil:
				back = passCoins(ctx, tx, body.Coins, op.ID, body.Reclaims)
			case len(spend.BoundClaims()) == 0:
				back = freeCoins(ctx, tx, body.Coins, op.ID)
			}
			return errors.Join(back, moveOp(ctx, tx, op.ID, OpRefused, p.Error(), nil))
		})
		return errors.Join(fmt.Errorf("%s: %w", op.Kind, err), uerr)
	}
	earlier, perr := w.earlier(ctx, p, spend)
	if perr != nil {
		return fmt.Errorf("%s: %w", op.Kind, open(fmt.Errorf("%w (%w)", err, perr)))
	}
	if body.Reclaims != nil {
		return w.reclaimRefused(ctx, op, body, earlier, p)
	}
	uerr := w.purse.update(ctx, func(tx *sql.Tx) error { return closeDead(ctx, tx, op.ID, body.Coins, earlier, p.Error()) })
	return errors.Join(fmt.Errorf("%s: %w: %w", op.Kind, ErrSpent, err), uerr)
}
