// Package openingtest makes members of a group who spend a coin twice, with the
// key of a real TPM or with one whose scalar is in the test's hands. The latter
// is what a dishonest member with a broken TPM has, and it lets a test state
// things that are not true.
//
// It is for tests and must not be imported by anything else.
package openingtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc/enrol"
)

// TPMKey is a group key. *tpm.GroupKey is one, and Key.
type TPMKey interface {
	group.Key
	// Point is Q=[f]G, Public the TPMT_PUBLIC that holds it.
	Point() fp256bn.G1
	Public() []byte
}

// Key does an ECDAA key's arithmetic with a scalar that is known.
type Key struct {
	F       fp256bn.Scalar
	pending []fp256bn.Scalar
}

// NewKey draws a key.
func NewKey() (*Key, error) {
	f, err := fp256bn.RandomScalar(rand.Reader)
	return &Key{F: f}, err
}

// Point implements TPMKey.
func (k *Key) Point() fp256bn.G1 { return fp256bn.Generator1().Mul(k.F) }

// Public implements TPMKey: the group's template with the point in place of
// its two empty coordinates.
func (k *Key) Public() []byte {
	template := attest.GroupKeyTemplate()
	x, y := k.Point().XY()
	out := append(template[:len(template)-4:len(template)-4], 0, 32)
	out = append(append(out, x[:]...), 0, 32)
	return append(out, y[:]...)
}

// Commit implements group.Key.
func (k *Key) Commit(_ context.Context, p1 *fp256bn.G1, s2 []byte, _ [32]byte) (kk, l, e fp256bn.G1, counter uint16, err error) {
	x := sha256.Sum256(s2)
	p2, ok := fp256bn.LiftX(x[:])
	if !ok {
		return kk, l, e, 0, fmt.Errorf("P2 is not on the curve")
	}
	r, err := fp256bn.RandomScalar(rand.Reader)
	if p1 != nil {
		e = p1.Mul(r)
	}
	k.pending = append(k.pending, r)
	return p2.Mul(k.F), p2.Mul(r), e, uint16(len(k.pending) - 1), err
}

// Sign implements group.Key.
func (k *Key) Sign(_ context.Context, digest [32]byte, counter uint16) ([]byte, fp256bn.Scalar, error) {
	nu := make([]byte, 32)
	_, err := rand.Read(nu)
	nu[0] |= 1
	d := sha256.Sum256(append(append([]byte{}, nu...), digest[:]...))
	return nu, k.pending[counter].Add(fp256bn.ReduceScalar(d[:]).Mul(k.F)), err
}

// Member is one of a group, with what its manager keeps of him.
type Member struct {
	*group.Member
	Key       TPMKey
	Join      *group.Join
	Statement enrol.Statement
}

// Admit lets a key join under a name and certifies it for an epoch. change,
// if not nil, is what the manager let pass.
func Admit(ctx context.Context, p *group.Parameters, issuer *group.IssuerKey, epoch uint64, name string, key TPMKey, change func(*enrol.Statement)) (*Member, error) {
	m := &Member{Key: key, Statement: enrol.Statement{
		Group: p.Name, Form: []byte(`{"name":"` + name + `"}`), Salt: [32]byte{4},
		EK: [32]byte{2}, KeyPublic: key.Public(), JoinedAt: time.Date(2026, 2, 1, 10, 0, 0, 0, time.UTC),
	}}
	s := &m.Statement
	for _, random := range [][]byte{s.Nonce[:], s.Member[:]} {
		if _, err := rand.Read(random); err != nil {
			return nil, err
		}
	}
	if change != nil {
		change(s)
	}
	jc := group.JoinContext{Nonce: s.Nonce, KeyName: enrol.KeyName(s.KeyPublic), EK: s.EK, Form: enrol.FormDigest(s.Form, s.Salt)}
	u, err := m.secret()
	if err != nil {
		return nil, err
	}
	if m.Join, err = group.NewJoin(ctx, p, key, key.Point(), u, jc); err != nil {
		return nil, err
	}
	s.Join = m.Join.Bytes()
	return m.Renew(p, issuer, epoch)
}

func (m *Member) secret() (group.WalletSecret, error) {
	return group.DeriveWalletSecret(m.Statement.Nonce[:], group.ID{}, enrol.KeyName(m.Statement.KeyPublic))
}

// Renew is the member with a credential for another epoch.
func (m *Member) Renew(p *group.Parameters, issuer *group.IssuerKey, epoch uint64) (*Member, error) {
	u, err := m.secret()
	if err != nil {
		return nil, err
	}
	cred, err := issuer.Issue(m.Join.F, m.Join.Uh, epoch)
	if err != nil {
		return nil, err
	}
	out := *m
	out.Member, err = group.NewMember(p, m.Join.F.Bytes(), u, cred)
	return &out, err
}

// CoinOwner is the owner of a new bound coin of the member's.
func (m *Member) CoinOwner(ctx context.Context) (coin.Owner, error) {
	var nonce [coin.NonceSize]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	tag, err := group.CoinTag(ctx, m.Key, nonce)
	return coin.BoundOwner(nonce, tag), err
}

// Authorise consents to a spend: the member for its bound coins, bearer for
// all others.
func (m *Member) Authorise(ctx context.Context, s *coin.Spend, bearer ed25519.PrivateKey) (*coin.Authorisation, error) {
	a := &coin.Authorisation{}
	var err error
	if a.Bearer, err = s.SignBearer(func(*coin.Coin) (ed25519.PrivateKey, error) { return bearer, nil }); err != nil {
		return nil, err
	}
	bound := s.BoundClaims()
	if len(bound) == 0 {
		return a, nil
	}
	claims, err := coin.Claims(bound)
	if err != nil {
		return nil, err
	}
	pres, err := m.Present(ctx, m.Key, s.Frame(), claims)
	if err != nil {
		return nil, err
	}
	a.Presentation = pres.Bytes()
	return a, nil
}
