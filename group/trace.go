package group

import (
	"fmt"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group/fp256bn"
)

// TracingToken is τ = [u]P2: whoever holds it recognises every presentation
// of that member, past and future, and learns nothing about others. It is
// released on a warrant only.
type TracingToken struct{ tau fp256bn.G2 }

// TracingTokenSize is 65 bytes.
const TracingTokenSize = 65

// PartialTrace is one supervisor's part of the decryption of an escrow:
// [o2_j]C1 with a Chaum-Pedersen proof in G2.
type PartialTrace struct {
	Index int
	D     fp256bn.G2
	C, S  fp256bn.Scalar
}

// PartialTraceSize is index (1) ‖ D (65) ‖ c (32) ‖ s (32).
const PartialTraceSize = 130

// TracePartial verifies the join transcript first, then decrypts his part of
// its escrow.
func TracePartial(p *Parameters, key *SupervisionKey, share *Share, j *Join, jc JoinContext) (*PartialTrace, error) {
	v, err := NewVerifier(p)
	if err != nil {
		return nil, err
	}
	if err := v.checkSupervision(key); err != nil {
		return nil, err
	}
	if err := VerifyJoin(p, j, j.Q, jc); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	if err := key.CheckShare(share); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	rnd, err := randomScalars(1)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	r := rnd[0]
	pt := &PartialTrace{Index: share.Index, D: j.C1.Mul(share.o2)}
	pt.C = pt.challenge(p.ID(), key, j, fixedBases().p2.Mul(r), j.C1.Mul(r))
	pt.S = r.Add(pt.C.Mul(share.o2))
	return pt, nil
}

func (pt *PartialTrace) challenge(id ID, key *SupervisionKey, j *Join, ra, rb fp256bn.G2) fp256bn.Scalar {
	d := frame.Digest([]byte("specie/trace/1"), id[:], []byte{byte(pt.Index)}, j.Bytes(),
		g2(key.tracingShare(pt.Index)), g2(pt.D), g2(ra), g2(rb))
	return fp256bn.ReduceScalar(d[:])
}

func (pt *PartialTrace) verify(id ID, key *SupervisionKey, j *Join) error {
	if pt.Index < 1 || pt.Index > key.N || pt.D.IsInfinity() {
		return fmt.Errorf("%w: index %d", ErrPartial, pt.Index)
	}
	c := pt.C.Neg()
	ra := fp256bn.MSM2([]fp256bn.G2{fixedBases().p2, key.tracingShare(pt.Index)}, []fp256bn.Scalar{pt.S, c})
	rb := fp256bn.MSM2([]fp256bn.G2{j.C1, pt.D}, []fp256bn.Scalar{pt.S, c})
	if !pt.challenge(id, key, j, ra, rb).Equal(pt.C) {
		return fmt.Errorf("%w: supervisor %d", ErrPartial, pt.Index)
	}
	return nil
}

// CombineTrace verifies the parts and decrypts the escrow of j. The result is
// checked in public by e(Uh, P2) = e(Hu, τ) ([ErrEscrow]).
func CombineTrace(p *Parameters, key *SupervisionKey, j *Join, parts []*PartialTrace) (TracingToken, error) {
	v, err := NewVerifier(p)
	if err != nil {
		return TracingToken{}, err
	}
	if err := v.checkSupervision(key); err != nil {
		return TracingToken{}, err
	}
	var idx []int
	var ds []fp256bn.G2
	seen := make(map[int]bool)
	for _, pt := range parts {
		if err := pt.verify(v.id, key, j); err != nil {
			return TracingToken{}, fmt.Errorf("trace: %w", err)
		}
		if !seen[pt.Index] && len(idx) < key.K {
			seen[pt.Index] = true
			idx, ds = append(idx, pt.Index), append(ds, pt.D)
		}
	}
	if len(idx) < key.K {
		return TracingToken{}, fmt.Errorf("trace: %w: %d of the %d needed", ErrQuorum, len(idx), key.K)
	}
	t := TracingToken{tau: j.C2.Sub(fp256bn.MSM2(ds, lagrange(idx)))}
	return t, t.Check(j.Uh)
}

// Check says whether the token is that of the member with this Uh.
func (t TracingToken) Check(uh fp256bn.G1) error {
	b := fixedBases()
	if t.tau.IsInfinity() || !fp256bn.PairingCheck([]fp256bn.G1{uh, b.hu.Neg()}, []fp256bn.G2{b.p2, t.tau}) {
		return fmt.Errorf("tracing token: %w", ErrEscrow)
	}
	return nil
}

// Trace says whether the token's member made the presentation:
// e(V, P2) = e(H2C("trace", A'), τ). The caller has verified the
// presentation. A hit is a lead; what convicts is an opening. For more than one
// presentation or token make a [RevocationList].
func Trace(t TracingToken, p *Presentation) bool {
	j := traceBase(p.APrime)
	return fp256bn.PairingCheckPrepared([]fp256bn.G1{p.V, j.Neg()},
		[]*fp256bn.PreparedG2{fixedBases().p2Lines, fp256bn.Prepare(t.tau)})
}

// Bytes encodes τ, [TracingTokenSize] bytes.
func (t TracingToken) Bytes() []byte { return g2(t.tau) }

// ParseTracingToken reads [TracingTokenSize] bytes.
func ParseTracingToken(b []byte) (TracingToken, error) {
	tau, err := fp256bn.ParseG2(b)
	if err != nil {
		return TracingToken{}, fmt.Errorf("tracing token: %w: %w", ErrMalformed, err)
	}
	return TracingToken{tau: tau}, nil
}

// Bytes encodes the partial trace, [PartialTraceSize] bytes.
func (pt *PartialTrace) Bytes() []byte {
	return appendScalars(append([]byte{byte(pt.Index)}, g2(pt.D)...), pt.C, pt.S)
}

// ParsePartialTrace reads [PartialTraceSize] bytes.
func ParsePartialTrace(b []byte) (*PartialTrace, error) {
	if len(b) != PartialTraceSize {
		return nil, fmt.Errorf("partial trace: %w: %d bytes", ErrMalformed, len(b))
	}
	r := reader{b: b[1:]}
	pt := &PartialTrace{Index: int(b[0]), D: r.g2(), C: r.scalar(), S: r.scalar()}
	if r.err != nil {
		return nil, fmt.Errorf("partial trace: %w", r.err)
	}
	return pt, nil
}
