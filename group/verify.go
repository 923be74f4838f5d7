package group

import (
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/speciecash/specie/group/fp256bn"
)

// Verifier checks presentations of one group for a set of epochs.
type Verifier struct {
	params Parameters
	id     ID
	epochs []uint64
	leaked []fp256bn.Scalar
	w, p2  *fp256bn.PreparedG2
}

// NewVerifier prepares the group's keys. Presentations of other epochs than
// those given are refused with [ErrEpoch].
func NewVerifier(p *Parameters, epochs ...uint64) (*Verifier, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	return &Verifier{
		params: *p, id: p.ID(), epochs: slices.Clone(epochs),
		w: fp256bn.Prepare(p.W), p2: fp256bn.Prepare(fixedBases().p2),
	}, nil
}

// WithLeaked returns a verifier that also refuses claims made with the given
// TPM scalars (32 bytes each), published because a TPM was broken: [ErrLeaked].
func (v *Verifier) WithLeaked(keys [][]byte) (*Verifier, error) {
	out := *v
	out.leaked = nil
	for _, k := range keys {
		s, err := fp256bn.ParseScalar(k)
		if err != nil {
			return nil, fmt.Errorf("leaked key: %w: %w", ErrMalformed, err)
		}
		out.leaked = append(out.leaked, s)
	}
	return &out, nil
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
	if err := v.checkProof(p, message, claims); err != nil {
		return err
	}
	if !v.checkPairing(p.APrime, p.BBar) {
		return fmt.Errorf("presentation: %w", ErrCredential)
	}
	return nil
}

// checkProof is all of the verification but the pairing.
func (v *Verifier) checkProof(p *Presentation, message []byte, claims []Claim) error {
	if !slices.Contains(v.epochs, p.Epoch) {
		return fmt.Errorf("presentation: %w: %d", ErrEpoch, p.Epoch)
	}
	if p.APrime.IsInfinity() || p.D.IsInfinity() {
		return fmt.Errorf("presentation: %w: infinity", ErrMalformed)
	}
	if err := checkClaims(claims); err != nil {
		return fmt.Errorf("presentation: %w", err)
	}
	st := p.statement(v.id, message, claims)
	t := p.commitments(&v.params, claims, weights(st, len(claims)))
	if !challenge(p.Nu, delta(st, t)).Equal(p.C) {
		return fmt.Errorf("presentation: %w", ErrProof)
	}
	return v.checkLeaked(claims)
}

// checkLeaked refuses a TPM scalar that is public. It runs after the proof,
// so that nobody makes a verifier walk the list for nothing, and looks at one
// claim: T6 has shown that all of them have the same f.
func (v *Verifier) checkLeaked(claims []Claim) error {
	if len(claims) == 0 {
		return nil
	}
	for _, f := range v.leaked {
		if claims[0].x.MulVartime(f).Equal(claims[0].y) {
			return fmt.Errorf("presentation: %w", ErrLeaked)
		}
	}
	return nil
}

// checkPairing is e(A', W) = e(B̄, P2): B̄ = [γ]A', a credential under W.
func (v *Verifier) checkPairing(aPrime, bBar fp256bn.G1) bool {
	return fp256bn.PairingCheckPrepared(
		[]fp256bn.G1{aPrime, bBar.Neg()}, []*fp256bn.PreparedG2{v.w, v.p2})
}

// commitments recomputes T1 … T6 from the responses (docs/group-signature.md
// names what each of them stops).
func (p *Presentation) commitments(params *Parameters, claims []Claim, rho []fp256bn.Scalar) commitments {
	b := fixedBases()
	c := p.C.Neg()
	msm := func(pts []fp256bn.G1, ss ...fp256bn.Scalar) []byte { return g1(fp256bn.MSM1(pts, ss)) }
	type pts = []fp256bn.G1
	t := commitments{
		msm(pts{p.D, p.APrime, p.BBar}, p.SR1, p.SE.Neg(), c),
		msm(pts{p.D, b.hf.Point, b.hu, epochBase(p.Epoch)}, p.SR3, p.SF.Neg(), p.SU.Neg(), c),
		msm(pts{b.g, p.E1}, p.SK, c),
		msm(pts{b.hf.Point, params.O, p.E2}, p.SF, p.SK, c),
		msm(pts{traceBase(p.APrime), p.V}, p.SU, c),
	}
	if len(claims) > 0 {
		// T6 stands alone: folded into T2, r3 would be a free witness and
		// Y := [f]X + [x]D would pass.
		t[5] = msm(pts{foldX(claims, rho), foldY(claims, rho)}, p.SF, c)
	}
	return t
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
	as := make([]fp256bn.G1, 0, len(items))
	bs := make([]fp256bn.G1, 0, len(items))
	ws := make([]fp256bn.Scalar, 0, len(items))
	ok := make([]int, 0, len(items))
	for i, it := range items {
		p, err := ParsePresentation(it.Presentation)
		if err == nil {
			err = v.checkProof(p, it.Message, it.Claims)
		}
		if err != nil {
			errs[i] = err
			continue
		}
		var wide [32]byte
		if _, err := rand.Read(wide[16:]); err != nil {
			errs[i] = fmt.Errorf("batch: %w", err)
			continue
		}
		as, bs, ok = append(as, p.APrime), append(bs, p.BBar), append(ok, i)
		ws = append(ws, fp256bn.ReduceScalar(wide[:]))
	}
	if len(ok) == 0 || v.checkPairing(fp256bn.MSM1(as, ws), fp256bn.MSM1(bs, ws)) {
		return errs
	}
	for k, i := range ok {
		if !v.checkPairing(as[k], bs[k]) {
			errs[i] = fmt.Errorf("presentation: %w", ErrCredential)
		}
	}
	return errs
}
