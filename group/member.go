package group

import (
	"context"
	"errors"
	"fmt"

	"github.com/speciecash/specie/group/fp256bn"
)

// Member can present: a credential, the wallet's scalar and the tag. The
// TPM's scalar stays in the [Key].
type Member struct {
	params *Parameters
	own    *Verifier // for the credential's epoch
	tag    fp256bn.G1
	w      WalletSecret
	cred   Credential
}

// NewMember joins what a wallet keeps. It checks the credential against the
// parameters ([ErrCredential]); that its epoch is the signed document's is
// the caller's check.
func NewMember(p *Parameters, tag [33]byte, w WalletSecret, cred Credential) (*Member, error) {
	v, err := NewVerifier(p, cred.Epoch)
	if err != nil {
		return nil, err
	}
	f, err := fp256bn.ParseG1(tag[:])
	if err != nil {
		return nil, fmt.Errorf("member: %w: %w", ErrMalformed, err)
	}
	if err := cred.Verify(p, f, fixedBases().hu.Mul(w.u)); err != nil {
		return nil, fmt.Errorf("member: %w", err)
	}
	return &Member{params: p, own: v, tag: f, w: w, cred: cred}, nil
}

// Epoch is the epoch of the member's credential.
func (m *Member) Epoch() uint64 { return m.cred.Epoch }

// Present signs message for the claims with one TPM2_Commit and one
// TPM2_Sign, and verifies the result before returning it: some old firmware
// computes c without the nonce. It returns [ErrKey] if the key isn't the
// member's, answers wrongly or didn't make one of the claims' tags.
func (m *Member) Present(ctx context.Context, key Key, message []byte, claims []Claim) (*Presentation, error) {
	p, _, err := m.present(ctx, key, message, claims)
	return p, err
}

// present returns the presentation and its k.
func (m *Member) present(ctx context.Context, key Key, message []byte, claims []Claim) (*Presentation, fp256bn.Scalar, error) {
	var none fp256bn.Scalar
	if err := checkClaims(claims); err != nil {
		return nil, none, fmt.Errorf("present: %w", err)
	}
	pr, err := m.prepare()
	if err != nil {
		return nil, none, fmt.Errorf("present: %w", err)
	}
	for range signTries {
		p, err := pr.sign(ctx, key, message, claims)
		if err != nil {
			return nil, none, fmt.Errorf("present: %w", err)
		}
		if p == nil {
			continue
		}
		if err := m.own.verify(p, message, claims); err != nil {
			return nil, none, fmt.Errorf("present: %w: the coins are not of this TPM, or its firmware is faulty: %w", ErrKey, err)
		}
		return p, pr.k, nil
	}
	return nil, none, fmt.Errorf("present: %w: no commitment that lasts and no full-length nonce in %d tries", ErrKey, signTries)
}

// prover holds one presentation's secrets; its points are fixed before the
// TPM is asked and survive a retry, its nonces don't.
type prover struct {
	m         *Member
	r1, r3, k fp256bn.Scalar
	j         fp256bn.G1
	p         Presentation
}

// prepare does steps 1 and 2: the re-randomised credential, the opening and
// the tracing points.
func (m *Member) prepare() (*prover, error) {
	b := fixedBases()
	rnd, err := randomScalars(3)
	if err != nil {
		return nil, err
	}
	r1, r2, k := rnd[0], rnd[1], rnd[2]
	d := credentialBase(m.tag, b.hu.Mul(m.w.u), m.cred.Epoch).Mul(r2)
	aPrime := m.cred.A.Mul(r1.Mul(r2))
	pr := &prover{m: m, r1: r1, r3: r2.Inverse(), k: k, j: traceBase(aPrime)}
	pr.p = Presentation{
		Epoch:  m.cred.Epoch,
		APrime: aPrime,
		BBar:   d.Mul(r1).Sub(aPrime.Mul(m.cred.E)),
		D:      d,
		E1:     b.g.Mul(k),
		E2:     m.tag.Add(m.params.O.Mul(k)),
		V:      pr.j.Mul(m.w.u),
	}
	return pr, nil
}

// sign does steps 3 to 6 with fresh nonces. It returns nil without an error
// when the TPM's nonce came out short, or the commitment was lost in a reset.
func (pr *prover) sign(ctx context.Context, key Key, message []byte, claims []Claim) (*Presentation, error) {
	b, m, p := fixedBases(), pr.m, pr.p
	st := p.statement(m.params.ID(), message, claims)
	var p1 *fp256bn.G1
	if len(claims) > 0 {
		a := &attempt{claims: claims, rho: weights(st, len(claims))}
		fold([]*attempt{a})
		p1 = &a.x
	}
	f, l, e, counter, err := key.Commit(ctx, p1, b.hf.S2, b.hf.Y2)
	if err != nil {
		return nil, err
	}
	if !f.Equal(m.tag) {
		return nil, fmt.Errorf("%w: its tag is another", ErrKey)
	}
	rnd, err := randomScalars(6)
	if err != nil {
		return nil, err
	}
	rPrime, eT, r1T, r3T, uT, kT := rnd[0], rnd[1], rnd[2], rnd[3], rnd[4], rnd[5]
	// Adding r' hides a biased nonce of the TPM.
	l = l.Add(b.hf.Point.Mul(rPrime))
	t := commitments{
		g1(p.D.Mul(r1T).Sub(p.APrime.Mul(eT))),
		g1(p.D.Mul(r3T).Sub(l).Sub(b.hu.Mul(uT))),
		g1(b.g.Mul(kT)),
		g1(l.Add(m.params.O.Mul(kT))),
		g1(pr.j.Mul(uT)),
	}
	if p1 != nil {
		t[5] = g1(e.Add(p1.Mul(rPrime)))
	}
	d := delta(st, t)
	nu, s, err := key.Sign(ctx, d, counter)
	if errors.Is(err, ErrCommitment) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !fullNonce(nu) {
		return nil, nil
	}
	copy(p.Nu[:], nu)
	p.C = challenge(p.Nu, d)
	p.SF = s.Add(rPrime)
	p.SE = eT.Add(p.C.Mul(m.cred.E))
	p.SR1 = r1T.Add(p.C.Mul(pr.r1))
	p.SR3 = r3T.Add(p.C.Mul(pr.r3))
	p.SU = uT.Add(p.C.Mul(m.w.u))
	p.SK = kT.Add(p.C.Mul(pr.k))
	return &p, nil
}
