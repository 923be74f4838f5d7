package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// recoupRecord is what the ledger keeps of a recoup or recover. Its spend reads
// like a depositRecord's.
type recoupRecord struct {
	Spend  json.RawMessage  `json:"spend"` // as coin.EncodeSpend writes
	Claims []coin.ClaimJSON `json:"claims"`
}

// Recoup makes coins good that can't be spent any more because their key is
// revoked, or that never got their signature because it is lost. The coins'
// owners authorise it as they do an exchange, and a claim for each such coin
// shows which output of which recorded operation it is: the bank's own
// signature proves nothing once somebody else can make it.
//
// What the coins are worth comes back in new coins. The spend's amount, if any,
// goes to the account that withdrew all of them, and can go nowhere else; so no
// token is asked for.
//
// Refusals: coin.ErrClaim, those of coin.VerifyRecoup, *VoidError and
// *DoubleSpendError. A recoup of the same coins as a recorded one gets the
// recorded answer. Exchange, void and recoup of the same coins are one op.
func (b *Bank) Recoup(ctx context.Context, s *coin.Spend, a *coin.Authorisation, claims []coin.Claim) (*Signed, error) {
	if s.Purpose != coin.Recoup {
		return nil, coin.ErrPurpose
	}
	return b.repay(ctx, s, a, claims, coin.VerifyRecoup)
}

// verifyRepayment is coin.VerifyRecoup or coin.VerifyRecover.
type verifyRepayment func(s *coin.Spend, a *coin.Authorisation, claims []coin.Claim, k *coin.Keyset,
	verifier coin.PresentationVerifier, at time.Time, outputs func(op [32]byte) ([]coin.Output, error)) error

// repay carries out a recoup or recover, or answers the recorded one.
func (b *Bank) repay(ctx context.Context, s *coin.Spend, a *coin.Authorisation, claims []coin.Claim, verify verifyRepayment) (*Signed, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	op, err := b.recorded(ctx, s.Op())
	if err != nil {
		return nil, err
	}
	if op == nil {
		if op, err = b.recordRepayment(ctx, s, a, claims, verify); err != nil {
			return nil, err
		}
	}
	return b.signed(ctx, op, kindOf(s.Purpose))
}

// recordRepayment checks a recoup or recover and records it, and returns the
// operation as it stands in the ledger.
func (b *Bank) recordRepayment(ctx context.Context, s *coin.Spend, a *coin.Authorisation, claims []coin.Claim, verify verifyRepayment) (*ledger.Op, error) {
	now, f := b.now(), b.current()
	verifier, err := b.verifier(ctx, s)
	if err != nil {
		return nil, b.refused(ctx, s, now, err)
	}
	sources := newSources(b.cfg.Ledger)
	var account string
	if err = verify(s, a, claims, f.keyset, verifier, now, sources.outputs(ctx)); err == nil {
		account, err = sources.account(s)
	}
	if err != nil {
		return nil, b.refused(ctx, s, now, err)
	}
	spend, err := coin.EncodeSpend(s, a)
	if err != nil {
		return nil, err
	}
	request, err := json.Marshal(recoupRecord{Spend: spend, Claims: coin.NewClaimsJSON(claims)})
	if err != nil {
		return nil, fmt.Errorf("issuer: record %s: %w", s.Purpose, err)
	}
	p := newPostings(b.currency)
	if s.Amount != 0 {
		p.add(account, int64(s.Amount))
	}
	return b.recordSpend(ctx, f, s, a, p, ledger.Op{
		ID: s.Op(), Kind: kindOf(s.Purpose), Account: account, Acquirer: b.id, Request: request, At: now,
	})
}

// checkClaims checks the claims of a recorded recoup or recover once more.
func (f *inForce) checkClaims(ctx context.Context, l ledger.Ledger, op *ledger.Op, s *coin.Spend) error {
	var r recoupRecord
	if err := json.Unmarshal(op.Request, &r); err != nil {
		return fmt.Errorf("request does not read: %v", err)
	}
	claims, err := coin.ParseClaimsJSON(r.Claims)
	if err != nil {
		return fmt.Errorf("request does not read: %v", err)
	}
	sources := newSources(l)
	if err := coin.VerifyClaims(s, claims, f.keyset, sources.outputs(ctx)); err != nil {
		return err
	}
	account, err := sources.account(s)
	if err == nil && account != op.Account {
		err = errors.New("another account's coins")
	}
	return err
}

// sources are the operations that a repayment's claims name.
type sources struct {
	ledger ledger.Ledger
	ops    map[ledger.ID][]coin.Output
	// payers are the accounts that paid for them, "" for those that coins paid
	// for.
	payers map[string]bool
}

func newSources(l ledger.Ledger) *sources {
	return &sources{ledger: l, ops: make(map[ledger.ID][]coin.Output), payers: make(map[string]bool)}
}

// outputs finds what an operation issued, for coin.VerifyClaims.
func (s *sources) outputs(ctx context.Context) func(op [32]byte) ([]coin.Output, error) {
	return func(op [32]byte) ([]coin.Output, error) { return s.find(ctx, op) }
}

// find returns what an operation issued, or coin.ErrClaim. Each operation is
// read once.
func (s *sources) find(ctx context.Context, id ledger.ID) ([]coin.Output, error) {
	if outputs, ok := s.ops[id]; ok {
		return outputs, nil
	}
	op, err := s.ledger.Op(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, fmt.Errorf("%w: no such operation", coin.ErrClaim)
	}
	if err != nil {
		return nil, fmt.Errorf("issuer: look up operation: %w", store(err))
	}
	outputs, err := recordedOutputs(op)
	if errors.Is(err, ErrNotFound) || err == nil && op.State != ledger.StateDone {
		return nil, fmt.Errorf("%w: the operation issued nothing", coin.ErrClaim)
	}
	if err != nil {
		return nil, err
	}
	payer := ""
	if op.Kind == KindWithdrawal {
		payer = op.Account
	}
	s.ops[id], s.payers[payer] = outputs, true
	return outputs, nil
}

// account is where the amount of a verified recoup or recover goes: the account that
// withdrew all of its coins, or coin.ErrClaim if there is none. Whoever could
// name the account could be made to; and a payment's change must not be tied to
// one. It is empty if there is no amount.
func (s *sources) account(spend *coin.Spend) (string, error) {
	if spend.Amount == 0 {
		return "", nil
	}
	for i := range spend.Coins {
		if spend.Coins[i].Signed() {
			return "", fmt.Errorf("%w: which account withdrew coin %d is not known", coin.ErrClaim, i)
		}
	}
	if len(s.payers) != 1 || s.payers[""] {
		return "", fmt.Errorf("%w: money goes back to the one account that withdrew all of the coins", coin.ErrClaim)
	}
	for account := range s.payers {
		return account, nil
	}
	return "", nil
}
