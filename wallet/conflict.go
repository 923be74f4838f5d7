package wallet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc/successor"
)

// isCode says that an error is a refusal with that code.
func isCode(err error, code string) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Code == code
}

// earlier returns the spend that makes another one impossible for ever, if
// the refusal of that one proves it: a coin is in both, its owner consented to
// the earlier one, and the bank says itself that it carried the earlier one
// out. Without the last point a merchant who was given a spend and never
// deposited it could show that as proof, and have coins freed here that he
// deposits afterwards.
func (w *Wallet) earlier(ctx context.Context, refusal *client.Problem, spend *coin.Spend) (*coin.Spend, error) {
	if len(refusal.Conflict) == 0 {
		return nil, errors.New("the refusal comes without proof")
	}
	var proof coin.ConflictProof
	if err := json.Unmarshal(refusal.Conflict, &proof); err != nil {
		return nil, fmt.Errorf("its proof can't be read: %w", err)
	}
	if proof.Spend == nil {
		return nil, errors.New("its proof is empty")
	}
	k, err := w.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	v, err := w.proofVerifier(ctx, &proof)
	if err != nil {
		return nil, fmt.Errorf("its proof can't be checked: %w", err)
	}
	if err := proof.Verify(spend, k, v); err != nil {
		return nil, fmt.Errorf("its proof does not hold: %w", err)
	}
	done, err := w.bank.op(ctx, proof.Spend.Op())
	if err != nil {
		return nil, fmt.Errorf("whether the bank took the earlier spend is not known: %w", err)
	}
	if done == nil {
		return nil, errors.New("the bank has not taken the earlier spend")
	}
	return proof.Spend, nil
}

// proofVerifier verifies the presentation of an earlier spend of this
// wallet's bound coins, whatever the epoch it was made in: what was spent
// stays spent. It is nil where there is nothing of this wallet's to verify.
func (w *Wallet) proofVerifier(ctx context.Context, proof *coin.ConflictProof) (coin.PresentationVerifier, error) {
	if w.enrolled == nil || proof.Spend.Group != w.enrolled.groupID {
		return nil, nil
	}
	doc, err := w.groupDocument(ctx)
	if err != nil {
		return nil, err
	}
	v, err := doc.ProofVerifier(proof.Authorisation.Presentation)
	if err != nil {
		return nil, err
	}
	return coin.WithSuccessors(coin.NewPresentationVerifier(v), &successor.Verifier{Root: w.root, Doc: doc}), nil
}

// closeDead closes an operation that can never be carried out because an
// earlier spend took some of its coins: those are gone, the others were
// promised here only and are free.
func closeDead(ctx context.Context, tx *sql.Tx, op ID, coins [][]byte, earlier *coin.Spend, note string) error {
	gone := earlier.CoinIDs()
	for _, id := range coins {
		move := freeCoins
		if slices.Contains(gone, [32]byte(id)) {
			move = spendCoins
		}
		if err := move(ctx, tx, [][]byte{id}, op); err != nil {
			return err
		}
	}
	if err := moveOp(ctx, tx, op, OpRefused, note, nil); err != nil {
		return err
	}
	return reopen(ctx, tx, func(s *coin.Spend) bool { return s.Digest() == earlier.Digest() })
}

// reopen takes up an exchange, recoup or recover of this purse that the bank refused at one
// moment and carried out at another, when a request that was given up for lost
// arrived late. Its coins are waiting at the bank.
func reopen(ctx context.Context, tx *sql.Tx, is func(*coin.Spend) bool) error {
	ops, err := queryOps(ctx, tx, "WHERE kind IN (?, ?, ?, ?) AND state = ?", KindExchange, KindRecoup, KindRecover, KindReceive, OpRefused)
	if err != nil {
		return err
	}
	for _, op := range ops {
		var body exchange
		if err := decodeBody(op, &body); err != nil {
			return err
		}
		spend, err := body.spend()
		if err != nil {
			return err
		}
		if is(spend) {
			return moveOp(ctx, tx, op.ID, OpSubmitted, "", nil)
		}
	}
	return nil
}
