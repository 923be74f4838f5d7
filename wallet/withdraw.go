package wallet

import (
	"context"
	"crypto/rand"
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
	// Request is the exact body to send, empty until owners are known.
	Request []byte `json:"request,omitempty"`
}

// Steps of a withdrawal, for whoever draws a progress bar.
type Steps struct {
	// Tags is reported while the TPM computes the coins' tags, Verify while
	// the bank's signatures are unblinded and verified.
	Tags, Verify Progress
}

// Withdraw draws amount from the account in coins of a kind. Everything that
// a crash must not lose is on disk before the bank is asked; [Wallet.Resume]
// finishes what was interrupted.
func (w *Wallet) Withdraw(ctx context.Context, amount coin.Amount, kind coin.Kind, s Steps) ([]StoredCoin, error) {
	k, err := w.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	if kind == coin.Bound && w.member == nil {
		return nil, w.noTPM()
	}
	ds, err := coin.Breakdown(amount, k.ForIssue(kind, w.now()))
	if err != nil {
		return nil, fmt.Errorf("withdraw: %w: %w", ErrAmount, err)
	}
	op := Operation{ID: make([]byte, 16), Kind: "withdraw", State: OpPrepared, Amount: int64(amount), Created: w.now()}
	if _, err := rand.Read(op.ID); err != nil {
		return nil, fmt.Errorf("withdraw: %w", err)
	}
	var body withdrawal
	err = w.purse.update(ctx, func(tx *sql.Tx) error {
		if body.Items, err = reserve(ctx, tx, ds); err != nil {
			return err
		}
		return insertOp(ctx, tx, op, body)
	})
	if err != nil {
		return nil, err
	}
	return w.continueWithdrawal(ctx, k, op, body, s)
}

// continueWithdrawal goes on from wherever a withdrawal stands.
func (w *Wallet) continueWithdrawal(ctx context.Context, k *coin.Keyset, op Operation, body withdrawal, s Steps) ([]StoredCoin, error) {
	if len(body.Request) == 0 {
		if err := w.fillOwners(ctx, k, body.Items, s.Tags); err != nil {
			return nil, fmt.Errorf("withdraw: %w", err)
		}
		_, outs, err := w.planchets(k, body.Items)
		if err != nil {
			return nil, fmt.Errorf("withdraw: %w", err)
		}
		body.Request, err = json.Marshal(map[string]any{"outputs": coin.NewOutputsJSON(outs)})
		if err != nil {
			return nil, fmt.Errorf("withdraw: %w", err)
		}
		if err := w.setOp(ctx, op.ID, OpSubmitted, "", body); err != nil {
			return nil, err
		}
	}
	sigs, err := w.bank.Withdraw(ctx, body.Request)
	if err != nil {
		var refusal *client.Problem
		if errors.As(err, &refusal) && refusal.Final() {
			err = errors.Join(err, w.setOp(ctx, op.ID, OpRefused, refusal.Error(), body))
		}
		return nil, fmt.Errorf("withdraw: %w", err)
	}
	coins, err := w.finalize(k, body.Items, sigs, s.Verify)
	if err != nil {
		return nil, fmt.Errorf("withdraw: %w", err)
	}
	err = w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := w.storeCoins(ctx, tx, k, body.Items, coins); err != nil {
			return err
		}
		return updateOp(ctx, tx, op.ID, OpDone, "", body)
	})
	if err != nil {
		return nil, err
	}
	return w.byID(ctx, coins)
}

func (w *Wallet) setOp(ctx context.Context, id []byte, state, note string, body any) error {
	return w.purse.update(ctx, func(tx *sql.Tx) error { return updateOp(ctx, tx, id, state, note, body) })
}

func (w *Wallet) byID(ctx context.Context, coins []*coin.Coin) ([]StoredCoin, error) {
	out := make([]StoredCoin, 0, len(coins))
	for _, c := range coins {
		id := c.ID()
		rows, err := w.purse.coins(ctx, "WHERE id = ?", id[:])
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}
