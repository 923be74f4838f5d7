package group

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group/fp256bn"
)

// JoinContext is what a join is bound to besides its own points.
type JoinContext struct {
	// Nonce is the manager's, 32 bytes, single-use.
	Nonce [32]byte
	// KeyName is the TPM Name of the group key (34 bytes for SHA-256).
	KeyName []byte
	// EK is SHA-256 of the endorsement key's SubjectPublicKeyInfo.
	EK [32]byte
	// Form is SHA-256(frame(form, salt)) of the encrypted registration form.
	Form [32]byte
}

// Join is a member's request: his TPM's point and tag, the commitment to his
// wallet's scalar, the escrow of his tracing token, and one proof for all.
// It is the first link of every later opening, so the manager keeps it.
type Join struct {
	Q, F, Uh fp256bn.G1
	C1, C2   fp256bn.G2
	C        fp256bn.Scalar
	Nu       [32]byte
	SF       fp256bn.Scalar
	SU       fp256bn.Scalar
	SK       fp256bn.Scalar
}

// JoinSize is the length of an encoded [Join]: 3 G1, 2 G2, c, ν, 3 scalars.
const JoinSize = 3*33 + 2*65 + 5*32

// WalletSecret is u, the scalar that only the wallet knows. It doesn't print.
type WalletSecret struct{ u fp256bn.Scalar }

// DeriveWalletSecret is u = HKDF-SHA256(seed, "u" ‖ group ‖ Name of the group
// key): a wallet restored on another TPM, or a member of another group, gets
// another u, so one u never stands in two memberships and a warrant in one
// group traces in no other. The seed is 32 bytes.
func DeriveWalletSecret(seed []byte, id ID, keyName []byte) (WalletSecret, error) {
	info := string(frame.Join([]byte("specie/wallet/u"), id[:], keyName))
	okm, err := hkdf.Key(sha256.New, seed, nil, info, 64)
	if err != nil {
		return WalletSecret{}, fmt.Errorf("wallet secret: %w", err)
	}
	return WalletSecret{u: fp256bn.ReduceScalar(okm)}, nil
}

// Format keeps u out of every verb of fmt.
func (WalletSecret) Format(f fmt.State, _ rune) { redact(f) }

// NewJoin makes the request with one TPM2_Commit and one TPM2_Sign.
// ctx bounds the TPM's work. q is the public point of the key.
func NewJoin(ctx context.Context, p *Parameters, key Key, q fp256bn.G1, w WalletSecret, jc JoinContext) (*Join, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	for range signTries {
		j, err := tryJoin(ctx, p, key, q, w, jc)
		if err != nil {
			return nil, fmt.Errorf("join: %w", err)
		}
		if j == nil {
			continue // a short nonce; every nonce is drawn afresh
		}
		if err := VerifyJoin(p, j, q, jc); err != nil {
			return nil, fmt.Errorf("join: %w: %w", ErrKey, err)
		}
		return j, nil
	}
	return nil, fmt.Errorf("join: %w: no commitment that lasts and no full-length nonce in %d tries", ErrKey, signTries)
}

func tryJoin(ctx context.Context, p *Parameters, key Key, q fp256bn.G1, w WalletSecret, jc JoinContext) (*Join, error) {
	b := fixedBases()
	f, l, e, counter, err := key.Commit(ctx, &b.g, b.hf.S2, b.hf.Y2)
	if err != nil {
		return nil, err
	}
	rnd, err := randomScalars(4)
	if err != nil {
		return nil, err
	}
	k, rPrime, uTilde, kTilde := rnd[0], rnd[1], rnd[2], rnd[3]
	j := &Join{
		Q: q, F: f, Uh: b.hu.Mul(w.u),
		C1: b.p2.Mul(k),
		C2: b.p2.Mul(w.u).Add(p.O2.Mul(k)),
	}
	t := joinCommitments{
		tq: e.Add(b.g.Mul(rPrime)),
		tf: l.Add(b.hf.Point.Mul(rPrime)),
		tu: b.hu.Mul(uTilde),
		t1: b.p2.Mul(kTilde),
		t2: b.p2.Mul(uTilde).Add(p.O2.Mul(kTilde)),
	}
	delta := j.delta(p, jc, t)
	nu, s, err := key.Sign(ctx, delta, counter)
	if errors.Is(err, ErrCommitment) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !fullNonce(nu) {
		return nil, nil
	}
	copy(j.Nu[:], nu)
	j.C = challenge(j.Nu, delta)
	j.SF = s.Add(rPrime)
	j.SU = uTilde.Add(j.C.Mul(w.u))
	j.SK = kTilde.Add(j.C.Mul(k))
	return j, nil
}

// joinCommitments are the first moves of the join proof.
type joinCommitments struct {
	tq, tf, tu fp256bn.G1
	t1, t2     fp256bn.G2
}

func (j *Join) delta(p *Parameters, jc JoinContext, t joinCommitments) [32]byte {
	id := p.ID()
	return frame.Digest([]byte("specie/join/1"), id[:], jc.Nonce[:], jc.KeyName, jc.EK[:], jc.Form[:],
		g1(j.Q), g1(j.F), g1(j.Uh), g2(j.C1), g2(j.C2),
		g1(t.tq), g1(t.tf), g1(t.tu), g2(t.t1), g2(t.t2))
}

// VerifyJoin checks the request against the point q of the group key's
// public area. It returns [ErrProof], or [ErrKey] if Q isn't q. That EK, F
// and Uh are new is the caller's to check.
func VerifyJoin(p *Parameters, j *Join, q fp256bn.G1, jc JoinContext) error {
	if err := p.check(); err != nil {
		return err
	}
	if !j.Q.Equal(q) {
		return fmt.Errorf("join: %w: Q is not the point of the public area", ErrKey)
	}
	if j.F.IsInfinity() || j.Uh.IsInfinity() || j.C1.IsInfinity() || j.C2.IsInfinity() || !fullNonce(j.Nu[:]) {
		return fmt.Errorf("join: %w", ErrMalformed)
	}
	if c := challenge(j.Nu, j.delta(p, jc, j.commitments(p))); !c.Equal(j.C) {
		return fmt.Errorf("join: %w", ErrProof)
	}
	return nil
}

// commitments recomputes the first moves from the responses. Uh is proven to
// the base Hu alone: B = B0+F+Uh+[t]He is malleable otherwise, and
// Uh = [u]Hu − F + [f']H_f would be a membership on somebody else's TPM.
func (j *Join) commitments(p *Parameters) joinCommitments {
	b := fixedBases()
	c := j.C.Neg()
	type s = []fp256bn.Scalar
	return joinCommitments{
		tq: fp256bn.MSM1([]fp256bn.G1{b.g, j.Q}, s{j.SF, c}),
		tf: fp256bn.MSM1([]fp256bn.G1{b.hf.Point, j.F}, s{j.SF, c}),
		tu: fp256bn.MSM1([]fp256bn.G1{b.hu, j.Uh}, s{j.SU, c}),
		t1: fp256bn.MSM2([]fp256bn.G2{b.p2, j.C1}, s{j.SK, c}),
		t2: fp256bn.MSM2([]fp256bn.G2{b.p2, p.O2, j.C2}, s{j.SU, j.SK, c}),
	}
}

// Bytes encodes the request, [JoinSize] bytes.
func (j *Join) Bytes() []byte {
	out := make([]byte, 0, JoinSize)
	for _, p := range []fp256bn.G1{j.Q, j.F, j.Uh} {
		out = append(out, g1(p)...)
	}
	out = append(out, g2(j.C1)...)
	out = append(out, g2(j.C2)...)
	out = appendScalars(out, j.C)
	out = append(out, j.Nu[:]...)
	return appendScalars(out, j.SF, j.SU, j.SK)
}

// ParseJoin reads [JoinSize] bytes; every point is checked to be on its curve
// and in its group. Without that check on C1, a rubbish escrow passes by
// grinding and a partial decryption leaks part of o2.
func ParseJoin(b []byte) (*Join, error) {
	if len(b) != JoinSize {
		return nil, fmt.Errorf("join: %w: %d bytes, not %d", ErrMalformed, len(b), JoinSize)
	}
	r := reader{b: b}
	j := &Join{
		Q: r.g1(), F: r.g1(), Uh: r.g1(),
		C1: r.g2(), C2: r.g2(),
		C: r.scalar(), Nu: r.bytes32(),
		SF: r.scalar(), SU: r.scalar(), SK: r.scalar(),
	}
	if r.err != nil {
		return nil, fmt.Errorf("join: %w", r.err)
	}
	return j, nil
}

func appendScalars(out []byte, ss ...fp256bn.Scalar) []byte {
	for _, s := range ss {
		b := s.Bytes()
		out = append(out, b[:]...)
	}
	return out
}

func randomScalars(n int) ([]fp256bn.Scalar, error) {
	out := make([]fp256bn.Scalar, n)
	for i := range out {
		s, err := fp256bn.RandomScalar(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("randomness: %w", err)
		}
		out[i] = s
	}
	return out, nil
}
