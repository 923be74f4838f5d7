package group

import (
	"crypto/rand"
	"fmt"

	"github.com/speciecash/specie/group/fp256bn"
)

// Verifier checks presentations of one group for a set of epochs.
type Verifier struct {
	params Parameters
	id     ID
	epochs map[uint64]*fp256bn.PreparedG1 // B0+[t]He of those accepted
	leaked []leakedKey
	w      *fp256bn.PreparedG2
	o      *fp256bn.PreparedG1
}

// NewVerifier prepares the group's keys, in about the time of a pairing: make
// it once and keep it. Presentations of other epochs than
// those given are refused with [ErrEpoch].
func NewVerifier(p *Parameters, epochs ...uint64) (*Verifier, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	v := &Verifier{
		params: *p, id: p.ID(), epochs: make(map[uint64]*fp256bn.PreparedG1, len(epochs)),
		w: fp256bn.Prepare(p.W), o: fp256bn.PrepareG1(p.O),
	}
	for _, t := range epochs {
		v.epochs[t] = fp256bn.PrepareG1(epochBase(t))
	}
	return v, nil
}

// GroupID is the group whose presentations v accepts.
func (v *Verifier) GroupID() ID { return v.id }

// Verify decodes and checks a presentation over message and claims. It
// returns [ErrMalformed], [ErrEpoch], [ErrClaim], [ErrLeaked],
// [ErrCredential] or [ErrProof].
func (v *Verifier) Verify(presentation, message []byte, claims []Claim) error {
	p, err := ParsePresentation(presentation)
	if err != nil {
		return err
	}
	return v.verify(p, message, claims)
}

func (v *Verifier) verify(p *Presentation, message []byte, claims []Claim) error {
	if err := v.checkProofs([]*attempt{{p: p, message: message, claims: claims}})[0]; err != nil {
		return err
	}
	if !v.checkPairing(p.APrime, p.BBar) {
		return fmt.Errorf("presentation: %w", ErrCredential)
	}
	return nil
}

// checkPairing is e(A', W) = e(B̄, P2): B̄ = [γ]A', a credential under W.
func (v *Verifier) checkPairing(aPrime, bBar fp256bn.G1) bool {
	return fp256bn.PairingCheckPrepared(
		[]fp256bn.G1{aPrime, bBar.Neg()}, []*fp256bn.PreparedG2{v.w, fixedBases().p2Lines})
}

// Item is one presentation of a batch.
type Item struct {
	Presentation []byte
	Message      []byte
	Claims       []Claim
}

// VerifyBatch checks many presentations with one pairing product under random
// 128-bit weights: a bad item passes with probability 2⁻¹²⁸. It returns one
// error per item, nil where the item verifies.
func (v *Verifier) VerifyBatch(items []Item) []error {
	errs := make([]error, len(items))
	proven := make([]provenItem, 0, len(items))
	for from := 0; from < len(items); from += batchStep {
		proven = v.checkItems(items, from, min(from+batchStep, len(items)), errs, proven)
	}
	if len(proven) == 0 {
		return errs
	}
	var as, bs []fp256bn.Term
	for _, p := range proven {
		as = append(as, fp256bn.Term{Point: p.aPrime, Scalar: p.weight})
		bs = append(bs, fp256bn.Term{Point: p.bBar, Scalar: p.weight})
	}
	if sums := fp256bn.Sums1(as, bs); v.checkPairing(sums[0], sums[1]) {
		return errs
	}
	for _, p := range proven {
		if !v.checkPairing(p.aPrime, p.bBar) {
			errs[p.index] = fmt.Errorf("presentation: %w", ErrCredential)
		}
	}
	return errs
}

// batchStep is how many items share tables and inversions: more gains little,
// and their tables would leave the cache.
const batchStep = 16

// provenItem is an item of a batch that lacks the pairing only.
type provenItem struct {
	index        int
	aPrime, bBar fp256bn.G1
	weight       fp256bn.Scalar
}

// checkItems checks all but the pairing of the items from … to−1, writes down
// who fails, and appends the others to proven.
func (v *Verifier) checkItems(items []Item, from, to int, errs []error, proven []provenItem) []provenItem {
	var attempts []*attempt
	var index []int
	for i := from; i < to; i++ {
		p, err := ParsePresentation(items[i].Presentation)
		if err != nil {
			errs[i] = err
			continue
		}
		attempts = append(attempts, &attempt{p: p, message: items[i].Message, claims: items[i].Claims})
		index = append(index, i)
	}
	for k, err := range v.checkProofs(attempts) {
		i := index[k]
		var wide [32]byte
		if err == nil {
			_, err = rand.Read(wide[16:])
		}
		if err != nil {
			errs[i] = err
			continue
		}
		p := attempts[k].p
		proven = append(proven, provenItem{i, p.APrime, p.BBar, fp256bn.ReduceScalar(wide[:])})
	}
	return proven
}
