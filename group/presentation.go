package group

import (
	"fmt"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group/fp256bn"
)

// Presentation is one anonymous group signature. Its encoding is 462 bytes
// whatever the number of claims.
type Presentation struct {
	// Epoch is t, the epoch of the credential.
	Epoch uint64
	// APrime, BBar and D are the re-randomised credential (BBS draft, ProofGen).
	APrime, BBar, D fp256bn.G1
	// E1 = [k]G, E2 = F + [k]O: the tag, encrypted to the supervisors.
	E1, E2 fp256bn.G1
	// V = [u]H2C("trace", A'): recognised by who holds the tracing token.
	V fp256bn.G1
	// C and Nu are the challenge and the TPM's nonce.
	C  fp256bn.Scalar
	Nu [32]byte
	// The responses.
	SF, SE, SR1, SR3, SU, SK fp256bn.Scalar
}

// PresentationSize is the length of an encoded [Presentation] in bytes.
const PresentationSize = 8 + 6*33 + 2*32 + 6*32

// Bytes encodes the presentation, [PresentationSize] bytes.
func (p *Presentation) Bytes() []byte {
	out := make([]byte, 0, PresentationSize)
	out = append(out, frame.Uint64(p.Epoch)...)
	for _, pt := range []fp256bn.G1{p.APrime, p.BBar, p.D, p.E1, p.E2, p.V} {
		out = append(out, g1(pt)...)
	}
	out = appendScalars(out, p.C)
	out = append(out, p.Nu[:]...)
	return appendScalars(out, p.SF, p.SE, p.SR1, p.SR3, p.SU, p.SK)
}

// ParsePresentation reads [PresentationSize] bytes. Infinity has no encoding:
// A' = B̄ = 0 would let anybody in.
func ParsePresentation(b []byte) (*Presentation, error) {
	if len(b) != PresentationSize {
		return nil, fmt.Errorf("presentation: %w: %d bytes, not %d", ErrMalformed, len(b), PresentationSize)
	}
	r := reader{b: b}
	p := &Presentation{
		Epoch:  r.uint64(),
		APrime: r.g1(), BBar: r.g1(), D: r.g1(),
		E1: r.g1(), E2: r.g1(), V: r.g1(),
		C: r.scalar(), Nu: r.bytes32(),
		SF: r.scalar(), SE: r.scalar(), SR1: r.scalar(), SR3: r.scalar(), SU: r.scalar(), SK: r.scalar(),
	}
	if r.err == nil && !fullNonce(p.Nu[:]) {
		r.err = fmt.Errorf("%w: nonce with a leading zero", ErrMalformed)
	}
	if r.err != nil {
		return nil, fmt.Errorf("presentation: %w", r.err)
	}
	return p, nil
}

// statement hashes everything that is fixed before the weights: parameters,
// epoch, message, the six points and every claim.
func (p *Presentation) statement(id ID, message []byte, claims []Claim) [32]byte {
	parts := [][]byte{
		[]byte("specie/present/1"), id[:], frame.Uint64(p.Epoch), message,
		g1(p.APrime), g1(p.BBar), g1(p.D), g1(p.E1), g1(p.E2), g1(p.V),
		frame.Uint64(uint64(len(claims))),
	}
	for _, c := range claims {
		parts = append(parts, c.parts()...)
	}
	return frame.Digest(parts...)
}

// commitments are the first moves T1 … T6; T6 is nil where there is no claim.
type commitments [6][]byte

// delta is what the TPM signs: the statement and the six first moves.
func delta(statement [32]byte, t commitments) [32]byte {
	return frame.Digest([]byte("specie/present/sign/1"), statement[:], t[0], t[1], t[2], t[3], t[4], t[5])
}
