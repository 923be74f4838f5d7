package group

import (
	"context"
	"fmt"

	"github.com/speciecash/specie/group/fp256bn"
)

// Key is what a group key inside a TPM can do. *tpm.GroupKey implements it.
type Key interface {
	// Commit runs TPM2_Commit with fresh r: k=[f]P2, l=[r]P2, e=[r]p1, where
	// P2 = (SHA-256(s2) mod p, y2). With p1 nil, e is the point at infinity.
	// The counter names r for one later Sign.
	Commit(ctx context.Context, p1 *fp256bn.G1, s2 []byte, y2 [32]byte) (k, l, e fp256bn.G1, counter uint16, err error)
	// Sign runs TPM2_Sign (ECDAA, SHA-256): nu is the TPM's nonce exactly as
	// returned, s = r + SHA-256(nu‖digest)·f mod n. A counter signs once;
	// ErrCommitment if it no longer does.
	Sign(ctx context.Context, digest [32]byte, counter uint16) (nu []byte, s fp256bn.Scalar, err error)
}

// signTries bounds the retries for a nonce ν of full length: one in 256 comes
// out short, so 32 tries fail with probability 2⁻²⁵⁶.
const signTries = 32

// fullNonce says whether ν may stand in a proof: TPMs strip leading zeros,
// and a verifier must hash exactly the bytes that the TPM hashed.
func fullNonce(nu []byte) bool { return len(nu) == 32 && nu[0] != 0 }

// CoinTag asks the TPM for the tag K = [f]H2C("coin", N) of a bound coin with
// nonce N: 33 bytes, one TPM2_Commit whose pending r is abandoned.
func CoinTag(ctx context.Context, key Key, nonce [32]byte) ([33]byte, error) {
	h := coinBase(nonce)
	k, _, _, _, err := key.Commit(ctx, nil, h.S2, h.Y2)
	if err != nil {
		return [33]byte{}, fmt.Errorf("coin tag: %w", err)
	}
	if k.IsInfinity() {
		return [33]byte{}, fmt.Errorf("coin tag: %w", ErrKey)
	}
	return k.Bytes(), nil
}

// Tag asks the TPM for its public tag F = [f]H_f, 33 bytes.
func Tag(ctx context.Context, key Key) ([33]byte, error) {
	h := fixedBases().hf
	k, _, _, _, err := key.Commit(ctx, nil, h.S2, h.Y2)
	if err != nil {
		return [33]byte{}, fmt.Errorf("member tag: %w", err)
	}
	return k.Bytes(), nil
}

func coinBase(nonce [32]byte) HashedPoint {
	return HashToCurve("specie/group/coin", nonce[:])
}
