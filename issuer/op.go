package issuer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// Operation is a recorded withdrawal, deposit or exchange.
type Operation struct {
	ID         ledger.ID
	Kind       string // KindWithdrawal, KindDeposit or KindExchange
	State      string
	At         time.Time
	Receipt    []byte // of a deposit, a compact JWS
	Outputs    []coin.Output
	Signatures [][]byte // one for each output, in order
}

// Operation returns what became of a request, or ErrNotFound. The id is the
// hash of the request: who knows it knows all that is in it but the
// signatures, which are blind and useful to nobody else. Fundings, whose
// references can be guessed, are not found here.
func (b *Bank) Operation(ctx context.Context, id ledger.ID) (*Operation, error) {
	op, err := b.cfg.Ledger.Op(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("issuer: operation: %w", store(err))
	}
	out := &Operation{ID: op.ID, Kind: op.Kind, State: op.State, At: op.At}
	switch op.Kind {
	case KindWithdrawal:
		var r withdrawalRequest
		if err := json.Unmarshal(op.Request, &r); err != nil {
			return nil, fmt.Errorf("issuer: recorded withdrawal does not read: %w", err)
		}
		if out.Outputs, err = coin.ParseOutputsJSON(r.Outputs); err != nil {
			return nil, fmt.Errorf("issuer: recorded withdrawal does not read: %v", err)
		}
	case KindDeposit, KindExchange:
		var s *coin.Spend
		if s, _, err = recordedSpend(op); err == nil {
			out.Outputs = s.ToIssuer
		}
	default:
		return nil, fmt.Errorf("%w: no such operation", ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	if out.Signatures, err = b.sign(ctx, out.Outputs); err != nil {
		return nil, err
	}
	out.Receipt, err = b.receipt(op)
	return out, err
}
