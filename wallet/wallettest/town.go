package wallettest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/speciecash/specie/api/apitest"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/groupdoc/successor"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/sqlite"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/server"
	"github.com/speciecash/specie/tpm/swtpm"
	"github.com/speciecash/specie/trust"
)

// The bank of a town.
const (
	BankID   = "TOWNBANK"
	Currency = "EUR"
)

// Values are the denominations, bearer and bound alike.
func Values() []coin.Amount { return []coin.Amount{1, 2, 4, 8, 16} }

// process is what all towns of a process share: a lab of TPMs.
type process struct {
	sync.Mutex
	dir string
	lab *registrationtest.Lab
}

var shared process

// Main runs a package's tests and ends what towns have started.
func Main(m *testing.M) int {
	code := issuertest.Main(m)
	shared.Lock()
	defer shared.Unlock()
	if shared.lab == nil {
		return code
	}
	if err := errors.Join(shared.lab.Close(), os.RemoveAll(shared.dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func lab(t testing.TB) *registrationtest.Lab {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.lab == nil {
		dir, err := os.MkdirTemp("", "town") // outlives t, and is short enough for sockets
		must(t, err)
		shared.dir, shared.lab = dir, registrationtest.NewLab(dir)
	}
	return shared.lab
}

// Town is a bank and a group manager.
type Town struct {
	// Group is the group manager, his clock is the town's.
	Group *registrationtest.World
	// Bank is the bank as it stands; Rotate replaces it.
	Bank *issuer.Bank
	// BankGate and GroupGate stand before the two servers.
	BankGate, GroupGate Gate
	BankURL, GroupURL   string
	// RootPEM is the root certificate.
	RootPEM []byte
	// Keyset is the keyset as it stands, before it was signed.
	Keyset coin.Keyset

	lost     map[coin.KeyID]bool // see Lose
	struck   coin.Expelled       // see StrikeOff
	lab      *registrationtest.Lab
	house    *issuertest.House
	master   groupdoctest.Party
	receipts issuer.ReceiptSigner
	ledger   ledger.Ledger
	signed   []byte
	funded   int
}

// New builds a town.
func New(t testing.TB) *Town {
	t.Helper()
	w := &Town{lab: lab(t), house: issuertest.NewHouse(t)}
	w.Group = registrationtest.NewWorld(t, w.lab)
	w.RootPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.Group.Group.Root.Certificate().Raw})
	w.certify(t)
	w.mint(t)
	store, err := sqlite.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.db"), sqlite.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	w.ledger = store
	w.openBank(t)
	group := apitest.Read(t, apitest.Group)
	w.GroupGate.Set(group.Watch(t, server.NewGroup(w.Group.Manager, server.GroupOptions{}).Public))
	w.BankGate.Now, w.GroupGate.Now = w.Now, w.Now
	w.BankURL, w.GroupURL = serve(t, &w.BankGate), serve(t, &w.GroupGate)
	return w
}

func serve(t testing.TB, g *Gate) string {
	srv := httptest.NewServer(g)
	srv.Config.ErrorLog = nil
	t.Cleanup(srv.Close)
	return srv.URL
}

// Now is the town's clock.
func (w *Town) Now() time.Time { return w.Group.Clock.Now() }

// certify makes the bank's master key.
func (w *Town) certify(t testing.TB) {
	t.Helper()
	var err error
	w.master.Key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	w.receipts = issuer.ReceiptSigner{Key: w.house.Receipts.Key}
	w.Recertify(t)
}

// Recertify certifies the bank's keys anew: the master key for eight months, the
// online key in the token for 90 days. It counts from the next Rotate on.
func (w *Town) Recertify(t testing.TB) {
	t.Helper()
	now, root := w.Now(), w.Group.Group
	der, err := trust.Issue(root.Root.Certificate(), root.RootKey, trust.Name{Role: trust.RoleBank, ID: BankID},
		w.master.Key.Public(), now.AddDate(0, -1, 0), now.AddDate(0, 8, 0), true)
	must(t, err)
	master := parse(t, der)
	w.master.Chain = []*x509.Certificate{master}
	der, err = trust.Issue(master, w.master.Key, trust.Name{Role: trust.RoleSigning, ID: BankID},
		w.receipts.Key.Public(), now.Add(-time.Hour), now.AddDate(0, 0, 90), false)
	must(t, err)
	w.receipts.Chain = []*x509.Certificate{parse(t, der), master}
}

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return c
}

// RevokeReceipts publishes a keyset that revokes the online key, and gives the
// bank another.
func (w *Town) RevokeReceipts(t testing.TB) {
	t.Helper()
	stolen := coin.SignerKey(w.receipts.Chain[0])
	w.receipts.Key = w.house.NewReceipts(t).Key
	w.Recertify(t)
	w.Rotate(t, func(k *coin.Keyset) { k.RevokedSigners = append(k.RevokedSigners, stolen) })
}

// mint writes the first keyset over the keys in the token.
func (w *Town) mint(t testing.TB) {
	t.Helper()
	now := w.Now().Truncate(time.Second)
	w.Keyset = coin.Keyset{Bank: BankID, Currency: Currency, Exponent: 2, Seq: 1, IssuedAt: now.AddDate(0, -1, 0)}
	keys := w.house.Keys
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		for _, value := range Values() {
			kid, err := coin.NewKeyID(keys[0].Public())
			must(t, err)
			w.Keyset.Denominations = append(w.Keyset.Denominations, coin.Denomination{
				KeyID: kid, Value: value, Kind: kind, PublicKey: keys[0].Public(),
				IssueFrom: now.AddDate(0, -1, 0), IssueUntil: now.AddDate(0, 1, 0),
				SpendUntil: now.AddDate(0, 6, 0), LegalUntil: now.AddDate(2, 0, 0),
			})
			keys = keys[1:]
		}
	}
}

// openBank signs the keyset and opens the bank with it.
func (w *Town) openBank(t testing.TB) {
	t.Helper()
	w.signed = w.SignKeyset(t, nil)
	parsed, err := coin.ParseKeyset(w.Group.Group.Root, w.signed, w.Now())
	must(t, err)
	w.Keyset.Digest = parsed.Digest
	w.Bank, err = issuer.New(t.Context(), issuer.Config{
		Root: w.Group.Group.Root, Keyset: w.signed, Signer: issuer.NewKeyring(w.keys, nil), Receipts: w.receipts,
		Groups: groups{w}, Ledger: w.ledger, Clock: w.Now,
	})
	must(t, err)
	contract := apitest.Read(t, apitest.Issuer)
	w.BankGate.Set(contract.Watch(t, server.NewIssuer(w.Bank, server.IssuerOptions{}).Public))
}

// SignKeyset signs the keyset, altered by change, as the bank's master key.
func (w *Town) SignKeyset(t testing.TB, change func(*coin.Keyset)) []byte {
	t.Helper()
	k := w.Keyset
	k.Denominations = slices.Clone(k.Denominations)
	if change != nil {
		change(&k)
	}
	payload, err := k.Marshal()
	must(t, err)
	jws, err := trust.Sign(trust.TypKeyset, payload, w.master.Key, w.master.Chain)
	must(t, err)
	return jws
}

// Rotate publishes the next keyset; change may alter it. It returns the signed
// one that was in force before.
func (w *Town) Rotate(t testing.TB, change func(*coin.Keyset)) (before []byte) {
	t.Helper()
	before = w.signed
	w.Keyset.Seq++
	w.Keyset.Prev = w.Keyset.Digest
	w.Keyset.IssuedAt = w.Now().Truncate(time.Second)
	if change != nil {
		change(&w.Keyset)
	}
	w.openBank(t)
	return before
}

// groups is how the bank judges presentations: by the manager's document.
type groups struct{ w *Town }

// Verifier implements issuer.Groups.
func (g groups) Verifier(ctx context.Context, id [32]byte) (coin.PresentationVerifier, error) {
	signed, err := g.w.Group.Document(ctx)
	if err != nil {
		return nil, err
	}
	doc, err := groupdoc.Parse(g.w.Group.Group.Root, signed.JWS, g.w.Now())
	if err != nil {
		return nil, err
	}
	if doc.GroupID() != id {
		return nil, coin.ErrBinding
	}
	v, err := doc.Verifier(g.w.Now())
	if err != nil {
		return nil, err
	}
	judge := coin.NewPresentationVerifier(v)
	if g.w.struck != nil {
		judge = coin.Refusing(judge, g.w.struck)
	}
	return coin.WithSuccessors(judge, &successor.Verifier{Root: g.w.Group.Group.Root, Doc: doc}), nil
}

// StrikeOff has the bank refuse the members whom the list matches, from now on;
// nil is none.
func (w *Town) StrikeOff(list coin.Expelled) { w.struck = list }

// Account opens an account and funds a holder's.
func (w *Town) Account(t testing.TB, kind issuer.AccountKind, merchantID string, amount coin.Amount) (id, token string) {
	t.Helper()
	account, secret, err := w.Bank.CreateAccount(t.Context(), kind, t.Name(), merchantID)
	must(t, err)
	if amount > 0 {
		w.Fund(t, account.ID, amount)
	}
	return account.ID, string(secret)
}

// Fund puts money on an account.
func (w *Town) Fund(t testing.TB, account string, amount coin.Amount) {
	t.Helper()
	w.funded++
	_, err := w.Bank.Fund(t.Context(), account, amount, fmt.Sprint("funding ", w.funded))
	must(t, err)
}

// Balance is what an account holds.
func (w *Town) Balance(t testing.TB, account string) coin.Amount {
	t.Helper()
	b, err := w.Bank.Balance(t.Context(), account)
	must(t, err)
	return coin.Amount(b)
}

// Cases is how many double spends of bound coins the bank has filed.
func (w *Town) Cases(t testing.TB) int {
	t.Helper()
	list, _, err := w.Bank.Cases(t.Context(), ledger.Page{})
	must(t, err)
	return len(list)
}

// CheckBooks fails the test unless the bank's books balance and its ledger
// verifies from its rows.
func (w *Town) CheckBooks(t testing.TB) {
	t.Helper()
	books, err := w.Bank.Books(t.Context())
	must(t, err)
	if !books.Balanced {
		t.Errorf("the books do not balance: %+v", books)
	}
	if _, err := w.ledger.Verify(t.Context(), ledger.Verification{}); err != nil {
		t.Errorf("the ledger does not verify: %v", err)
	}
}

// TPM is the address of one of the lab's TPMs: registrationtest.TPMA, TPMB,
// or Stranger, whose maker the group manager does not accept.
func (w *Town) TPM(t testing.TB, number int) string {
	t.Helper()
	tcti, err := w.lab.TCTI(t.Context(), number)
	must(t, err)
	return tcti
}

// NewTPM makes one more TPM that the group manager accepts, for what is done to a
// TPM and must not be to those that all tests share. It is switched off with the
// test.
func (w *Town) NewTPM(t testing.TB) *swtpm.Emulator {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm") // short enough for sockets
	must(t, err)
	e, err := w.lab.Make(t.Context(), dir)
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(e.Close(), os.RemoveAll(dir))) })
	return e
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
