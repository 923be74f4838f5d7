package wallet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
)

// ended is a membership that makes no presentations any more that are taken:
// its bound coins are held. A till's word for that moves nothing; it is the
// bank's, or the group manager's.
type ended struct {
	Member string    `json:"member"`
	Code   string    `json:"code"` // of the refusal
	At     time.Time `json:"at"`
}

// hasEnded says whether the wallet's membership has ended, as far as it was told.
// A later membership is another.
func (w *Wallet) hasEnded(ctx context.Context) (bool, error) {
	var e ended
	found, err := w.purse.get(ctx, metaEnded, &e)
	return found && w.enrolled != nil && e.Member == w.enrolled.Member, err
}

// learnEnd remembers a refusal of the bank or the manager that says that the
// membership has ended.
func (w *Wallet) learnEnd(ctx context.Context, err error) error {
	var m *ManagerError
	var p *client.Problem
	switch {
	case errors.As(err, &m):
		if !slices.Contains([]string{"forbidden", "revoked", "leaked-key"}, m.Code) {
			return nil
		}
		p = m.Problem
	case !errors.As(err, &p) || p.Code != codeExpelled:
		return nil
	}
	return w.purse.put(ctx, metaEnded, ended{Member: w.enrolled.Member, Code: p.Code, At: w.now()})
}

// codeExpelled is a bank's refusal of a member who was struck off.
const codeExpelled = "expelled"

// renewed forgets an end: the manager has given a credential since.
func (w *Wallet) renewed(ctx context.Context) error {
	return w.purse.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM meta WHERE key = ?", metaEnded); err != nil {
			return fmt.Errorf("purse: %s: %w", metaEnded, err)
		}
		return nil
	})
}

// canPresent returns ErrEnded for a membership that has ended, and says where the
// TPM is missing.
func (w *Wallet) canPresent(ctx context.Context) error {
	over, err := w.hasEnded(ctx)
	switch {
	case err != nil:
		return err
	case over:
		return ErrEnded
	case w.member == nil:
		return w.noTPM()
	}
	return nil
}

// held tells which coins are held because the membership has ended: those that
// are promised to nothing, and those that stay promised to what was refused. What
// an open operation has may be on its way still.
func (w *Wallet) held(ctx context.Context) (func(StoredCoin) bool, error) {
	over, err := w.hasEnded(ctx)
	if err != nil || !over {
		return func(StoredCoin) bool { return false }, err
	}
	kept, err := w.purse.coins(ctx, "WHERE state = ? AND op IN (SELECT id FROM ops WHERE state = ?)", CoinCommitted, OpRefused)
	if err != nil {
		return nil, err
	}
	promised := make(map[[32]byte]bool, len(kept))
	for _, c := range kept {
		promised[[32]byte(c.ID)] = true
	}
	return func(c StoredCoin) bool {
		return c.Kind == coin.Bound && !w.stranded(c) && (c.State == CoinFresh || promised[[32]byte(c.ID)])
	}, nil
}

// promisedTo are the coins that are promised to an operation.
func promisedTo(ctx context.Context, q querier, op ID) ([]StoredCoin, error) {
	return queryCoins(ctx, q, "WHERE state = ? AND op = ? ORDER BY value DESC, id", CoinCommitted, []byte(op))
}

// takenBack closes a payment whose coins were voided, all or the bearer ones.
func takenBack(ctx context.Context, tx *sql.Tx, payment ID) error {
	left, err := promisedTo(ctx, tx, payment)
	if err != nil {
		return err
	}
	note := "taken back: voided at the bank"
	if ops, err := queryOps(ctx, tx, "WHERE id = ? AND kind = ?", []byte(payment), KindSend); err != nil {
		return err
	} else if len(ops) > 0 {
		return endSending(ctx, tx, ops[0])
	}
	if len(left) > 0 {
		note = "taken back: bearer coins voided at the bank, bound coins held"
	}
	return moveOp(ctx, tx, payment, OpRefused, note, nil)
}

// endSending closes an envelope whose coins are back, or what was left of them.
func endSending(ctx context.Context, tx *sql.Tx, op Operation) error {
	var body sending
	if err := decodeBody(op, &body); err != nil {
		return err
	}
	if body.Gone == 0 {
		return moveOp(ctx, tx, op.ID, OpRefused, "taken back", nil)
	}
	note := fmt.Sprintf("%d of %d coins received, the others taken back", body.Gone, body.Gone+len(body.Coins))
	return moveOp(ctx, tx, op.ID, OpDone, note, nil)
}
