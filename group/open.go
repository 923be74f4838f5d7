package group

import (
	"fmt"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group/fp256bn"
)

// PartialOpening is one supervisor's part of an opening: [o_j]E1 with a
// Chaum-Pedersen proof that the exponent is that of his commitment.
type PartialOpening struct {
	Index int
	D     fp256bn.G1
	C, S  fp256bn.Scalar
}

// PartialOpeningSize is index (1) ‖ D (33) ‖ c (32) ‖ s (32).
const PartialOpeningSize = 98

// OpenPartial verifies the presentation first and then decrypts his part:
// a supervisor never decrypts a bare E1.
func OpenPartial(v *Verifier, key *SupervisionKey, share *Share, it Item) (*PartialOpening, error) {
	if err := v.checkSupervision(key); err != nil {
		return nil, err
	}
	if err := v.Verify(it.Presentation, it.Message, it.Claims); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if err := key.CheckShare(share); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	p, err := ParsePresentation(it.Presentation)
	if err != nil {
		return nil, err
	}
	rnd, err := randomScalars(1)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	r := rnd[0]
	po := &PartialOpening{Index: share.Index, D: p.E1.Mul(share.o)}
	po.C = po.challenge(v.id, key, p, fixedBases().g.Mul(r), p.E1.Mul(r))
	po.S = r.Add(po.C.Mul(share.o))
	return po, nil
}

func (po *PartialOpening) challenge(id ID, key *SupervisionKey, p *Presentation, ra, rb fp256bn.G1) fp256bn.Scalar {
	d := frame.Digest([]byte("specie/open/1"), id[:], []byte{byte(po.Index)}, p.Bytes(),
		g1(key.openingShare(po.Index)), g1(po.D), g1(ra), g1(rb))
	return fp256bn.ReduceScalar(d[:])
}

// verify checks the Chaum-Pedersen proof ([ErrPartial]).
func (po *PartialOpening) verify(id ID, key *SupervisionKey, p *Presentation) error {
	if po.Index < 1 || po.Index > key.N || po.D.IsInfinity() {
		return fmt.Errorf("%w: index %d", ErrPartial, po.Index)
	}
	c := po.C.Neg()
	ra := fp256bn.MSM1([]fp256bn.G1{fixedBases().g, key.openingShare(po.Index)}, []fp256bn.Scalar{po.S, c})
	rb := fp256bn.MSM1([]fp256bn.G1{p.E1, po.D}, []fp256bn.Scalar{po.S, c})
	if !po.challenge(id, key, p, ra, rb).Equal(po.C) {
		return fmt.Errorf("%w: supervisor %d", ErrPartial, po.Index)
	}
	return nil
}

// CombineOpening verifies the presentation and every partial opening, and
// returns the signer's tag F, 33 bytes. Anyone can run it with the public
// parameters: its inputs are the evidence. Errors: [ErrQuorum], [ErrPartial]
// and those of [Verifier.Verify].
func CombineOpening(v *Verifier, key *SupervisionKey, it Item, parts []*PartialOpening) ([33]byte, error) {
	var none [33]byte
	if err := v.checkSupervision(key); err != nil {
		return none, err
	}
	if err := v.Verify(it.Presentation, it.Message, it.Claims); err != nil {
		return none, fmt.Errorf("open: %w", err)
	}
	p, err := ParsePresentation(it.Presentation)
	if err != nil {
		return none, err
	}
	var idx []int
	var ds []fp256bn.G1
	seen := make(map[int]bool)
	for _, po := range parts {
		if err := po.verify(v.id, key, p); err != nil {
			return none, fmt.Errorf("open: %w", err)
		}
		if !seen[po.Index] && len(idx) < key.K {
			seen[po.Index] = true
			idx, ds = append(idx, po.Index), append(ds, po.D)
		}
	}
	if len(idx) < key.K {
		return none, fmt.Errorf("open: %w: %d of the %d needed", ErrQuorum, len(idx), key.K)
	}
	return p.E2.Sub(fp256bn.MSM1(ds, lagrange(idx))).Bytes(), nil
}

// checkSupervision refuses a supervision key that isn't this group's.
func (v *Verifier) checkSupervision(key *SupervisionKey) error {
	if err := key.Check(); err != nil {
		return err
	}
	if !key.O().Equal(v.params.O) || !key.O2().Equal(v.params.O2) {
		return fmt.Errorf("supervision key: %w: it is another group's", ErrShare)
	}
	return nil
}

// Bytes encodes the partial opening, [PartialOpeningSize] bytes.
func (po *PartialOpening) Bytes() []byte {
	return appendScalars(append([]byte{byte(po.Index)}, g1(po.D)...), po.C, po.S)
}

// ParsePartialOpening reads [PartialOpeningSize] bytes.
func ParsePartialOpening(b []byte) (*PartialOpening, error) {
	if len(b) != PartialOpeningSize {
		return nil, fmt.Errorf("partial opening: %w: %d bytes", ErrMalformed, len(b))
	}
	r := reader{b: b[1:]}
	po := &PartialOpening{Index: int(b[0]), D: r.g1(), C: r.scalar(), S: r.scalar()}
	if r.err != nil {
		return nil, fmt.Errorf("partial opening: %w", r.err)
	}
	return po, nil
}
