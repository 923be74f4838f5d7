package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// Kinds of operation, as the ledger has them.
const (
	KindWithdrawal = "withdrawal"
	KindDeposit    = "deposit"
	KindExchange   = "exchange"
	KindRecoup     = "recoup"
	KindRecover    = "recover"
	KindFunding    = "funding"
	KindPayout     = "payout"
	KindCase       = "case"
)

// Signed is the answer to a withdrawal, exchange, recoup or recover.
type Signed struct {
	Op ledger.ID
	// Signatures are one for each output, in order; empty where the key is
	// revoked or lost and the token has it no more, see Bank.Recoup, or where it was
	// destroyed after its SpendUntil.
	Signatures [][]byte
}

// withdrawalRequest is what the ledger keeps of a withdrawal.
type withdrawalRequest struct {
	Account string            `json:"account"`
	Outputs []coin.OutputJSON `json:"outputs"`
}

// Withdraw sells coins to a holder: it debits what the outputs are worth and
// signs them. A merchant turns receipts into coins of his own this way.
// Refusals: ErrForbidden, ErrSuspended, ErrDraining, *LimitError, ErrInsufficientFunds, ErrOutputUsed,
// coin.ErrTooLarge, or those of coin.Keyset.CheckOutputs.
func (b *Bank) Withdraw(ctx context.Context, account *Account, outputs []coin.Output) (*Signed, error) {
	if account.Kind != Holder && account.Kind != Merchant {
		return nil, fmt.Errorf("%w: withdrawals are for holders and merchants", ErrForbidden)
	}
	if len(outputs) == 0 {
		return nil, fmt.Errorf("%w: no output", ErrMalformed)
	}
	if len(outputs) > coin.MaxOutputs {
		return nil, fmt.Errorf("%w: %d outputs", coin.ErrTooLarge, len(outputs))
	}
	id := coin.WithdrawalOp(account.ID, outputs)
	recorded, err := b.recorded(ctx, id)
	if err != nil {
		return nil, err
	}
	if recorded == nil {
		if err := errors.Join(account.active(), b.issuing(ctx)); err != nil {
			return nil, err
		}
		if err := b.recordWithdrawal(ctx, id, account, outputs); err != nil {
			return nil, err
		}
	}
	signatures, err := b.sign(ctx, outputs)
	if err != nil {
		return nil, err
	}
	return &Signed{Op: id, Signatures: signatures}, nil
}

func (b *Bank) recordWithdrawal(ctx context.Context, id ledger.ID, account *Account, outputs []coin.Output) error {
	now, f := b.now(), b.current()
	total, err := f.keyset.CheckOutputs(outputs, now)
	if err != nil {
		return err
	}
	quotas, err := b.limits.withdrawal(account.ID, total, now)
	if err != nil {
		return err
	}
	request, err := json.Marshal(withdrawalRequest{Account: account.ID, Outputs: coin.NewOutputsJSON(outputs)})
	if err != nil {
		return fmt.Errorf("issuer: withdrawal: %w", err)
	}
	p := newPostings(b.currency)
	p.add(account.ID, -int64(total))
	if err := f.circulate(p, outputs); err != nil {
		return err
	}
	out, err := b.apply(ctx, ledger.Op{
		ID: id, Kind: KindWithdrawal, Account: account.ID, Issuer: b.id,
		State: ledger.StateDone, Request: request, At: now,
		Spends: makes(outputs), Postings: p.list(), Floors: []string{account.ID}, Quotas: quotas,
	})
	if err != nil {
		return fmt.Errorf("issuer: withdrawal: %w", store(err))
	}
	switch out.Status {
	case ledger.Applied, ledger.Replayed:
		return nil
	case ledger.Conflict:
		return outputUsed(len(out.Conflicts))
	case ledger.Exceeded:
		return &LimitError{Name: LimitWithdrawalsPerDay, Max: int64(b.limits.WithdrawalsPerDay), Until: dayAfter(now)}
	case ledger.Insufficient:
		return fmt.Errorf("%w: less than %s", ErrInsufficientFunds, b.money(total))
	}
	return fmt.Errorf("issuer: withdrawal: ledger answered %s", out.Status)
}

// recorded returns the operation with that id, or nil.
func (b *Bank) recorded(ctx context.Context, id ledger.ID) (*ledger.Op, error) {
	op, err := b.cfg.Ledger.Op(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("issuer: look up operation: %w", store(err))
	}
	return op, nil
}
