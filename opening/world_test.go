package opening_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"testing"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/groupdoc/warrant/warranttest"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/opening/openingtest"
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

// world is a group, a bank with one key of each kind, and their documents.
type world struct {
	*warranttest.Court
	// issued are the warrants so far, by scope and subject.
	issued    map[string][][]byte
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
	w := &world{Court: warranttest.New(groupdoctest.New(t, now, attest.GroupKeyTemplate(), [32]byte{1})), issued: map[string][][]byte{}, keys: map[coin.Kind]*rsa.PrivateKey{}}
	w.groupJWS = w.Group.Sign(t)
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

// warrant is one of the scope about the subject, issued and entered when it is
// first asked for, and proven under the document as it is now.
func (w *world) warrant(t testing.TB, scope warrant.Scope, subject warrant.Subject) *warrant.Proof {
	t.Helper()
	name := string(scope) + " " + string(subject)
	if w.issued[name] == nil {
		w.issued[name] = w.Court.Sign(t, w.Draft(scope, subject, now))
		w.Enter(t, w.issued[name], now)
	}
	w.groupJWS = w.Group.Sign(t)
	return w.Prove(t, w.issued[name])
}

// partial lets a supervisor do his part with a warrant for this case.
func (w *world) partial(t testing.TB, c *opening.Case, share *group.Share) (*opening.Part, error) {
	t.Helper()
	proof := w.warrant(t, warrant.Open, c.Subject())
	return opening.Partial(w.papers(t), c, proof, share)
}

// combine puts an opening together with a warrant for this case.
func (w *world) combine(t testing.TB, c *opening.Case, parts []*opening.Part) (*opening.Opening, *opening.Finding, error) {
	t.Helper()
	proof := w.warrant(t, warrant.Open, c.Subject())
	return opening.Combine(w.papers(t), c, proof, parts)
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

type member = openingtest.Member

func (w *world) admit(t testing.TB, name string) *member {
	t.Helper()
	return w.admitWith(t, name, must(openingtest.NewKey())(t), nil)
}

// admitWith lets a key join; change is what the manager let pass.
func (w *world) admitWith(t testing.TB, name string, key openingtest.TPMKey, change func(*enrol.Statement)) *member {
	t.Helper()
	p := w.papers(t).Group.Parameters()
	return must(openingtest.Admit(t.Context(), p, w.Issuer, w.Contents.Current.Number, name, key, change))(t)
}

// bound is a coin on the member's TPM.
func (w *world) bound(t testing.TB, m *member) coin.Coin {
	t.Helper()
	return w.mint(t, coin.Bound, must(m.CoinOwner(t.Context()))(t))
}

// pay makes an authorised payment of the coins for one offer. signer owns the
// bearer coins, m the bound ones.
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
	return opening.Spend{Spend: spend, Authorisation: must(m.Authorise(t.Context(), spend, signer))(t)}
}

// doubleSpend is a member who spends one coin at two merchants.
func (w *world) doubleSpend(t testing.TB, m *member) *opening.Case {
	t.Helper()
	c, other := w.bound(t, m), w.bound(t, m)
	return &opening.Case{
		Bank: bankID, CoinID: c.ID(),
		Spends: [2]opening.Spend{w.pay(t, m, 1, nil, c), w.pay(t, m, 2, nil, c, other)},
	}
}

// state signs what the manager states about m.
func (w *world) state(t testing.TB, m *member) []byte {
	t.Helper()
	return must(enrol.SignStatement(w.papers(t).Group.Parameters(), &m.Statement, w.Manager.Key, w.Manager.Chain))(t)
}

// lie signs a statement about m that enrol.SignStatement would refuse.
func (w *world) lie(t testing.TB, m *member, change func(map[string]any)) []byte {
	t.Helper()
	doc := must(w.Root.Verify(w.state(t, m), trust.TypMember, trust.RoleGroup, now))(t)
	var j map[string]any
	if err := json.Unmarshal(doc.Payload, &j); err != nil {
		t.Fatal(err)
	}
	change(j)
	return must(trust.Sign(trust.TypMember, must(json.Marshal(j))(t), w.Manager.Key, w.Manager.Chain))(t)
}
