package group

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group/fp256bn"
)

// IssuerKey is the manager's γ. It prints as nothing and doesn't marshal;
// Bytes is for sealing it at rest.
type IssuerKey struct {
	gamma fp256bn.Scalar
}

// IssuerKeyProof shows that whoever published W knows γ: (c, s), 64 bytes.
type IssuerKeyProof [64]byte

// Credential is the manager's certificate on (f, u, epoch):
// A = [1/(e+γ)](B0 + F + Uh + [t]He).
type Credential struct {
	A     fp256bn.G1
	E     fp256bn.Scalar
	Epoch uint64
}

// credentialSize is A (33) ‖ e (32) ‖ epoch (8).
const credentialSize = 33 + 32 + 8

// GenerateIssuerKey draws γ from the system's randomness.
func GenerateIssuerKey() (*IssuerKey, error) {
	g, err := fp256bn.RandomScalar(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("issuer key: %w", err)
	}
	return &IssuerKey{gamma: g}, nil
}

// ParseIssuerKey reads the 32 bytes of [IssuerKey.Bytes].
func ParseIssuerKey(b []byte) (*IssuerKey, error) {
	g, err := fp256bn.ParseScalar(b)
	if err != nil || g.IsZero() {
		return nil, fmt.Errorf("issuer key: %w", ErrMalformed)
	}
	return &IssuerKey{gamma: g}, nil
}

// Bytes returns γ, 32 bytes big-endian, to be sealed and nothing else.
func (k *IssuerKey) Bytes() []byte { b := k.gamma.Bytes(); return b[:] }

// Format keeps γ out of every verb of fmt.
func (k *IssuerKey) Format(f fmt.State, _ rune) { redact(f) }

// redact is what a secret prints as.
func redact(f fmt.State) { _, _ = io.WriteString(f, "[redacted]") }

// Public is W = [γ]P2.
func (k *IssuerKey) Public() fp256bn.G2 { return fixedBases().p2.Mul(k.gamma) }

// Prove makes the proof of knowledge of γ that the group document of the
// named manager carries.
func (k *IssuerKey) Prove(group string) (IssuerKeyProof, error) {
	var out IssuerKeyProof
	r, err := fp256bn.RandomScalar(rand.Reader)
	if err != nil {
		return out, fmt.Errorf("issuer key proof: %w", err)
	}
	c := issuerKeyChallenge(group, k.Public(), fixedBases().p2.Mul(r))
	s := r.Add(c.Mul(k.gamma))
	cb, sb := c.Bytes(), s.Bytes()
	copy(out[:32], cb[:])
	copy(out[32:], sb[:])
	return out, nil
}

// VerifyIssuerKey checks the proof of knowledge of γ against W for the named
// manager: another's W and proof can't be copied into his document.
func VerifyIssuerKey(group string, w fp256bn.G2, proof IssuerKeyProof) error {
	c, err1 := fp256bn.ParseScalar(proof[:32])
	s, err2 := fp256bn.ParseScalar(proof[32:])
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("issuer key proof: %w", ErrMalformed)
	}
	r := fp256bn.MSM2([]fp256bn.G2{fixedBases().p2, w}, []fp256bn.Scalar{s, c.Neg()})
	if w.IsInfinity() || !issuerKeyChallenge(group, w, r).Equal(c) {
		return fmt.Errorf("issuer key: %w", ErrProof)
	}
	return nil
}

func issuerKeyChallenge(group string, w, r fp256bn.G2) fp256bn.Scalar {
	d := frame.Digest([]byte("specie/issuer-key/1"), []byte(group), g2(w), g2(r))
	return fp256bn.ReduceScalar(d[:])
}

// Issue certifies (F, Uh) for an epoch. The caller has verified the join
// ([VerifyJoin]) and that F and Uh are new.
//
// e is HKDF-SHA256(γ, "specie/bbs/e" ‖ F ‖ Uh ‖ t), 64 bytes mod n, never
// random: one e on two different B would give the holder every epoch. A
// retried issue therefore returns the same credential.
func (k *IssuerKey) Issue(tag, uh fp256bn.G1, epoch uint64) (Credential, error) {
	info := string(frame.Join([]byte("specie/bbs/e"), g1(tag), g1(uh), frame.Uint64(epoch)))
	okm, err := hkdf.Key(sha256.New, k.Bytes(), nil, info, 64)
	if err != nil {
		return Credential{}, fmt.Errorf("issue: %w", err)
	}
	e := fp256bn.ReduceScalar(okm)
	// Blinded, so that the inversion sees nothing of γ whatever its timing.
	blind, err := fp256bn.RandomScalar(rand.Reader)
	if err != nil {
		return Credential{}, fmt.Errorf("issue: %w", err)
	}
	sum := e.Add(k.gamma)
	if sum.IsZero() || e.IsZero() {
		return Credential{}, fmt.Errorf("issue: %w: degenerate exponent", ErrMalformed)
	}
	x := blind.Mul(sum.Mul(blind).Inverse())
	return Credential{A: credentialBase(tag, uh, epoch).Mul(x), E: e, Epoch: epoch}, nil
}

// credentialBase is B = B0 + F + Uh + [t]He.
func credentialBase(tag, uh fp256bn.G1, epoch uint64) fp256bn.G1 {
	return epochBase(epoch).Add(tag).Add(uh)
}

// epochBase is B0 + [t]He, the part of B that everybody knows.
func epochBase(epoch uint64) fp256bn.G1 {
	b := fixedBases()
	return b.b0.Add(b.he.MulVartime(fp256bn.ScalarFromUint64(epoch)))
}

// Verify checks e(A, W+[e]P2) = e(B, P2), the holder's check of what the
// manager gave him.
func (c Credential) Verify(p *Parameters, tag, uh fp256bn.G1) error {
	if c.A.IsInfinity() {
		return fmt.Errorf("credential: %w", ErrCredential)
	}
	b := credentialBase(tag, uh, c.Epoch)
	right := c.A.Mul(c.E).Sub(b)
	if !fp256bn.PairingCheck([]fp256bn.G1{c.A, right}, []fp256bn.G2{p.W, fixedBases().p2}) {
		return fmt.Errorf("credential: %w", ErrCredential)
	}
	return nil
}

// Bytes encodes A ‖ e ‖ epoch, 73 bytes.
func (c Credential) Bytes() []byte {
	e := c.E.Bytes()
	out := append(g1(c.A), e[:]...)
	return append(out, frame.Uint64(c.Epoch)...)
}

// ParseCredential reads the 73 bytes of [Credential.Bytes].
func ParseCredential(b []byte) (Credential, error) {
	if len(b) != credentialSize {
		return Credential{}, fmt.Errorf("credential: %w: %d bytes", ErrMalformed, len(b))
	}
	r := reader{b: b}
	c := Credential{A: r.g1(), E: r.scalar(), Epoch: r.uint64()}
	if r.err != nil {
		return Credential{}, fmt.Errorf("credential: %w", r.err)
	}
	return c, nil
}
