package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc/successor"
)

// readConflict verifies the other spend of a coin. Who consented to it is proven; that
// the bank carried it out is the bank's word, and that it came first too. Dates play no
// part: what was spent stays spent.
func (v *verifier) readConflict(c *Claim) error {
	var proof coin.ConflictProof
	if err := json.Unmarshal(v.f.Conflict, &proof); err != nil {
		return err
	}
	if proof.Spend == nil {
		return coin.ErrNoConflict
	}
	if err := v.readSpend(); err != nil {
		return fmt.Errorf("the payment that it is about is not there, or does not read: %w", err)
	}
	if v.keyset == nil {
		return errors.New("there is no good keyset to verify its coin by")
	}
	groups, err := v.proofVerifier(&proof)
	if err != nil {
		return err
	}
	if err := proof.Verify(v.spend, v.keyset, groups); err != nil {
		return err
	}
	other := proof.Spend
	c.By, c.At = "the coin's owner", time.Unix(other.IssuedAt, 0).UTC()
	c.Says = fmt.Sprintf("authorised to %s the coin %x… as well", other.Purpose, proof.CoinID[:6])
	if coin.TakenBack(v.spend, other) {
		c.Says = fmt.Sprintf("took this payment back, the coin %x… with it", proof.CoinID[:6])
	}
	return nil
}

// proofVerifier verifies the other spend's presentation, in whatever epoch and for
// whichever TPM of its owner it was made; nil if there are no bound coins in it.
func (v *verifier) proofVerifier(p *coin.ConflictProof) (coin.PresentationVerifier, error) {
	if p.Spend.Group == [32]byte{} {
		return nil, nil
	}
	doc, err := v.groupOf(p.Spend)
	if err != nil {
		return nil, err
	}
	g, err := doc.ProofVerifier(p.Authorisation.Presentation)
	if err != nil {
		return nil, err
	}
	return coin.WithSuccessors(coin.NewPresentationVerifier(g), &successor.Verifier{Root: v.root, Doc: doc}), nil
}
