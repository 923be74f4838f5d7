package issuer

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/ledger"
)

// rebuilt is what a recorded request comes to: what the operation must have
// done.
type rebuilt struct {
	id       ledger.ID
	postings []ledger.Posting
	quotas   []ledger.Quota // what it counted toward limits, in any order
	spends   []ledger.Spend // coins
	makes    []ledger.Spend // outputs
	// spend is what redeemed coins, and its owners' consent; nil if none did.
	spend         *coin.Spend
	authorisation *coin.Authorisation
}

// rebuild recomputes an operation from its request. coin.ErrUnknownKey: the
// keyset has forgotten a key. Any other error: the record is wrong.
func (f *inForce) rebuild(op *ledger.Op) (*rebuilt, error) {
	switch op.Kind {
	case KindWithdrawal:
		return f.rebuildWithdrawal(op)
	case KindDeposit, KindExchange, KindRecoup, KindRecover:
		return f.rebuildSpend(op)
	case KindFunding, KindPayout:
		return f.rebuildTransfer(op)
	case KindReconciliation:
		return f.rebuildReconciliation(op)
	case KindRefund:
		return f.rebuildRefund(op)
	case KindStrike:
		return f.rebuildStrike(op)
	case KindSuspension, KindReinstatement:
		return f.rebuildSuspension(op)
	case KindCase:
		var file caseJSON
		if err := json.Unmarshal(op.Request, &file); err != nil {
			return nil, fmt.Errorf("case does not read: %v", err)
		}
		var id coin.KeyID // 32 bytes in the same form
		if err := id.UnmarshalText([]byte(file.CoinID)); err != nil {
			return nil, fmt.Errorf("case does not read: %v", err)
		}
		return &rebuilt{id: caseID(file.Bank, id)}, nil
	}
	return nil, errors.New("operation of an unknown kind")
}

func (f *inForce) rebuildWithdrawal(op *ledger.Op) (*rebuilt, error) {
	var r withdrawalRequest
	if err := json.Unmarshal(op.Request, &r); err != nil {
		return nil, fmt.Errorf("request does not read: %v", err)
	}
	outputs, err := coin.ParseOutputsJSON(r.Outputs)
	if err != nil {
		return nil, fmt.Errorf("request does not read: %v", err)
	}
	p := newPostings(f.keyset.Currency)
	for i := range outputs {
		d, err := f.find(outputs[i].KeyID)
		if err != nil {
			return nil, err
		}
		p.add(r.Account, -int64(d.Value))
	}
	if err := f.circulate(p, outputs); err != nil {
		return nil, err
	}
	out := &rebuilt{id: coin.WithdrawalOp(r.Account, outputs), postings: p.list(), makes: makes(outputs)}
	if len(op.Quotas) != 0 { // the bank limits what is withdrawn a day
		out.quotas = []ledger.Quota{{Name: withdrawn(r.Account, op.At), Amount: -p.sums[r.Account]}}
	}
	return out, nil
}

// kindOf is the kind of operation that a spend for that purpose is recorded as.
func kindOf(p coin.Purpose) string {
	switch p {
	case coin.Pay:
		return KindDeposit
	case coin.Exchange, coin.Void:
		return KindExchange
	case coin.Recoup:
		return KindRecoup
	case coin.Recover:
		return KindRecover
	}
	return ""
}

// rebuildSpend recomputes a deposit, exchange, recoup or recover.
func (f *inForce) rebuildSpend(op *ledger.Op) (*rebuilt, error) {
	s, authorisation, err := recordedSpend(op)
	if err != nil {
		return nil, err
	}
	if kindOf(s.Purpose) != op.Kind {
		return nil, fmt.Errorf("a spend for %q", s.Purpose)
	}
	p := newPostings(f.keyset.Currency)
	if s.Amount != 0 {
		p.add(op.Account, int64(s.Amount))
	}
	spends, err := f.consume(p, s)
	if err != nil {
		return nil, err
	}
	return &rebuilt{
		id: s.Op(), postings: p.list(), spends: spends, makes: makes(s.ToIssuer), spend: s, authorisation: authorisation,
	}, nil
}

// consume posts what a spend redeems and what change it issues, and returns
// the coins that it uses up.
func (f *inForce) consume(p *postings, s *coin.Spend) ([]ledger.Spend, error) {
	var out []ledger.Spend
	for i, id := range s.CoinIDs() {
		d, err := f.find(s.Coins[i].KeyID)
		if err != nil {
			return nil, fmt.Errorf("coin %d: %w", i, err)
		}
		out = append(out, ledger.Spend{Epoch: epochOf(d.KeyID), ID: id, Value: int64(d.Value)})
		p.redeem(d.KeyID, d.Value)
	}
	return out, f.circulate(p, s.ToIssuer)
}

func caseID(bank string, coinID [32]byte) ledger.ID {
	return frame.Digest([]byte("specie/case-id/1"), []byte(bank), coinID[:])
}
