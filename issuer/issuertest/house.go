// Package issuertest makes a whole bank for tests: a SoftHSM token with
// denomination keys and an online signing key, a keyset signed under a root, a
// SQLite ledger, a group, and a holder's side that makes coins and spends.
// Nothing in it is a stand-in but the clock.
//
// It is for tests of issuer and of packages above it and must not be imported
// by anything else. The token is made once per process: PKCS#11 libraries can
// be initialised once only. A package that uses it runs its tests through
// [Main], which closes the library before the process exits.
package issuertest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/trust"
)

// BankID is the id of the bank, Currency its currency.
const (
	BankID   = "TESTBANK"
	Currency = "EUR"
)

// Now is the time at which tests begin.
var Now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// Instants of the keys that issue at Now.
var (
	IssueUntil = Now.AddDate(0, 1, 0)
	SpendUntil = Now.AddDate(0, 6, 0)
	legalUntil = Now.AddDate(2, 0, 0)
)

// House is what all banks of a test process share.
type House struct {
	*groupdoctest.Group
	Token     *hsm.Token
	Keys      []*hsm.RSAKey
	Keyset    *coin.Keyset
	KeysetJWS []byte
	Receipts  issuer.ReceiptSigner

	// Master signs keysets; Draft is Keyset before it was signed, to be
	// copied, changed and signed by SignKeyset.
	Master groupdoctest.Party
	Draft  coin.Keyset

	tpm  *tpm.Device  // see Admit
	made atomic.Int64 // keys by NewKey and NewReceipts
}

// Denominations of the house, by what is special about them.
const (
	// Bearer keys of value 1, 2, 4, 8, 16 and bound ones of 4 and 8 issue at
	// Now. Besides there are bearer keys of value 32 (issues from tomorrow on),
	// 64 (revoked) and 128 (issues no more, still spendable).
	ValueNotYet  coin.Amount = 32
	ValueRevoked coin.Amount = 64
	ValueExpired coin.Amount = 128
)

var building struct {
	sync.Mutex
	house *House
	close func()
}

// Main runs a package's tests and closes the token after them.
func Main(m *testing.M) int {
	code := m.Run()
	building.Lock()
	defer building.Unlock()
	if building.close != nil {
		building.close()
	}
	return code
}

// NewHouse returns the process's house.
func NewHouse(t testing.TB) *House {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	if building.house == nil {
		building.house, building.close = build(t)
	}
	return building.house
}

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

func build(t testing.TB) (*House, func()) {
	t.Helper()
	// Outlives t: the house is every test's.
	dir := must(os.MkdirTemp("", "issuertest"))(t)
	token, closeToken := openToken(t, dir)
	h := &House{
		Group: groupdoctest.New(t, Now, attest.GroupKeyTemplate(), [32]byte{1}),
		Token: token,
	}
	h.certify(t)
	h.mint(t)
	return h, func() {
		closeToken()
		_ = os.RemoveAll(dir)
	}
}

// certify makes the bank's master key and its online key in the token.
func (h *House) certify(t testing.TB) {
	t.Helper()
	from, to := Now.AddDate(-1, 0, 0), Now.AddDate(1, 0, 0)
	h.Master.Key = must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	master := certificate(t, must(trust.Issue(h.Root.Certificate(), h.RootKey, trust.Name{Role: trust.RoleBank, ID: BankID},
		h.Master.Key.Public(), from, to, true))(t))
	h.Master.Chain = []*x509.Certificate{master}
	h.Receipts = h.receipts(t, "online", from, to)
}

// receipts makes an online key in the token, under the master.
func (h *House) receipts(t testing.TB, label string, from, to time.Time) issuer.ReceiptSigner {
	t.Helper()
	master := h.Master.Chain[0]
	key := must(h.Token.GenerateECDSA(context.Background(), label, elliptic.P256()))(t)
	signing := certificate(t, must(trust.Issue(master, h.Master.Key, trust.Name{Role: trust.RoleSigning, ID: BankID},
		key.Public(), from, to, false))(t))
	return issuer.ReceiptSigner{Key: key, Chain: []*x509.Certificate{signing, master}}
}

func certificate(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	return must(x509.ParseCertificate(der))(t)
}

// mint generates the denomination keys in the token and signs the keyset.
func (h *House) mint(t testing.TB) {
	t.Helper()
	h.Draft = coin.Keyset{Bank: BankID, Currency: Currency, Exponent: 2, Seq: 1, IssuedAt: Now.AddDate(0, -1, 0)}
	add := func(kind coin.Kind, value coin.Amount, change func(*coin.Denomination)) {
		label := fmt.Sprintf("%s-%d", kind, value)
		key := must(h.Token.GenerateRSA(context.Background(), label, 2048))(t)
		d := coin.Denomination{
			KeyID: must(coin.NewKeyID(key.Public()))(t), Value: value, Kind: kind, PublicKey: key.Public(),
			IssueFrom: Now.AddDate(0, -1, 0), IssueUntil: IssueUntil, SpendUntil: SpendUntil, LegalUntil: legalUntil,
		}
		if change != nil {
			change(&d)
		}
		h.Keys = append(h.Keys, key)
		h.Draft.Denominations = append(h.Draft.Denominations, d)
	}
	for _, value := range []coin.Amount{1, 2, 4, 8, 16} {
		add(coin.Bearer, value, nil)
	}
	for _, value := range []coin.Amount{4, 8} {
		add(coin.Bound, value, nil)
	}
	add(coin.Bearer, ValueNotYet, func(d *coin.Denomination) { d.IssueFrom = Now.AddDate(0, 0, 1) })
	add(coin.Bearer, ValueRevoked, func(d *coin.Denomination) { d.Revoked = true })
	add(coin.Bearer, ValueExpired, func(d *coin.Denomination) { d.IssueUntil = Now.AddDate(0, 0, -1) })
	h.KeysetJWS = h.SignKeyset(t, h.Draft)
	h.Keyset = must(coin.ParseKeyset(h.Root, h.KeysetJWS, Now))(t)
}

// SignKeyset signs a keyset as the bank's master key.
func (h *House) SignKeyset(t testing.TB, k coin.Keyset) []byte {
	t.Helper()
	return must(trust.Sign(trust.TypKeyset, must(k.Marshal())(t), h.Master.Key, h.Master.Chain))(t)
}

// Successor signs the keyset that follows previous, a second later; change may
// alter it.
func (h *House) Successor(t testing.TB, previous *coin.Keyset, change func(*coin.Keyset)) []byte {
	t.Helper()
	k := *previous
	k.Seq, k.Prev, k.IssuedAt = k.Seq+1, k.Digest, k.IssuedAt.Add(time.Second)
	k.Denominations, k.RevokedSigners = slices.Clone(k.Denominations), slices.Clone(k.RevokedSigners)
	if change != nil {
		change(&k)
	}
	return h.SignKeyset(t, k)
}

// NewKey generates a key in the token, for a denomination like like.
func (h *House) NewKey(t testing.TB, like *coin.Denomination) coin.Denomination {
	t.Helper()
	d, _ := h.NewKeyOf(t, like, 2048)
	return d
}

// NewKeyOf is NewKey with that many bits, and shows the key besides.
func (h *House) NewKeyOf(t testing.TB, like *coin.Denomination, bits int) (coin.Denomination, *hsm.RSAKey) {
	t.Helper()
	label := fmt.Sprintf("%s-%d-%d", like.Kind, like.Value, h.made.Add(1))
	key := must(h.Token.GenerateRSA(context.Background(), label, bits))(t)
	d := *like
	d.KeyID, d.PublicKey = must(coin.NewKeyID(key.Public()))(t), key.Public()
	return d, key
}

// NewReceipts generates another online key in the token and certifies it.
func (h *House) NewReceipts(t testing.TB) issuer.ReceiptSigner {
	t.Helper()
	return h.ReceiptsUntil(t, Now.AddDate(1, 0, 0))
}

// ReceiptsUntil is NewReceipts with a certificate that ends then.
func (h *House) ReceiptsUntil(t testing.TB, until time.Time) issuer.ReceiptSigner {
	t.Helper()
	return h.receipts(t, fmt.Sprintf("online-%d", h.made.Add(1)), Now.AddDate(-1, 0, 0), until)
}

// Key returns the key of that kind and value.
func (h *House) Key(t testing.TB, kind coin.Kind, value coin.Amount) *coin.Denomination {
	t.Helper()
	for i := range h.Keyset.Denominations {
		if d := &h.Keyset.Denominations[i]; d.Kind == kind && d.Value == value {
			return d
		}
	}
	t.Fatalf("no %s key of value %d", kind, value)
	return nil
}
