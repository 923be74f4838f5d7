package group

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/speciecash/specie/group/fp256bn"
)

// softKey is what an attacker has who knows f: the arithmetic of an ECDAA key
// without a TPM around it. It plays the adversary, and gives known scalars to
// tests of the equations; the real TPM signs in tpm_test.go.
type softKey struct {
	f       fp256bn.Scalar
	pending []fp256bn.Scalar
	// shortNonces is how many signatures come with a stripped nonce first.
	shortNonces int
}

func (k *softKey) Commit(_ context.Context, p1 *fp256bn.G1, s2 []byte, y2 [32]byte) (kk, l, e fp256bn.G1, counter uint16, err error) {
	x := sha256.Sum256(s2)
	p2, ok := fp256bn.LiftX(x[:])
	if _, y := p2.XY(); !ok || y != y2 {
		return kk, l, e, 0, errors.New("P2 is not on the curve")
	}
	r, err := fp256bn.RandomScalar(rand.Reader)
	if err != nil {
		return kk, l, e, 0, err
	}
	k.pending = append(k.pending, r)
	if p1 != nil {
		e = p1.Mul(r)
	}
	return p2.Mul(k.f), p2.Mul(r), e, uint16(len(k.pending) - 1), nil
}

func (k *softKey) Sign(_ context.Context, digest [32]byte, counter uint16) ([]byte, fp256bn.Scalar, error) {
	nu := make([]byte, 32)
	if _, err := rand.Read(nu); err != nil {
		return nil, fp256bn.Scalar{}, err
	}
	nu[0] |= 1
	if k.shortNonces > 0 {
		k.shortNonces--
		nu = nu[1:]
	}
	d := sha256.Sum256(append(append([]byte{}, nu...), digest[:]...))
	return nu, k.pending[counter].Add(fp256bn.ReduceScalar(d[:]).Mul(k.f)), nil
}

func (k *softKey) q() fp256bn.G1 { return fixedBases().g.Mul(k.f) }

// world is one group with its manager and supervisors.
type world struct {
	issuer *IssuerKey
	params *Parameters
	key    *SupervisionKey
	shares []*Share
}

// newWorld has 2 of 3 supervisors.
func newWorld(t testing.TB) *world { return newWorldOf(t, 3, 2) }

// newWorldOf has k of n supervisors.
func newWorldOf(t testing.TB, n, k int) *world {
	t.Helper()
	w := &world{}
	var dealings []*Dealing
	sent := make([][]*Share, n) // sent[receiver][dealer]
	for i := range n {
		d, shares, err := Deal("TESTGROUP", i+1, n, k)
		must(t, err)
		dealings = append(dealings, d)
		for j, s := range shares {
			sent[j] = append(sent[j], s)
		}
	}
	var err error
	w.key, err = CombineDealings("TESTGROUP", dealings)
	must(t, err)
	for j := range n {
		s, err := CombineShares(w.key, j+1, dealings, sent[j])
		must(t, err)
		w.shares = append(w.shares, s)
	}
	w.issuer, err = GenerateIssuerKey()
	must(t, err)
	w.params = &Parameters{Name: "TESTGROUP", W: w.issuer.Public(), O: w.key.O(), O2: w.key.O2()}
	return w
}

// citizen is an honest member with all his scalars known to the test.
type citizen struct {
	*Member
	key  *softKey
	join *Join
	jc   JoinContext
}

const epoch0 = 7

func (w *world) admit(t testing.TB) *citizen {
	t.Helper()
	c := &citizen{key: &softKey{f: scalar(t)}}
	c.jc = JoinContext{KeyName: []byte("name of the key")}
	_, _ = rand.Read(c.jc.Nonce[:])
	secret, err := DeriveWalletSecret(c.jc.Nonce[:], w.params.ID(), c.jc.KeyName)
	must(t, err)
	c.join, err = NewJoin(t.Context(), w.params, c.key, c.key.q(), secret, c.jc)
	must(t, err)
	must(t, VerifyJoin(w.params, c.join, c.key.q(), c.jc))
	cred, err := w.issuer.Issue(c.join.F, c.join.Uh, epoch0)
	must(t, err)
	c.Member, err = NewMember(w.params, c.join.F.Bytes(), secret, cred)
	must(t, err)
	return c
}

func (w *world) verifier(t testing.TB, epochs ...uint64) *Verifier {
	t.Helper()
	if len(epochs) == 0 {
		epochs = []uint64{epoch0}
	}
	v, err := NewVerifier(w.params, epochs...)
	must(t, err)
	return v
}

// coins makes n bound coins for the key.
func (c *citizen) coins(t testing.TB, n int) []Claim {
	t.Helper()
	out := make([]Claim, n)
	for i := range out {
		var nonce [32]byte
		_, _ = rand.Read(nonce[:])
		tag, err := CoinTag(t.Context(), c.key, nonce)
		must(t, err)
		out[i], err = CoinClaim(nonce, tag)
		must(t, err)
	}
	return out
}

func (c *citizen) present(t testing.TB, msg string, claims ...Claim) *Presentation {
	t.Helper()
	p, err := c.Present(t.Context(), c.key, []byte(msg), claims)
	must(t, err)
	return p
}

func scalar(t testing.TB) fp256bn.Scalar {
	t.Helper()
	s, err := fp256bn.RandomScalar(rand.Reader)
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}
