package wallet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/speciecash/specie/coin"
)

// exchange is the body of an "exchange", "recoup" or "recover" operation.
type exchange struct {
	// Request is the exact body to send.
	Request []byte   `json:"request"`
	Coins   [][]byte `json:"coins"`
	Items   []item   `json:"items"`
	Holding *holding `json:"holding,omitempty"` // of the bound ones among them
	// Reclaims is the payment whose coins are taken back, if any. They return
	// to it should the exchange be refused.
	Reclaims []byte `json:"reclaims,omitempty"`
}

// exchangeRequest is what is sent; claims belong to a recoup or recover.
type exchangeRequest struct {
	Spend  json.RawMessage  `json:"spend"`
	Claims []coin.ClaimJSON `json:"claims,omitempty"`
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
//
// Bound coins of an exchange that the bank refused come first, each lot as it
// was: see exchangeRefused.
func (w *Wallet) Exchange(ctx context.Context, kind coin.Kind) (int, error) {
	return w.exchangeAll(ctx, kind, func(*coin.Keyset, StoredCoin) bool { return true })
}

// exchangeAll is Exchange for those that are wanted.
func (w *Wallet) exchangeAll(ctx context.Context, kind coin.Kind, wanted func(*coin.Keyset, StoredCoin) bool) (int, error) {
	k, err := w.Keyset(ctx)
	if err != nil {
		return 0, err
	}
	// The bank is called anyway. Coins of a key that it has revoked would have all
	// of them refused, and it would know them for one purse's.
	if newest, err := w.newestKeyset(ctx); err == nil {
		k = newest
	}
	if kind == coin.Bound {
		if err := w.canPresent(ctx); err != nil {
			return 0, fmt.Errorf("exchange: %w", err)
		}
	}
	all, err := w.purse.coins(ctx, "WHERE state = ? AND kind = ? ORDER BY value DESC, id", CoinFresh, string(kind))
	if err != nil {
		return 0, err
	}
	coins := slices.DeleteFunc(all, func(c StoredCoin) bool { return !w.allSpendable(k, []StoredCoin{c}) || !wanted(k, c) })
	lots, err := w.lotsAgain(ctx, k, kind)
	if err != nil {
		return 0, err
	}
	for part := range slices.Chunk(coins, coin.MaxCoins) {
		lots = append(lots, lot{coins: part})
	}
	if len(lots) == 0 {
		return 0, fmt.Errorf("exchange: %w: no %s coins that can be spent", ErrFunds, kind)
	}
	done, total := 0, coinsIn(lots)
	w.watch.report(0, total)
	for _, l := range lots {
		if err := w.exchange(ctx, k, l.coins, l.origin); err != nil {
			return done, err
		}
		done += len(l.coins)
		w.watch.report(done, total)
	}
	return done, nil
}

// lotsAgain are those of bound coins whose exchange the bank refused. They are
// exchanged with new outputs and exactly the same coins, so that old and new are one
// op.
func (w *Wallet) lotsAgain(ctx context.Context, k *coin.Keyset, kind coin.Kind) ([]lot, error) {
	if kind != coin.Bound {
		return nil, nil
	}
	lots, err := w.refusedLots(ctx)
	return slices.DeleteFunc(lots, func(l lot) bool { return !w.allSpendable(k, l.coins) }), err
}

// coinsIn counts the coins of lots.
func coinsIn(lots []lot) (n int) {
	for _, l := range lots {
		n += len(l.coins)
	}
	return n
}

// lot is coins that are exchanged, recouped or recovered together.
type lot struct {
	coins  []StoredCoin
	origin origin
	err    error // why it can't be recovered
	part   bool  // the other coins of the payment were taken back before
}

// refusedLots are the bound coins that stay promised to an exchange, recoup or
// recover that the bank refused, and what was sent with them; and those of
// payments whose bearer coins alone could be taken back.
func (w *Wallet) refusedLots(ctx context.Context) ([]lot, error) {
	ops, err := queryOps(ctx, w.purse.db, "WHERE kind IN (?, ?, ?, ?) AND state = ?",
		KindExchange, KindRecoup, KindRecover, KindPay, OpRefused)
	if err != nil {
		return nil, err
	}
	var out []lot
	for _, op := range ops {
		coins, err := promisedTo(ctx, w.purse.db, op.ID)
		if err != nil {
			return nil, err
		}
		switch {
		case len(coins) == 0:
		case op.Kind == KindPay:
			out = append(out, lot{coins: coins, origin: origin{payment: op.ID, offer: [32]byte(op.offer)}, part: true})
		default:
			out = append(out, lot{coins: coins, origin: origin{refused: op.ID}})
		}
	}
	return out, nil
}

// allSpendable says whether the bank takes all of the coins now, from this
// wallet's present TPM.
func (w *Wallet) allSpendable(k *coin.Keyset, coins []StoredCoin) bool {
	for _, c := range coins {
		if d, err := k.Find(c.KeyID); err != nil || d.CheckSpend(w.now()) != nil || claimable(k, c) || w.stranded(c) {
			return false
		}
	}
	return true
}

// replacements are the keys to issue under for coins of the same worth, kind
// by kind: what comes back is as well protected as what is given. Of bearer coins
// some are worth exactly part.
func (w *Wallet) replacements(k *coin.Keyset, coins []StoredCoin, part coin.Amount) ([]coin.Denomination, error) {
	var out []coin.Denomination
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		total, err := sum(only(coins, kind))
		if err != nil {
			return nil, err
		}
		amounts := []coin.Amount{total}
		if kind == coin.Bearer && part > 0 && part < total {
			amounts = []coin.Amount{part, total - part}
		}
		for _, amount := range amounts {
			ds, err := coin.Breakdown(amount, k.ForIssue(kind, w.now()))
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrAmount, err)
			}
			out = append(out, ds...)
		}
	}
	return out, nil
}

// exchange records and sends an exchange, recoup or recover of coins that are
// fresh or come from where o says.
func (w *Wallet) exchange(ctx context.Context, k *coin.Keyset, coins []StoredCoin, o origin) error {
	op := Operation{ID: newID(), Kind: o.kind(), State: OpSubmitted, Created: w.now()}
	body, err := w.newExchange(ctx, k, coins, o, &op)
	if err != nil {
		return fmt.Errorf("%s: %w", op.Kind, err)
	}
	if op.body, err = json.Marshal(body); err != nil {
		return fmt.Errorf("%s: %w", op.Kind, err)
	}
	err = w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := o.claim(ctx, tx, body.Coins, op.ID); err != nil {
			return err
		}
		return insertOp(ctx, tx, op, body)
	})
	if err != nil {
		return err
	}
	err = w.sendExchange(ctx, k, op)
	if !isCode(err, codeOutputUsed) || errors.Is(err, ErrOpen) {
		return err
	}
	// Another copy of this purse has used the numbers of what was to come back.
	// Once more, with numbers behind those, and the same coins.
	found := w.reused(ctx, k, body.Items)
	if !errors.As(found, new(*ReusedError)) || o.repeated {
		return errors.Join(err, found)
	}
	o.repeated = true
	if o.payment == nil {
		o.refused = nil // bearer coins alone are free again
		if len(only(coins, coin.Bound)) > 0 {
			o.refused = op.ID
		}
	}
	return w.exchange(ctx, k, coins, o)
}

// newExchange makes the request, byte for byte, and everything that finishing
// it takes.
func (w *Wallet) newExchange(ctx context.Context, k *coin.Keyset, coins []StoredCoin, o origin, op *Operation) (*exchange, error) {
	body, head := &exchange{Reclaims: o.payment}, o.head()
	var ds []coin.Denomination
	var err error
	if o.toAccount {
		head.Amount, err = sum(coins)
		op.Amount = -int64(head.Amount)
	} else {
		ds, err = w.replacements(k, coins, o.part)
	}
	if err != nil {
		return nil, err
	}
	if body.Items, body.Holding, err = w.newItems(ctx, k, ds, nil); err != nil {
		return nil, err
	}
	spend, encoded, err := w.buildSpend(ctx, k, head, coins, body.Items, o)
	if err != nil {
		return nil, err
	}
	request := exchangeRequest{Spend: encoded}
	if claims := o.recoup.ordered(spend); len(claims) > 0 {
		request.Claims = coin.NewClaimsJSON(claims)
	}
	if body.Request, err = json.Marshal(request); err != nil {
		return nil, err
	}
	body.Coins = idsOf(spend)
	return body, nil
}

// sendExchange sends the recorded request, for the first time or again.
func (w *Wallet) sendExchange(ctx context.Context, k *coin.Keyset, op Operation) error {
	var body exchange
	if err := decodeBody(op, &body); err != nil {
		return err
	}
	send := w.bank.exchange
	switch op.Kind {
	case KindRecoup:
		send = w.bank.recoup
	case KindRecover:
		send = w.bank.recover
	}
	sigs, err := send(ctx, body.Request)
	if err != nil {
		return w.exchangeRefused(ctx, op, body, err)
	}
	coins, err := w.finalize(ctx, k, body.Items, sigs, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", op.Kind, w.signedOthers(ctx, op, body, err))
	}
	err = w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := spendCoins(ctx, tx, body.Coins, op.ID); err != nil {
			return err
		}
		if err := w.storeCoins(ctx, tx, k, body.Items, coins); err != nil {
			return err
		}
		if body.Reclaims != nil {
			if err := takenBack(ctx, tx, body.Reclaims); err != nil {
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
