package coin_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/trust"
)

const bankID = "DEMOBANK"

var (
	now        = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	issueFrom  = now.AddDate(0, -1, 0)
	issueUntil = now.AddDate(0, 1, 0)
	spendUntil = now.AddDate(0, 6, 0)
	legalUntil = now.AddDate(5, 0, 0)
)

// mint is a bank with four keys: bearer 1, 4 and 8, bound 8. Its private keys
// are plain Go keys, in the place of a token's.
type mint struct {
	root          *trust.Root
	masterKey     *ecdsa.PrivateKey
	master        []*x509.Certificate
	signingKey    *ecdsa.PrivateKey
	signing       []*x509.Certificate
	otherKey      *ecdsa.PrivateKey // master of OTHERBANK
	other         []*x509.Certificate
	private       map[coin.KeyID]*rsa.PrivateKey
	keyset        *coin.Keyset
	jws           []byte
	one, four     coin.Denomination
	eight, bound8 coin.Denomination
	spare         *rsa.PrivateKey // a key of nobody's
}

// theMint is made once. Nobody may write to it.
var theMint = sync.OnceValue(func() *mint {
	m := &mint{private: map[coin.KeyID]*rsa.PrivateKey{}}
	m.trust()
	keys := rsaKeys()
	m.one = m.denomination(keys[0], 1, coin.Bearer)
	m.four = m.denomination(keys[1], 4, coin.Bearer)
	m.eight = m.denomination(keys[2], 8, coin.Bearer)
	m.bound8 = m.denomination(keys[3], 8, coin.Bound)
	m.spare = keys[4]
	m.jws = m.sign(m.plainKeyset())
	m.keyset = must(coin.ParseKeyset(m.root, m.jws, now))
	return m
})

// rsaKeys reads the mint's keys.
func rsaKeys() (keys []*rsa.PrivateKey) {
	figures := must(coin.ReadFigures("testdata/mint-keys.txt"))
	one := big.NewInt(1)
	for i := range len(figures) / 2 {
		p := new(big.Int).SetBytes(figures[name("p%d", i)])
		q := new(big.Int).SetBytes(figures[name("q%d", i)])
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		keys = append(keys, &rsa.PrivateKey{
			PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537},
			D:         new(big.Int).ModInverse(big.NewInt(65537), phi),
		})
	}
	return keys
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (m *mint) trust() {
	from, to := now.AddDate(-1, 0, 0), now.AddDate(1, 0, 0)
	newKey := func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) }
	cert := func(der []byte, err error) *x509.Certificate { return must(x509.ParseCertificate(must(der, err))) }
	rootKey := newKey()
	rootCert := cert(trust.CreateRoot(rootKey, from, to))
	m.root = must(trust.NewRoot(rootCert))
	m.masterKey, m.otherKey, m.signingKey = newKey(), newKey(), newKey()
	m.master = []*x509.Certificate{cert(trust.Issue(rootCert, rootKey, trust.Name{Role: trust.RoleBank, ID: bankID}, m.masterKey.Public(), from, to, true))}
	m.other = []*x509.Certificate{cert(trust.Issue(rootCert, rootKey, trust.Name{Role: trust.RoleBank, ID: "OTHERBANK"}, m.otherKey.Public(), from, to, true))}
	m.signing = []*x509.Certificate{
		cert(trust.Issue(m.master[0], m.masterKey, trust.Name{Role: trust.RoleSigning, ID: bankID}, m.signingKey.Public(), from, to, false)),
		m.master[0],
	}
}

func (m *mint) denomination(key *rsa.PrivateKey, value coin.Amount, kind coin.Kind) coin.Denomination {
	d := coin.Denomination{
		KeyID: must(coin.NewKeyID(&key.PublicKey)), Value: value, Kind: kind, PublicKey: &key.PublicKey,
		IssueFrom: issueFrom, IssueUntil: issueUntil, SpendUntil: spendUntil, LegalUntil: legalUntil,
	}
	m.private[d.KeyID] = key
	return d
}

// plainKeyset is a keyset as a ceremony would make it, fit to be changed.
func (m *mint) plainKeyset() *coin.Keyset {
	return &coin.Keyset{
		Bank: bankID, Currency: "EUR", Exponent: 2, Seq: 1, IssuedAt: issueFrom, Crit: []string{"revoked"},
		Denominations: []coin.Denomination{m.one, m.four, m.eight, m.bound8},
	}
}

func (m *mint) sign(k *coin.Keyset) []byte {
	return must(trust.Sign(trust.TypKeyset, must(k.Marshal()), m.masterKey, m.master))
}

// keysetWith returns the mint's keyset with one thing changed.
func (m *mint) keysetWith(change func(*coin.Keyset)) *coin.Keyset {
	k := *m.keyset
	k.Denominations = slices.Clone(k.Denominations)
	change(&k)
	return &k
}

// rawSign is what the bank's token does: m^d mod n.
func (m *mint) rawSign(kid coin.KeyID, blinded []byte) []byte {
	key := m.private[kid]
	s := new(big.Int).Exp(new(big.Int).SetBytes(blinded), key.D, key.N)
	return s.FillBytes(make([]byte, key.Size()))
}

var seed = coin.Seed{1, 2, 3}

// tag is a point's encoding as far as this package looks.
func tag(fill byte) [coin.TagSize]byte {
	t := [coin.TagSize]byte{2}
	t[32] = fill
	return t
}

func (m *mint) planchet(d coin.Denomination, index uint64) *coin.Planchet {
	var owner coin.Owner
	if d.Kind == coin.Bound {
		owner = coin.BoundOwner(must(coin.BoundNonce(seed, bankID, d.KeyID, index)), tag(byte(index)))
	} else {
		owner = coin.Owner(ownerKey(d.KeyID, index).Public().(ed25519.PublicKey))
	}
	return must(coin.NewPlanchet(seed, bankID, &d, index, owner))
}

func (m *mint) coin(d coin.Denomination, index uint64) coin.Coin {
	p := m.planchet(d, index)
	return *must(p.Finalize(m.rawSign(d.KeyID, p.Blinded())))
}

func (m *mint) output(d coin.Denomination, index uint64) coin.Output {
	return m.planchet(d, index).Output()
}

func ownerKey(kid coin.KeyID, index uint64) ed25519.PrivateKey {
	return must(coin.OwnerKey(seed, bankID, kid, index))
}

// keyOf finds the owner's key by trying the first numbers.
func keyOf(c *coin.Coin) (ed25519.PrivateKey, error) {
	for i := range uint64(100) {
		if k := ownerKey(c.KeyID, i); bytes.Equal(k.Public().(ed25519.PublicKey), c.Owner) {
			return k, nil
		}
	}
	return nil, errors.New("no such owner")
}

// stampVerifier stands in for the group signature, which this package does
// not know: a presentation is a hash of everything it must cover.
type stampVerifier struct{ id [32]byte }

var errStamp = errors.New("stamp does not fit")

func (v stampVerifier) GroupID() [32]byte { return v.id }

func (v stampVerifier) present(message []byte, bound []coin.BoundClaim) []byte {
	parts := [][]byte{v.id[:], message}
	for _, c := range bound {
		parts = append(parts, c.Nonce[:], c.Tag[:])
	}
	d := frame.Digest(parts...)
	return d[:]
}

func (v stampVerifier) VerifyPresentation(presentation, message []byte, bound []coin.BoundClaim) error {
	if !bytes.Equal(presentation, v.present(message, bound)) {
		return errStamp
	}
	return nil
}

func (stampVerifier) CheckTag([coin.TagSize]byte) error { return nil }

func (stampVerifier) CheckExpelled([]byte) error { return nil }

var theGroup = stampVerifier{id: [32]byte{7, 7, 7}}

// unsignedSpend pays 9 with a bearer 8, a bound 8 and a bearer 4: change of
// 11 as 8, 1, 1, 1.
func (m *mint) unsignedSpend() coin.Spend {
	return coin.Spend{
		Purpose: coin.Pay, Bank: bankID, OfferDigest: [32]byte{9}, Amount: 9, Currency: "EUR",
		Coins: []coin.Coin{m.coin(m.eight, 0), m.coin(m.bound8, 0), m.coin(m.four, 0)},
		ToIssuer: []coin.Output{
			m.output(m.eight, 50), m.output(m.one, 50), m.output(m.one, 51), m.output(m.one, 52),
		},
		Group: theGroup.id, IssuedAt: now.Unix(),
	}
}

func (m *mint) spend() (*coin.Spend, *coin.Authorisation) {
	return signed(must(coin.NewSpend(m.unsignedSpend())))
}

func signed(s *coin.Spend) (*coin.Spend, *coin.Authorisation) {
	a := &coin.Authorisation{Bearer: must(s.SignBearer(keyOf))}
	if claims := s.BoundClaims(); len(claims) > 0 {
		a.Presentation = theGroup.present(s.Frame(), claims)
	}
	return s, a
}

// expect fails unless err is want, nil included.
func expect(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

func name(format string, args ...any) string { return fmt.Sprintf(format, args...) }
