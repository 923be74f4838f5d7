package coin

import (
	"bytes"
	"fmt"
	"slices"
)

// maxConflict bounds a proof on the wire, in bytes.
const maxConflict = MaxSpendJSON + 256

// ConflictProof is what a bank shows when it refuses a coin as spent: the
// earlier spend and its owners' consent. A bank can't make one up, for it has
// no owner's key.
type ConflictProof struct {
	CoinID        [32]byte // the coin that is in both spends
	Spend         *Spend   // the earlier one
	Authorisation *Authorisation
}

type conflictJSON struct {
	Version int        `json:"v"`
	Coin    hash32     `json:"coin"`
	Spend   *SpendJSON `json:"spend"`
}

// MarshalJSON implements json.Marshaler.
func (p *ConflictProof) MarshalJSON() ([]byte, error) {
	j, err := NewSpendJSON(p.Spend, p.Authorisation)
	if err != nil {
		return nil, err
	}
	return marshal(conflictJSON{Version: 1, Coin: p.CoinID, Spend: j})
}

// UnmarshalJSON implements json.Unmarshaler under the rules of DecodeSpend.
func (p *ConflictProof) UnmarshalJSON(data []byte) error {
	var j conflictJSON
	if err := unmarshal(data, maxConflict, &j); err != nil {
		return err
	}
	if j.Version != 1 || j.Spend == nil {
		return fmt.Errorf("%w: not a proof of version 1", ErrMalformed)
	}
	s, a, err := j.Spend.Parse()
	if err != nil {
		return err
	}
	*p = ConflictProof{CoinID: j.Coin, Spend: s, Authorisation: a}
	return nil
}

// Verify says whether the proof shows that a coin of newSpend was spent
// before, in another way: nil, or ErrNoConflict when the coin is not in both
// spends, the frames are the same or the earlier one is a refund, ErrBank, ErrUnknownKey, ErrUnknownKind
// and ErrCoinSignature when it is no coin of the bank, ErrOwner and
// ErrBinding when its owner did not consent to the earlier spend.
//
// A coin that was recouped stands in the earlier spend without its signature.
// By its id it is the coin of newSpend, of which the caller knows what it is.
//
// For a bearer coin the owner's signature is enough, and verifier may be nil;
// for a bound coin the earlier presentation is verified, which covers all
// bound coins of that spend. Dates play no part: a coin that was spent stays
// spent.
func (p *ConflictProof) Verify(newSpend *Spend, k *Keyset, verifier PresentationVerifier) error {
	earlier, a := p.Spend, p.Authorisation
	if earlier == nil {
		return fmt.Errorf("%w: no earlier spend", ErrNoConflict)
	}
	if earlier.Purpose == Refund {
		return fmt.Errorf("%w: a refund spends nothing", ErrNoConflict)
	}
	if err := earlier.Check(); err != nil {
		return fmt.Errorf("earlier spend: %w", err)
	}
	if err := a.check(earlier); err != nil {
		return fmt.Errorf("earlier spend: %w", err)
	}
	at := slices.Index(earlier.CoinIDs(), p.CoinID)
	if at < 0 || !slices.Contains(newSpend.CoinIDs(), p.CoinID) {
		return fmt.Errorf("%w: the coin is not in both spends", ErrNoConflict)
	}
	if bytes.Equal(earlier.Frame(), newSpend.Frame()) {
		return fmt.Errorf("%w: both are the same spend", ErrNoConflict)
	}
	c := &earlier.Coins[at]
	if c.Signed() {
		if _, err := k.VerifyCoin(c); err != nil {
			return fmt.Errorf("earlier spend: %w", err)
		}
	}
	if c.Kind == Bound {
		return a.verifyBound(earlier, verifier)
	}
	return a.verifyBearer(earlier, func(other *Coin) bool { return other == c })
}

// TakenBack says whether one of two spends takes back what the other pays, all
// of it or a part, or both take it back: they name the same offer, and are not
// both payments. That is never a double spend of the coins in both, whichever
// came first: nobody but the offer's merchant was promised them, and he is
// refused like by a void of all of them, which is the payment's own op.
func TakenBack(a, b *Spend) bool {
	return a.OfferDigest != [32]byte{} && a.OfferDigest == b.OfferDigest && (a.Purpose != Pay || b.Purpose != Pay)
}
