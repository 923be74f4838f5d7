package opening_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/trust"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// must ends the test on an error and passes the value on.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// openKey is a TPM key whose scalar got out: what the dishonest member of
// these tests signs two payments with, and what lets a test lie.
type openKey struct {
	f       fp256bn.Scalar
	pending []fp256bn.Scalar
}

func (k *openKey) Commit(_ context.Context, p1 *fp256bn.G1, s2 []byte, _ [32]byte) (kk, l, e fp256bn.G1, counter uint16, err error) {
	x := sha256.Sum256(s2)
	p2, _ := fp256bn.LiftX(x[:])
	r, err := fp256bn.RandomScalar(rand.Reader)
	if p1 != nil {
		e = p1.Mul(r)
	}
	k.pending = append(k.pending, r)
	return p2.Mul(k.f), p2.Mul(r), e, uint16(len(k.pending) - 1), err
}

func (k *openKey) Sign(_ context.Context, digest [32]byte, counter uint16) ([]byte, fp256bn.Scalar, error) {
	nu := make([]byte, 32)
	_, err := rand.Read(nu)
	nu[0] |= 1
	d := sha256.Sum256(append(append([]byte{}, nu...), digest[:]...))
	return nu, k.pending[counter].Add(fp256bn.ReduceScalar(d[:]).Mul(k.f)), err
}

// world is a group, a bank with one key of each kind, and their documents.
type world struct {
	*groupdoctest.Group
	groupJWS  []byte
	keysetJWS []byte
	keyset    *coin.Keyset
	keys      map[coin.Kind]*rsa.PrivateKey
	bank      groupdoctest.Party
	coins     uint64
}

const bankID = "TESTBANK"

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{Group: groupdoctest.New(t, now, []byte("template"), [32]byte{1}), keys: map[coin.Kind]*rsa.PrivateKey{}}
	w.groupJWS = w.Sign(t)
	w.bank.Key = must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	der := must(trust.Issue(w.Root.Certificate(), w.RootKey, trust.Name{Role: trust.RoleBank, ID: bankID},
		w.bank.Key.Public(), now.AddDate(-1, 0, 0), now.AddDate(1, 0, 0), true))(t)
	w.bank.Chain = []*x509.Certificate{must(x509.ParseCertificate(der))(t)}
	set := coin.Keyset{Bank: bankID, Currency: "EUR", Exponent: 2, Seq: 1, IssuedAt: now}
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		key := must(rsa.GenerateKey(rand.Reader, 2048))(t)
		w.keys[kind] = key
		set.Denominations = append(set.Denominations, coin.Denomination{
			KeyID: must(coin.NewKeyID(&key.PublicKey))(t), Value: 128, Kind: kind, PublicKey: &key.PublicKey,
			IssueFrom: now.AddDate(0, -1, 0), IssueUntil: now.AddDate(0, 1, 0),
			SpendUntil: now.AddDate(0, 6, 0), LegalUntil: now.AddDate(1, 0, 0),
		})
	}
	w.keysetJWS = must(trust.Sign(trust.TypKeyset, must(set.Marshal())(t), w.bank.Key, w.bank.Chain))(t)
	w.keyset = must(coin.ParseKeyset(w.Root, w.keysetJWS, now))(t)
	return w
}

func (w *world) papers(t testing.TB) *opening.Papers {
	t.Helper()
	return must(opening.ReadPapers(w.Root, w.keysetJWS, w.groupJWS, now))(t)
}

// mint makes a coin with that owner as the bank would.
func (w *world) mint(t testing.TB, kind coin.Kind, owner coin.Owner) coin.Coin {
	t.Helper()
	d := w.keyset.ForIssue(kind, now)[0]
	w.coins++
	p := must(coin.NewPlanchet(coin.Seed{1}, bankID, &d, w.coins, owner))(t)
	key := w.keys[kind]
	s := new(big.Int).Exp(new(big.Int).SetBytes(p.Blinded()), key.D, key.N)
	return *must(p.Finalize(s.FillBytes(make([]byte, key.Size()))))(t)
}

// member is one of the group, with the transcript that the manager keeps.
type member struct {
	*group.Member
	key  *openKey
	join *group.Join
	jc   group.JoinContext
}

func (w *world) admit(t testing.TB) *member {
	t.Helper()
	p := w.papers(t).Group.Parameters()
	m := &member{key: &openKey{f: must(fp256bn.RandomScalar(rand.Reader))(t)}}
	m.jc = group.JoinContext{KeyName: make([]byte, 34), EK: [32]byte{2}, Form: [32]byte{3}}
	_, _ = rand.Read(m.jc.Nonce[:])
	u := must(group.DeriveWalletSecret(m.jc.Nonce[:], m.jc.KeyName))(t)
	m.join = must(group.NewJoin(t.Context(), p, m.key, fp256bn.Generator1().Mul(m.key.f), u, m.jc))(t)
	cred := must(w.Issuer.Issue(m.join.F, m.join.Uh, w.Contents.Current.Number))(t)
	m.Member = must(group.NewMember(p, m.join.F.Bytes(), u, cred))(t)
	return m
}

// coin is a bound coin on the member's TPM.
func (m *member) coin(t testing.TB, w *world) coin.Coin {
	t.Helper()
	var nonce [32]byte
	_, _ = rand.Read(nonce[:])
	return w.mint(t, coin.Bound, coin.BoundOwner(nonce, must(group.CoinTag(t.Context(), m.key, nonce))(t)))
}

// pay makes an authorised payment of the coins for one offer. signers[i]
// owns the bearer coins, m the bound ones.
func (w *world) pay(t testing.TB, m *member, offer byte, signer ed25519.PrivateKey, coins ...coin.Coin) opening.Spend {
	t.Helper()
	s := coin.Spend{
		Purpose: coin.Pay, Bank: bankID, OfferDigest: [32]byte{offer}, Amount: coin.Amount(128 * len(coins)),
		Currency: "EUR", Coins: coins, IssuedAt: now.Unix() + int64(offer),
	}
	for _, c := range coins {
		if c.Kind == coin.Bound {
			s.Group = w.papers(t).Group.GroupID()
		}
	}
	spend := must(coin.NewSpend(s))(t)
	return opening.Spend{Spend: spend, Authorisation: w.authorise(t, m, signer, spend)}
}

func (w *world) authorise(t testing.TB, m *member, signer ed25519.PrivateKey, s *coin.Spend) *coin.Authorisation {
	t.Helper()
	a := &coin.Authorisation{}
	a.Bearer = must(s.SignBearer(func(*coin.Coin) (ed25519.PrivateKey, error) { return signer, nil }))(t)
	if bound := s.BoundClaims(); len(bound) > 0 {
		pres := must(m.Present(t.Context(), m.key, s.Frame(), must(coin.Claims(bound))(t)))(t)
		a.Presentation = pres.Bytes()
	}
	return a
}

// doubleSpend is a member who spends one coin at two merchants.
func (w *world) doubleSpend(t testing.TB, m *member) *opening.Case {
	t.Helper()
	c, other := m.coin(t, w), m.coin(t, w)
	return &opening.Case{
		Bank: bankID, CoinID: c.ID(),
		Spends: [2]opening.Spend{w.pay(t, m, 1, nil, c), w.pay(t, m, 2, nil, c, other)},
	}
}

// statement is what the manager states about m; change may make it a lie.
func (w *world) statement(t testing.TB, m *member, change func(map[string]any)) []byte {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	tag, uh := m.join.F.Bytes(), m.join.Uh.Bytes()
	j := map[string]any{
		"group": groupdoctest.Name, "member": "m-17", "name": "Eva Example", "tag": b64(tag[:]), "uh": b64(uh[:]),
		"ek": b64(m.jc.EK[:]), "key_name": b64(m.jc.KeyName), "nonce": b64(m.jc.Nonce[:]),
		"form_digest": b64(m.jc.Form[:]), "join": b64(m.join.Bytes()), "joined_at": "2026-02-01T10:00:00Z",
	}
	if change != nil {
		change(j)
	}
	return must(trust.Sign(trust.TypMember, must(json.Marshal(j))(t), w.Manager.Key, w.Manager.Chain))(t)
}
