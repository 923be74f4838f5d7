package issuer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// caseAccount is the account that cases are filed under. Nothing is posted to
// it.
const caseAccount = "cases"

// Case is a bound coin that was spent twice: what the supervisors need to
// open it. The second spend was verified like any other and refused.
type Case struct {
	ID ledger.ID
	At time.Time
	// JSON is the case file: {v, bank, coin_id, spends}, with two spends in
	// the form of coin.SpendJSON, the recorded one first.
	JSON []byte
}

type caseJSON struct {
	Version int                `json:"v"`
	Bank    string             `json:"bank"`
	CoinID  string             `json:"coin_id"`
	Spends  [2]json.RawMessage `json:"spends"`
}

// doubleSpend makes the refusal of a spend whose coins are taken, with the
// earlier spend as its proof, and files a case for bound coins. A recover of
// coins that are spent is none: nobody took them for it, it names its owner by
// itself, and who restored an old purse asks for such coins without knowing it.
// Nor is a payment of which a part was taken back: see coin.TakenBack.
func (b *Bank) doubleSpend(ctx context.Context, s *coin.Spend, a *coin.Authorisation, taken []ledger.Taken) error {
	if len(taken) == 0 {
		return errors.New("issuer: ledger told of a conflict and named none")
	}
	all := len(taken)
	if taken = takenCoins(taken); len(taken) == 0 {
		return outputUsed(all)
	}
	ids := s.CoinIDs()
	proofs := make(map[ledger.ID]*coin.ConflictProof, 1)
	filed := make(map[ledger.ID]bool, 1)
	for _, t := range taken {
		proof := proofs[t.Op]
		if proof == nil {
			var err error
			if proof, err = b.proof(ctx, t); err != nil {
				return err
			}
			proofs[t.Op] = proof
		}
		at := slices.Index(ids, t.ID)
		if filed[t.Op] || at < 0 || s.Coins[at].Kind != coin.Bound || s.Purpose == coin.Recover || coin.TakenBack(s, proof.Spend) {
			continue
		}
		// All bound coins of one spend have one owner: one case names him.
		filed[t.Op] = true
		if err := b.fileCase(ctx, t.ID, proof, s, a); err != nil {
			return err
		}
	}
	if at := slices.Index(ids, taken[0].ID); at >= 0 {
		b.stats.doubleSpent(s.Coins[at].Kind)
	}
	return &DoubleSpendError{Op: taken[0].Op, Proof: proofs[taken[0].Op]}
}

// voided makes the refusal of the second of a payment and its void, and of other
// requests that are one operation. op is the first.
func voided(op *ledger.Op) error {
	spend, authorisation, err := recordedSpend(op)
	if err != nil {
		return err
	}
	return &VoidError{Op: op.ID, Proof: &coin.ConflictProof{
		CoinID: spend.CoinIDs()[0], Spend: spend, Authorisation: authorisation,
	}}
}

// proof reads the spend that took a coin.
func (b *Bank) proof(ctx context.Context, t ledger.Taken) (*coin.ConflictProof, error) {
	op, err := b.cfg.Ledger.Op(ctx, t.Op)
	if err != nil {
		return nil, fmt.Errorf("issuer: earlier spend: %w", store(err))
	}
	spend, authorisation, err := recordedSpend(op)
	if err != nil {
		return nil, err
	}
	return &coin.ConflictProof{CoinID: t.ID, Spend: spend, Authorisation: authorisation}, nil
}

// fileCase records that a bound coin came twice. There is one case for a
// coin, with the first spend that was refused: more would name nobody else.
func (b *Bank) fileCase(ctx context.Context, id ledger.ID, first *coin.ConflictProof, second *coin.Spend, secondAuth *coin.Authorisation) error {
	file := caseJSON{Version: 1, Bank: b.id, CoinID: base64.RawURLEncoding.EncodeToString(id[:])}
	var err error
	if file.Spends[0], err = coin.EncodeSpend(first.Spend, first.Authorisation); err != nil {
		return fmt.Errorf("issuer: case: %v", err)
	}
	if file.Spends[1], err = coin.EncodeSpend(second, secondAuth); err != nil {
		return fmt.Errorf("issuer: case: %v", err)
	}
	request, err := json.Marshal(file)
	if err != nil {
		return fmt.Errorf("issuer: case: %w", err)
	}
	out, err := b.cfg.Ledger.Apply(ctx, ledger.Op{
		ID: caseID(b.id, id), Kind: KindCase,
		Account: caseAccount, Issuer: b.id, State: ledger.StateDone, Request: request, At: b.now(),
	})
	if err != nil {
		// The refusal waits for the case: whoever repeats the request files
		// it then.
		return fmt.Errorf("issuer: case: %w", store(err))
	}
	if out.Status == ledger.Applied {
		b.log.WarnContext(ctx, "a bound coin came twice; a case is filed for the supervisors")
	}
	return nil
}

// Cases lists the cases, newest first, and the cursor of the next page, empty
// on the last. ErrMalformed for a cursor that the bank did not give out.
func (b *Bank) Cases(ctx context.Context, page ledger.Page) ([]Case, ledger.Cursor, error) {
	ops, next, err := b.cfg.Ledger.OpsByAccount(ctx, caseAccount, page)
	if errors.Is(err, ledger.ErrMalformed) {
		return nil, "", fmt.Errorf("%w: cursor", ErrMalformed)
	}
	if err != nil {
		return nil, "", fmt.Errorf("issuer: cases: %w", store(err))
	}
	out := make([]Case, len(ops))
	for i := range ops {
		out[i] = Case{ID: ops[i].ID, At: ops[i].At, JSON: ops[i].Request}
	}
	return out, next, nil
}

// Case returns one case, or ErrNotFound.
func (b *Bank) Case(ctx context.Context, id ledger.ID) (*Case, error) {
	op, err := b.cfg.Ledger.Op(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("issuer: case: %w", store(err))
	}
	if op.Kind != KindCase {
		return nil, fmt.Errorf("%w: no such case", ErrNotFound)
	}
	return &Case{ID: op.ID, At: op.At, JSON: op.Request}, nil
}
