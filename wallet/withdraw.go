package wallet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
)

// withdrawal is the body of a "withdraw" operation.
type withdrawal struct {
	Items []item `json:"items"`
	// Holding is that of the bound coins among them; operations of before have
	// none.
	Holding *holding `json:"holding,omitempty"`
	// Request is the exact body to send.
	Request []byte `json:"request"`
	// Account is whose money it is. Asked for with another account's token,
	// the same coins would be debited a second time.
	Account string `json:"account"`
}

// Steps of a withdrawal, for whoever draws a progress bar.
type Steps struct {
	// Tags is reported while the TPM computes the coins' tags, Verify while
	// the bank's signatures are unblinded and verified.
	Tags, Verify Progress
}

// Withdraw draws amount from the account in coins of a kind. Everything that
// a crash must not lose is on disk before the bank is asked; after [ErrOpen],
// [Wallet.Resume] finishes what was interrupted.
func (w *Wallet) Withdraw(ctx context.Context, amount coin.Amount, kind coin.Kind, s Steps) ([]StoredCoin, error) {
	k, err := w.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	if kind == coin.Bound {
		if err := w.canPresent(ctx); err != nil {
			return nil, fmt.Errorf("withdraw: %w", err)
		}
	}
	if amount <= 0 {
		return nil, fmt.Errorf("withdraw: %w: nothing to withdraw", ErrAmount)
	}
	ds, err := coin.Breakdown(amount, k.ForIssue(kind, w.now()))
	if err != nil {
		return nil, fmt.Errorf("withdraw: %w: %w", ErrAmount, err)
	}
	body := withdrawal{}
	if body.Account, err = w.bank.accountID(ctx); err != nil {
		return nil, fmt.Errorf("withdraw: %w", err)
	}
	if body.Items, body.Holding, err = w.newItems(ctx, k, ds, s.Tags); err != nil {
		return nil, fmt.Errorf("withdraw: %w", err)
	}
	_, outs, err := w.planchets(k, body.Items)
	if err != nil {
		return nil, fmt.Errorf("withdraw: %w", err)
	}
	if body.Request, err = json.Marshal(map[string]any{"outputs": coin.NewOutputsJSON(outs)}); err != nil {
		return nil, fmt.Errorf("withdraw: %w", err)
	}
	op := Operation{ID: newID(), Kind: KindWithdraw, State: OpSubmitted, Amount: int64(amount), Created: w.now()}
	if err := w.purse.update(ctx, func(tx *sql.Tx) error { return insertOp(ctx, tx, op, body) }); err != nil {
		return nil, err
	}
	return w.sendWithdrawal(ctx, k, op, body, s)
}

// sendWithdrawal sends the recorded request, for the first time or again.
func (w *Wallet) sendWithdrawal(ctx context.Context, k *coin.Keyset, op Operation, body withdrawal, s Steps) ([]StoredCoin, error) {
	sigs, err := w.bank.withdraw(ctx, body.Request)
	if err != nil {
		var refusal *client.Problem
		if !errors.As(err, &refusal) || !refusal.Final() {
			return nil, fmt.Errorf("withdraw: %w", open(err))
		}
		w.learnRevocation(ctx, err)
		uerr := w.purse.update(ctx, func(tx *sql.Tx) error { return moveOp(ctx, tx, op.ID, OpRefused, refusal.Error(), nil) })
		return nil, fmt.Errorf("withdraw: %w", errors.Join(err, uerr))
	}
	coins, err := w.finalize(ctx, k, body.Items, sigs, s.Verify)
	if err != nil {
		return nil, fmt.Errorf("withdraw: %w", open(err))
	}
	var out []StoredCoin
	err = w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := w.storeCoins(ctx, tx, k, body.Items, coins); err != nil {
			return err
		}
		ids := make([][]byte, len(coins))
		for i, c := range coins {
			id := c.ID()
			ids[i] = id[:]
		}
		if out, err = coinsOf(ctx, tx, ids); err != nil {
			return err
		}
		for i, c := range coins {
			out[i].Recoup = !c.Signed()
		}
		return moveOp(ctx, tx, op.ID, OpDone, "", nil)
	})
	if err != nil {
		return nil, open(err)
	}
	return out, nil
}

func (w *Wallet) resumeWithdrawal(ctx context.Context, op Operation) error {
	var body withdrawal
	if err := decodeBody(op, &body); err != nil {
		return err
	}
	k, err := w.Keyset(ctx)
	if err != nil {
		return err
	}
	account, err := w.bank.accountID(ctx)
	if err != nil {
		return open(err)
	}
	if account != body.Account {
		return fmt.Errorf("%w: %w: it was asked for by %s, the token in the purse is that of %s", ErrOpen, ErrAccount, body.Account, account)
	}
	_, err = w.sendWithdrawal(ctx, k, op, body, Steps{})
	return err
}
