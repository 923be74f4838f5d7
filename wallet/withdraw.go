package wallet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
)

// codeOutputUsed is the bank's refusal to sign a blinded message for a second
// operation.
const codeOutputUsed = "output-used"

// codeLimit is its refusal of more than it allows.
const codeLimit = "limit"

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
	// Reused says that another copy of the purse was given these coins.
	Reused bool `json:"reused,omitempty"`
}

// Steps of a withdrawal, for whoever draws a progress bar.
type Steps struct {
	// Tags is reported while the TPM computes the coins' tags, Verify while
	// the bank's signatures are unblinded and verified.
	Tags, Verify Progress
	// Reused, if not nil, is told that coin numbers were used by another copy of
	// the purse, and what was found of it, before the withdrawal goes on.
	Reused func(*ReusedError)
}

// Withdraw draws amount from the account in coins of a kind. Everything that
// a crash must not lose is on disk before the bank is asked; after [ErrOpen],
// [Wallet.Resume] finishes what was interrupted.
//
// If another copy of this purse has used the coin numbers, what the bank signed for
// them is put into the purse, and the amount is drawn with numbers behind those.
func (w *Wallet) Withdraw(ctx context.Context, amount coin.Amount, kind coin.Kind, s Steps) ([]StoredCoin, error) {
	coins, err := w.withdraw(ctx, amount, kind, s)
	var reused *ReusedError
	if !errors.As(err, &reused) || errors.Is(err, ErrOpen) {
		return coins, err
	}
	if s.Reused != nil {
		s.Reused(reused)
	}
	return w.withdraw(ctx, amount, kind, s)
}

func (w *Wallet) withdraw(ctx context.Context, amount coin.Amount, kind coin.Kind, s Steps) ([]StoredCoin, error) {
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
	op := Operation{ID: newID(), Kind: KindWithdraw, State: OpPrepared, Amount: int64(amount), Created: w.now()}
	if err := w.purse.update(ctx, func(tx *sql.Tx) error { return insertOp(ctx, tx, op, body) }); err != nil {
		return nil, err
	}
	if err := w.firstOfItsKind(ctx, k, op, body); err != nil {
		return nil, err
	}
	return w.sendWithdrawal(ctx, k, op, body, s)
}

// firstOfItsKind makes sure, before a withdrawal is sent for the first time, that
// the bank has not carried it out. If it has, another copy of this purse asked for
// it: the bank would give the same coins again, and they may be spent.
func (w *Wallet) firstOfItsKind(ctx context.Context, k *coin.Keyset, op Operation, body withdrawal) error {
	id, _, err := body.bankOp()
	if err != nil {
		return err
	}
	done, err := w.bank.op(ctx, id)
	if err != nil {
		return fmt.Errorf("withdraw: %w", open(err))
	}
	if done != nil {
		return w.withdrawalReused(ctx, k, op, body)
	}
	return w.purse.update(ctx, func(tx *sql.Tx) error { return moveOp(ctx, tx, op.ID, OpSubmitted, "", nil) })
}

// withdrawalReused closes a withdrawal whose coin numbers are used.
func (w *Wallet) withdrawalReused(ctx context.Context, k *coin.Keyset, op Operation, body withdrawal) error {
	err := w.reused(ctx, k, body.Items)
	if !errors.As(err, new(*ReusedError)) {
		return fmt.Errorf("withdraw: %w", open(err)) // it will find the same again
	}
	body.Reused = true
	return errors.Join(fmt.Errorf("withdraw: %w", err), w.purse.update(ctx, func(tx *sql.Tx) error {
		return moveOp(ctx, tx, op.ID, OpRefused, ErrReused.Error(), body)
	}))
}

// sendWithdrawal sends the recorded request, for the first time or again.
func (w *Wallet) sendWithdrawal(ctx context.Context, k *coin.Keyset, op Operation, body withdrawal, s Steps) ([]StoredCoin, error) {
	sigs, err := w.bank.withdraw(ctx, body.Request)
	if err != nil {
		var refusal *client.Problem
		// What is over the bank's limits is not asked for again by itself later: its
		// owner asked for money now.
		if !errors.As(err, &refusal) || !refusal.Final() && refusal.Code != codeLimit {
			return nil, fmt.Errorf("withdraw: %w", open(err))
		}
		w.learnRevocation(ctx, err)
		if refusal.Code == codeOutputUsed {
			return nil, w.withdrawalReused(ctx, k, op, body)
		}
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
	if op.State == OpPrepared {
		if err := w.firstOfItsKind(ctx, k, op, body); err != nil {
			return err
		}
	}
	_, err = w.sendWithdrawal(ctx, k, op, body, Steps{})
	return err
}

// lateFor is how long a refused withdrawal is asked after. Its first try, whose
// answer was lost, may have arrived after the bank refused another one. A Restore
// finds it at any time.
const lateFor = 30 * 24 * time.Hour

// late takes up withdrawals that the bank refused at one moment and carried out at
// another.
func (w *Wallet) late(ctx context.Context) ([]Operation, error) {
	refused, err := queryOps(ctx, w.purse.db, "WHERE kind = ? AND state = ? AND created > ? ORDER BY created, id",
		KindWithdraw, OpRefused, w.now().Add(-lateFor).UnixMicro())
	if err != nil {
		return nil, err
	}
	var out []Operation
	for _, op := range refused {
		var body withdrawal
		if err := decodeBody(op, &body); err != nil {
			return out, err
		}
		if body.Reused {
			continue
		}
		id, _, err := body.bankOp()
		if err != nil {
			return out, err
		}
		done, err := w.bank.op(ctx, id)
		if err != nil {
			return out, fmt.Errorf("refused withdrawals: %w", err)
		}
		if done == nil {
			continue
		}
		if err := w.purse.update(ctx, func(tx *sql.Tx) error { return moveOp(ctx, tx, op.ID, OpSubmitted, "", nil) }); err != nil {
			return out, err
		}
		out = append(out, op)
	}
	return out, nil
}
