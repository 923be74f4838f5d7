package wallet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/sqlitefile"
)

// Resume settles every operation that a crash, a lost answer or a refusal
// left open, oldest first. An operation that still can't be settled is
// reported and left as it is; the others go on.
func (w *Wallet) Resume(ctx context.Context) ([]Operation, error) {
	open, err := w.purse.ops(ctx, "WHERE state IN (?, ?) ORDER BY created", OpPrepared, OpSubmitted)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, op := range open {
		if err := w.resumeOne(ctx, op); err != nil {
			errs = append(errs, fmt.Errorf("%s of %s: %w", op.Kind, op.Created.Format("2006-01-02 15:04:05"), err))
		}
	}
	done := make([]Operation, 0, len(open))
	for _, op := range open {
		now, err := w.purse.ops(ctx, "WHERE id = ?", op.ID)
		if err != nil {
			return done, err
		}
		done = append(done, now...)
	}
	return done, errors.Join(errs...)
}

func (w *Wallet) resumeOne(ctx context.Context, op Operation) error {
	k, err := w.Keyset(ctx)
	if err != nil {
		return err
	}
	switch op.Kind {
	case "withdraw":
		var body withdrawal
		if err := decodeBody(op, &body); err != nil {
			return err
		}
		_, err := w.continueWithdrawal(ctx, k, op, body, Steps{})
		return err
	case "exchange":
		var body exchange
		if err := decodeBody(op, &body); err != nil {
			return err
		}
		return w.continueExchange(ctx, k, op, body)
	case "pay":
		return w.resumePayment(ctx, op)
	}
	return fmt.Errorf("%w: operation of kind %q", sqlitefile.ErrDamaged, op.Kind)
}

// resumePayment asks the bank first: it knows whether the merchant deposited,
// and it has the change if he is gone. If not, the till gets the same bytes
// again.
func (w *Wallet) resumePayment(ctx context.Context, op Operation) error {
	_, body, err := w.loadPayment(ctx, op.ID)
	if err != nil {
		return err
	}
	spend, _, err := coin.DecodeSpend(body.Spend)
	if err != nil {
		return err
	}
	recorded, err := w.bank.Op(ctx, spend.Op())
	if err != nil {
		return err
	}
	if recorded == nil {
		p := &Payment{ID: op.ID}
		return w.Submit(ctx, p)
	}
	if coin.OutputsDigest(recorded.Outputs) != coin.OutputsDigest(spend.ToIssuer) {
		return fmt.Errorf("%w: the bank signed other change than was asked for", ErrAnswer)
	}
	offer, err := w.paidOffer(body.Link)
	if err != nil {
		return err
	}
	receipt, err := coin.VerifyDepositReceipt(w.root, []byte(recorded.Receipt), w.now())
	if err == nil {
		err = receipt.Covers(spend, offer.Offer.Payee)
	}
	if err != nil {
		return fmt.Errorf("bank's receipt: %w: %w", ErrAnswer, err)
	}
	body.BankReceipt = recorded.Receipt
	return w.closePayment(ctx, op.ID, offer.Private.Name, body, recorded.Signatures)
}

// exchange is the body of an "exchange" operation.
type exchange struct {
	Request []byte   `json:"request"`
	Coins   [][]byte `json:"coins"`
	Items   []item   `json:"items"`
	// Reclaims is the payment whose coins are taken back, if any.
	Reclaims []byte `json:"reclaims,omitempty"`
}

// Exchange turns coins into new ones of the same value and kind.
func (w *Wallet) Exchange(ctx context.Context, coins []StoredCoin, kind coin.Kind) error {
	return w.exchange(ctx, coins, kind, CoinFresh, nil)
}

// Reclaim takes back the coins of a payment that the merchant never
// deposited, by exchanging them: from then on he can't. If he deposited
// first, the bank says so and [Wallet.Resume] settles the payment.
func (w *Wallet) Reclaim(ctx context.Context, id []byte) error {
	_, body, err := w.loadPayment(ctx, id)
	if err != nil {
		return err
	}
	var coins []StoredCoin
	kind := coin.Bearer
	for _, c := range body.Coins {
		rows, err := w.purse.coins(ctx, "WHERE id = ?", c)
		if err != nil {
			return err
		}
		coins = append(coins, rows...)
	}
	if slices.ContainsFunc(coins, func(c StoredCoin) bool { return c.Kind == coin.Bound }) {
		kind = coin.Bound
	}
	return w.exchange(ctx, coins, kind, CoinCommitted, id)
}

func (w *Wallet) exchange(ctx context.Context, coins []StoredCoin, kind coin.Kind, from string, reclaims []byte) error {
	k, err := w.Keyset(ctx)
	if err != nil {
		return err
	}
	var sum coin.Amount
	for _, c := range coins {
		if sum, err = sum.Add(c.Value); err != nil {
			return fmt.Errorf("exchange: %w", err)
		}
	}
	ds, err := coin.Breakdown(sum, k.ForIssue(kind, w.now()))
	if err != nil {
		return fmt.Errorf("exchange: %w: %w", ErrAmount, err)
	}
	body := exchange{Reclaims: reclaims}
	if err := w.purse.update(ctx, func(tx *sql.Tx) error {
		body.Items, err = reserve(ctx, tx, ds)
		return err
	}); err != nil {
		return err
	}
	s, err := w.buildSpend(ctx, k, coin.Spend{Purpose: coin.Exchange, Bank: k.Bank, Currency: k.Currency}, coins, body.Items)
	if err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	if body.Request, err = json.Marshal(map[string]json.RawMessage{"spend": s.encoded}); err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	op := Operation{ID: newID(), Kind: "exchange", State: OpSubmitted, Amount: 0, Created: w.now()}
	ids := s.spend.CoinIDs()
	for _, id := range ids {
		body.Coins = append(body.Coins, append([]byte{}, id[:]...))
	}
	if err := w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := moveCoins(ctx, tx, ids, from, CoinCommitted, op.ID); err != nil {
			return err
		}
		return insertOp(ctx, tx, op, body)
	}); err != nil {
		return err
	}
	return w.continueExchange(ctx, k, op, body)
}

func (w *Wallet) continueExchange(ctx context.Context, k *coin.Keyset, op Operation, body exchange) error {
	sigs, err := w.bank.Exchange(ctx, body.Request)
	if err != nil {
		var p *client.Problem
		if errors.As(err, &p) && p.Final() {
			// Refused and not recorded. The coins of a reclaimed payment stay
			// promised to it. Others were promised to nobody else and are free,
			// unless the bank knows better: a copy of this purse spent them.
			state := CoinFresh
			switch {
			case body.Reclaims != nil:
				state = CoinCommitted
			case p.Code == "double-spend":
				state = CoinDormant
			}
			err = errors.Join(err, w.purse.update(ctx, func(tx *sql.Tx) error {
				if uerr := setCoins(ctx, tx, body.Coins, state, op.ID); uerr != nil {
					return uerr
				}
				return updateOp(ctx, tx, op.ID, OpRefused, p.Error(), body)
			}))
		}
		return fmt.Errorf("exchange: %w", err)
	}
	coins, err := w.finalize(k, body.Items, sigs, nil)
	if err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	return w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := setCoins(ctx, tx, body.Coins, CoinSpent, op.ID); err != nil {
			return err
		}
		if err := w.storeCoins(ctx, tx, k, body.Items, coins); err != nil {
			return err
		}
		if body.Reclaims != nil {
			_, pay, err := loadPayment(ctx, tx, body.Reclaims)
			if err != nil {
				return err
			}
			if err := updateOp(ctx, tx, body.Reclaims, OpRefused, "taken back by exchange", pay); err != nil {
				return err
			}
		}
		return updateOp(ctx, tx, op.ID, OpDone, "", body)
	})
}

func decodeBody(op Operation, v any) error {
	if err := json.Unmarshal(op.body, v); err != nil {
		return fmt.Errorf("purse: operation %x: %w: %w", op.ID, sqlitefile.ErrDamaged, err)
	}
	return nil
}
