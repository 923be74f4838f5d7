package wallet

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
)

// Reclaim takes back the coins of an open payment, by a spend that voids it:
// from then on the merchant can't deposit them. If he did so first, the bank
// shows it, the payment is settled, and the error is [ErrPaid]. If the bank has
// revoked a coin's key meanwhile, the error is [ErrRecoup]: see [Wallet.Recoup];
// if a coin's TPM is gone, [ErrStranded]: see [Wallet.Recover].
//
// The coins of an envelope that nobody has opened are taken back as well; the error
// is [ErrReceived] if somebody has.
//
// Where the membership has ended, nobody can sign for the bound coins any more.
// The bearer coins are taken back alone then, under the same offer, which ends
// the payment as well; the error is [ErrEnded] after that, since the bound coins
// stay promised to it, and are taken back by another Reclaim or Recover when they
// can be. See coin.TakenBack for why their owner has nothing to fear from that.
//
// A payment that the merchant has accepted without his bank is [ErrAccepted].
func (w *Wallet) Reclaim(ctx context.Context, id ID) error {
	accepted, err := w.accepted(ctx, id)
	if err == nil && accepted {
		err = fmt.Errorf("reclaim: %w", ErrAccepted)
	}
	if err != nil {
		return err
	}
	return w.reclaimAny(ctx, id)
}

// reclaimAny is Reclaim whatever the merchant has said.
func (w *Wallet) reclaimAny(ctx context.Context, id ID) error {
	k, err := w.Keyset(ctx)
	if err != nil {
		return err
	}
	back, err := w.takingBack(ctx, id)
	if err != nil {
		return err
	}
	if back != nil {
		err = w.sendExchange(ctx, k, *back) // begun before, answer lost
	} else if sent, serr := w.sentOf(ctx, exchange{Reclaims: id}); serr != nil {
		err = serr
	} else if sent != nil {
		err = w.reclaimSent(ctx, k, id)
	} else {
		err = w.reclaim(ctx, k, id)
	}
	if err = w.reclaimRest(ctx, k, id, err); err != nil {
		return err
	}
	left, err := promisedTo(ctx, w.purse.db, id)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("reclaim: the bearer coins are back, as new ones: %w", ErrEnded)
	}
	return err
}

func (w *Wallet) reclaim(ctx context.Context, k *coin.Keyset, id ID) error {
	coins, offer, err := w.toReclaim(ctx, id)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(coins, w.stranded) {
		return fmt.Errorf("reclaim: %w", ErrStranded)
	}
	if slices.ContainsFunc(coins, func(c StoredCoin) bool { return claimable(k, c) }) {
		return fmt.Errorf("reclaim: %w", ErrRecoup)
	}
	bearer := only(coins, coin.Bearer)
	over, err := w.hasEnded(ctx)
	if err != nil {
		return err
	}
	o := origin{payment: id, offer: offer}
	if !over || len(bearer) == len(coins) {
		err := w.exchange(ctx, k, coins, o)
		if !isCode(err, codeExpelled) || len(bearer) == 0 {
			return err
		}
	}
	if len(bearer) == 0 {
		return fmt.Errorf("reclaim: %w", ErrEnded)
	}
	return w.exchange(ctx, k, bearer, o)
}

// toReclaim are the coins of a payment that can be taken back, and its offer's
// digest: all of an open one, or what is left of one of which a part was.
func (w *Wallet) toReclaim(ctx context.Context, id ID) ([]StoredCoin, [32]byte, error) {
	op, err := queryOp(ctx, w.purse.db, KindPay, id)
	if err != nil {
		return nil, [32]byte{}, err
	}
	offer := [32]byte(op.offer)
	if op.State == OpRefused {
		if left, err := promisedTo(ctx, w.purse.db, id); err != nil || len(left) > 0 {
			return left, offer, err
		}
	}
	_, body, err := w.openPayment(ctx, id)
	if err != nil {
		return nil, offer, err
	}
	coins, err := coinsOf(ctx, w.purse.db, body.Coins)
	return coins, offer, err
}

// takingBack finds an open exchange, recoup or recover that takes back a
// payment.
func (w *Wallet) takingBack(ctx context.Context, id ID) (*Operation, error) {
	ops, err := queryOps(ctx, w.purse.db, "WHERE kind IN (?, ?, ?) AND state IN (?, ?)", KindExchange, KindRecoup, KindRecover, OpPrepared, OpSubmitted)
	if err != nil {
		return nil, err
	}
	for _, op := range ops {
		var body exchange
		if err := decodeBody(op, &body); err != nil {
			return nil, err
		}
		if body.Reclaims != nil && bytes.Equal(body.Reclaims, id) {
			return &op, nil
		}
	}
	return nil, nil
}

// reclaimRefused: either the merchant deposited first, and the payment is
// settled as paid, or another copy of this purse spent the coins, and payment
// and exchange are both dead.
func (w *Wallet) reclaimRefused(ctx context.Context, op Operation, body exchange, earlier *coin.Spend, p *client.Problem) error {
	if sent, err := w.sentOf(ctx, body); err != nil || sent != nil {
		if err != nil {
			return err
		}
		gone := earlier.CoinIDs()
		return w.friendFirst(ctx, op, body, sent, func(id []byte) bool { return slices.Contains(gone, [32]byte(id)) })
	}
	pay, paid, err := readOp[payment](ctx, w.purse.db, KindPay, body.Reclaims)
	if err != nil {
		return err
	}
	spend, _, err := coin.DecodeSpend(paid.Spend)
	if err != nil {
		return err
	}
	if earlier.Op() != spend.Op() {
		err := w.purse.update(ctx, func(tx *sql.Tx) error {
			if err := closeDead(ctx, tx, op.ID, body.Coins, earlier, p.Error()); err != nil {
				return err
			}
			return moveOp(ctx, tx, pay.ID, OpRefused, p.Error(), nil)
		})
		return errors.Join(fmt.Errorf("%s: %w: %w", op.Kind, ErrSpent, p), err)
	}
	err = w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := passCoins(ctx, tx, body.Coins, op.ID, pay.ID); err != nil {
			return err
		}
		return moveOp(ctx, tx, op.ID, OpRefused, "the merchant deposited first", nil)
	})
	if err != nil {
		return err
	}
	if _, err := w.settle(ctx, pay, &paid); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w: the merchant deposited first", op.Kind, ErrPaid)
}
