package issuer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// Operation is a recorded withdrawal, deposit, exchange, recoup, recover or refund.
type Operation struct {
	ID         ledger.ID
	Kind       string // KindWithdrawal, KindDeposit, KindExchange, KindRecoup, KindRecover or KindRefund
	State      string
	At         time.Time
	Receipt    []byte // of a deposit, a compact JWS
	Outputs    []coin.Output
	Signatures [][]byte // one for each output, in order; see Signed
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
	if out.Outputs, err = recordedOutputs(op); err != nil {
		return nil, err
	}
	if out.Signatures, err = b.sign(ctx, out.Outputs); err != nil {
		return nil, err
	}
	out.Receipt, err = b.receipt(op)
	return out, err
}

// recordedOutputs are what the bank signed in an operation, or ErrNotFound for
// one that signs nothing. Other errors match no refusal, see recordedSpend.
func recordedOutputs(op *ledger.Op) ([]coin.Output, error) {
	switch op.Kind {
	case KindWithdrawal:
		var r withdrawalRequest
		if err := json.Unmarshal(op.Request, &r); err != nil {
			return nil, fmt.Errorf("issuer: recorded withdrawal does not read: %v", err)
		}
		outputs, err := coin.ParseOutputsJSON(r.Outputs)
		if err != nil {
			return nil, fmt.Errorf("issuer: recorded withdrawal does not read: %v", err)
		}
		return outputs, nil
	case KindRefund:
		_, outputs, err := recordedRefund(op)
		return outputs, err
	case KindDeposit, KindExchange, KindRecoup, KindRecover:
		s, _, err := recordedSpend(op)
		if err != nil {
			return nil, err
		}
		return s.ToIssuer, nil
	}
	return nil, fmt.Errorf("%w: no such operation", ErrNotFound)
}
