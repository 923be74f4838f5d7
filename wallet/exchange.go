package wallet

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
)

// exchange is the body of an "exchange" operation.
type exchange struct {
	// Request is the exact body to send.
	Request []byte   `json:"request"`
	Coins   [][]byte `json:"coins"`
	Items   []item   `json:"items"`
	// Reclaims is the payment whose coins are taken back, if any. They return
	// to it should the exchange be refused.
	Reclaims []byte `json:"reclaims,omitempty"`
}

type exchangeRequest struct {
	Spend json.RawMessage `json:"spend"`
}

func (e *exchange) spend() (*coin.Spend, error) {
	var r exchangeRequest
	if err := json.Unmarshal(e.Request, &r); err != nil {
		return nil, fmt.Errorf("purse: exchange: %w", err)
	}
	s, _, err := coin.DecodeSpend(r.Spend)
	return s, err
}

// Exchange turns all coins of a kind that can be spent into new ones of the
// same worth, and says how many there were. Those that expire are worth
// exchanging before they do, and all if somebody may have seen the purse.
func (w *Wallet) Exchange(ctx context.Context, kind coin.Kind) (int, error) {
	k, err := w.Keyset(ctx)
	if err != nil {
		return 0, err
	}
	if kind == coin.Bound && w.member == nil {
		return 0, fmt.Errorf("exchange: %w", w.noTPM())
	}
	all, err := w.purse.coins(ctx, "WHERE state = ? AND kind = ? ORDER BY value DESC, id", CoinFresh, string(kind))
	if err != nil {
		return 0, err
	}
	coins := slices.DeleteFunc(all, func(c StoredCoin) bool {
		d, err := k.Find(c.KeyID)
		return err != nil || d.CheckSpend(w.now()) != nil
	})
	if len(coins) == 0 {
		return 0, fmt.Errorf("exchange: %w: no %s coins that can be spent", ErrFunds, kind)
	}
	done := 0
	for lot := range slices.Chunk(coins, coin.MaxCoins) {
		if err := w.exchange(ctx, k, lot, nil); err != nil {
			return done, err
		}
		done += len(lot)
	}
	return done, nil
}

// Reclaim takes back the coins of an open payment, by exchanging them: from
// then on the merchant can't deposit them. If he did so first, the bank shows
// it, the payment is settled, and the error is [ErrPaid].
func (w *Wallet) Reclaim(ctx context.Context, id ID) error {
	k, err := w.Keyset(ctx)
	if err != nil {
		return err
	}
	back, err := w.takingBack(ctx, id)
	if err != nil {
		return err
	}
	if back != nil {
		return w.sendExchange(ctx, k, *back) // begun before, answer lost
	}
	_, body, err := w.openPayment(ctx, id)
	if err != nil {
		return err
	}
	coins, err := coinsOf(ctx, w.purse.db, body.Coins)
	if err != nil {
		return err
	}
	return w.exchange(ctx, k, coins, id)
}

// takingBack finds an open exchange that takes back a payment.
func (w *Wallet) takingBack(ctx context.Context, id ID) (*Operation, error) {
	ops, err := queryOps(ctx, w.purse.db, "WHERE kind = ? AND state IN (?, ?)", KindExchange, OpPrepared, OpSubmitted)
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

// replacements are the keys to issue under for coins of the same worth, kind
// by kind: what comes back is as well protected as what is given.
func (w *Wallet) replacements(k *coin.Keyset, coins []StoredCoin) ([]coin.Denomination, error) {
	var out []coin.Denomination
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		total, err := sum(only(coins, kind))
		if err != nil {
			return nil, err
		}
		ds, err := coin.Breakdown(total, k.ForIssue(kind, w.now()))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAmount, err)
		}
		out = append(out, ds...)
	}
	return out, nil
}

// exchange records and sends an exchange of coins that are fresh, or promised
// to the payment that is taken back.
func (w *Wallet) exchange(ctx context.Context, k *coin.Keyset, coins []StoredCoin, reclaims ID) error {
	ds, err := w.replacements(k, coins)
	if err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	body := exchange{Reclaims: reclaims}
	if body.Items, err = w.newItems(ctx, k, ds, nil); err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	spend, encoded, err := w.buildSpend(ctx, k, coin.Spend{Purpose: coin.Exchange}, coins, body.Items)
	if err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	if body.Request, err = json.Marshal(exchangeRequest{Spend: encoded}); err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	body.Coins = idsOf(spend)
	op := Operation{ID: newID(), Kind: KindExchange, State: OpSubmitted, Created: w.now()}
	if op.body, err = json.Marshal(body); err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	err = w.purse.update(ctx, func(tx *sql.Tx) error {
		claim := func() error { return commitCoins(ctx, tx, body.Coins, op.ID) }
		if reclaims != nil {
			claim = func() error { return passCoins(ctx, tx, body.Coins, reclaims, op.ID) }
		}
		if err := claim(); err != nil {
			return err
		}
		return insertOp(ctx, tx, op, body)
	})
	if err != nil {
		return err
	}
	return w.sendExchange(ctx, k, op)
}

// sendExchange sends the recorded request, for the first time or again.
func (w *Wallet) sendExchange(ctx context.Context, k *coin.Keyset, op Operation) error {
	var body exchange
	if err := decodeBody(op, &body); err != nil {
		return err
	}
	sigs, err := w.bank.exchange(ctx, body.Request)
	if err != nil {
		return w.exchangeRefused(ctx, op, body, err)
	}
	coins, err := w.finalize(k, body.Items, sigs, nil)
	if err != nil {
		return fmt.Errorf("exchange: %w", open(err))
	}
	err = w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := spendCoins(ctx, tx, body.Coins, op.ID); err != nil {
			return err
		}
		if err := w.storeCoins(ctx, tx, k, body.Items, coins); err != nil {
			return err
		}
		if body.Reclaims != nil {
			if err := moveOp(ctx, tx, body.Reclaims, OpRefused, "taken back by exchange", nil); err != nil {
				return err
			}
		}
		return moveOp(ctx, tx, op.ID, OpDone, "", nil)
	})
	if err != nil {
		return open(err)
	}
	return nil
}

// exchangeRefused closes a refused exchange. Its coins go back to where they
// came from; if the bank proves that some are spent, those are spent.
func (w *Wallet) exchangeRefused(ctx context.Context, op Operation, body exchange, err error) error {
	var p *client.Problem
	if !errors.As(err, &p) || !p.Final() {
		return fmt.Errorf("exchange: %w", open(err))
	}
	if p.Code != "double-spend" {
		uerr := w.purse.update(ctx, func(tx *sql.Tx) error {
			back := func() error { return freeCoins(ctx, tx, body.Coins, op.ID) }
			if body.Reclaims != nil {
				back = func() error { return passCoins(ctx, tx, body.Coins, op.ID, body.Reclaims) }
			}
			return errors.Join(back(), moveOp(ctx, tx, op.ID, OpRefused, p.Error(), nil))
		})
		return errors.Join(fmt.Errorf("exchange: %w", err), uerr)
	}
	spend, serr := body.spend()
	if serr != nil {
		return serr
	}
	earlier, perr := w.earlier(ctx, p, spend)
	if perr != nil {
		return fmt.Errorf("exchange: %w", open(fmt.Errorf("%w (%w)", err, perr)))
	}
	if body.Reclaims != nil {
		return w.reclaimRefused(ctx, op, body, earlier, p)
	}
	uerr := w.purse.update(ctx, func(tx *sql.Tx) error { return closeDead(ctx, tx, op.ID, body.Coins, earlier, p.Error()) })
	return errors.Join(fmt.Errorf("exchange: %w: %w", ErrSpent, err), uerr)
}

// reclaimRefused: either the merchant deposited first, and the payment is
// settled as paid, or another copy of this purse spent the coins, and payment
// and exchange are both dead.
func (w *Wallet) reclaimRefused(ctx context.Context, op Operation, body exchange, earlier *coin.Spend, p *client.Problem) error {
	pay, err := queryOp(ctx, w.purse.db, KindPay, body.Reclaims)
	if err != nil {
		return err
	}
	var paid payment
	if err := decodeBody(pay, &paid); err != nil {
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
		return errors.Join(fmt.Errorf("exchange: %w: %w", ErrSpent, p), err)
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
	return fmt.Errorf("exchange: %w: the merchant deposited first", ErrPaid)
}
