package group

import (
	"context"
	"testing"

	"github.com/speciecash/specie/group/fp256bn"
)

// forgetful is a key in a TPM that is reset, so many times, between Commit and
// Sign.
type forgetful struct {
	*softKey
	resets int
}

func (k *forgetful) Sign(ctx context.Context, digest [32]byte, counter uint16) ([]byte, fp256bn.Scalar, error) {
	if k.resets > 0 {
		k.resets--
		return nil, fp256bn.Scalar{}, ErrCommitment
	}
	return k.softKey.Sign(ctx, digest, counter)
}

func TestAProofBeginsAnewWhenTheTPMWasReset(t *testing.T) {
	w := newWorld(t)
	m := w.admit(t)
	p, err := m.Present(t.Context(), &forgetful{m.key, 2}, []byte("m"), nil)
	must(t, err)
	must(t, w.verifier(t).Verify(p.Bytes(), []byte("m"), nil))
	_, err = NewJoin(t.Context(), w.params, &forgetful{m.key, 2}, m.key.q(), m.w, m.jc)
	must(t, err)
	_, err = m.Present(t.Context(), &forgetful{m.key, signTries}, []byte("m"), nil)
	wantErr(t, err, ErrKey)
	_, err = NewJoin(t.Context(), w.params, &forgetful{m.key, signTries}, m.key.q(), m.w, m.jc)
	wantErr(t, err, ErrKey)
}
