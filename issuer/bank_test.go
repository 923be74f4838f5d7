package issuer_test

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/sqlite"
	"github.com/speciecash/specie/trust"
)

var ledgerPage = ledger.Page{}

// brokenSigner is the token's key with a switch before it.
type brokenSigner struct {
	crypto.Signer
	fail atomic.Bool
}

func (s *brokenSigner) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.fail.Load() {
		return nil, issuertest.ErrInjected
	}
	return s.Signer.Sign(r, digest, opts)
}

func TestABankOpensOnlyWithWhatBelongsTogether(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	open := func(change func(*issuer.Config)) error {
		cfg := b.Config
		change(&cfg)
		_, err := issuer.New(t.Context(), cfg)
		return err
	}
	next := h.Draft
	next.Seq, next.Prev, next.IssuedAt = 2, h.Keyset.Digest, issuertest.Now
	fork := next
	fork.Prev = [32]byte{1}
	twin := h.Draft
	twin.IssuedAt = twin.IssuedAt.AddDate(0, 0, -1)
	tests := []struct {
		name   string
		change func(*issuer.Config)
		want   error
	}{
		{"again", func(*issuer.Config) {}, nil},
		{"without a ledger", func(c *issuer.Config) { c.Ledger = nil }, issuer.ErrConfig},
		{"without a signer", func(c *issuer.Config) { c.Signer = nil }, issuer.ErrConfig},
		{"with a keyset that its master did not sign", func(c *issuer.Config) { c.Keyset = append(slices.Clone(c.Keyset[:len(c.Keyset)-4]), "AAAA"...) }, trust.ErrSignature},
		{"with receipts under another role", func(c *issuer.Config) {
			c.Receipts = issuer.ReceiptSigner{Key: h.Manager.Key, Chain: h.Manager.Chain}
		}, issuer.ErrConfig},
		{"with another keyset of the same number", func(c *issuer.Config) { c.Keyset = h.SignKeyset(t, twin) }, coin.ErrFork},
		{"with a keyset that follows another", func(c *issuer.Config) { c.Keyset = h.SignKeyset(t, fork) }, coin.ErrFork},
		{"with the next keyset", func(c *issuer.Config) { c.Keyset = h.SignKeyset(t, next) }, nil},
		{"with the keyset before", func(*issuer.Config) {}, coin.ErrRollback},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { expect(t, open(tt.change), tt.want) })
	}
}

func TestALedgerBelongsToOneBank(t *testing.T) {
	h := issuertest.NewHouse(t)
	store, err := sqlite.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "l.db"), sqlite.Options{})
	expect(t, err, nil)
	defer func() { expect(t, store.Close(), nil) }()
	expect(t, store.SetMeta(t.Context(), ledger.MetaBank, []byte("OTHERBANK")), nil)
	b := h.NewBank(t, nil)
	cfg := b.Config
	cfg.Ledger = store
	_, err = issuer.New(t.Context(), cfg)
	expect(t, err, issuer.ErrConfig)
	totals, err := store.SpentBy(t.Context(), "x", nil)
	if !errors.Is(err, ledger.ErrUnknownEpoch) {
		t.Errorf("a refused bank opened spent sets: %v, %v", totals, err)
	}
}

func TestCoinsStaySpentUnderALaterKeyset(t *testing.T) {
	s := newShop(t)
	_, _, request := s.payment(t)
	_, err := s.Deposit(t.Context(), s.till.Account, request)
	expect(t, err, nil)
	next := s.House.Draft
	next.Seq, next.Prev, next.IssuedAt = 2, s.House.Keyset.Digest, issuertest.Now
	next.Denominations = slices.Clone(next.Denominations)
	for i := range next.Denominations {
		next.Denominations[i].SpendUntil = next.Denominations[i].SpendUntil.AddDate(0, 3, 0)
	}
	cfg := s.Config
	cfg.Keyset = s.House.SignKeyset(t, next)
	b, err := issuer.New(t.Context(), cfg)
	expect(t, err, nil)
	spend, authorisation := s.purse.Exchange(t, s.coins[:1], s.purse.Prepare(t, 8).Outputs)
	_, err = b.Exchange(t.Context(), spend, authorisation)
	expect(t, err, issuer.ErrDoubleSpend)
}

func TestAccountsOpenWithATokenThatIsShownOnce(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	account, token := b.Funded(t, 5)
	got, err := b.Authenticate(t.Context(), token)
	expect(t, err, nil)
	if got.Access.Token == "" || !slices.Equal(got.Access.Scopes, issuer.Scopes(issuer.Holder)) {
		t.Errorf("the token is for %+v", got.Access)
	}
	if got.Access = account.Access; !reflect.DeepEqual(got, account) {
		t.Errorf("the token opens %+v, not %+v", got, account)
	}
	for _, text := range []string{fmt.Sprint(token), fmt.Sprintf("%s %v %q %x %#v %+v", token, token, token, token, token, struct{ T issuer.Token }{token})} {
		if strings.Contains(text, string(token)[4:]) {
			t.Errorf("a token printed itself: %s", text)
		}
	}
	if _, err := token.MarshalText(); err == nil {
		t.Error("a token marshalled")
	}
	flipped := []byte(token)
	flipped[len(flipped)-2] ^= 1
	for _, wrong := range []issuer.Token{"", "spt_", issuer.Token(flipped), token[:len(token)-1], token + "A", issuer.Token(strings.Repeat("A", len(token)))} {
		_, err := b.Authenticate(t.Context(), wrong)
		expect(t, err, issuer.ErrUnauthorized)
	}
}

func TestAccountsAreRefused(t *testing.T) {
	b := issuertest.NewHouse(t).NewBank(t, nil)
	thumb := strings.Repeat("A", 43)
	tests := []struct {
		name           string
		kind           issuer.AccountKind
		text, merchant string
	}{
		{"of an unknown kind", "reserve", "x", ""},
		{"of a holder with a merchant id", issuer.Holder, "x", thumb},
		{"of a merchant without one", issuer.Merchant, "x", ""},
		{"of a merchant with a short one", issuer.Merchant, "x", thumb[1:]},
		{"of a merchant with one that is not base64url", issuer.Merchant, "x", strings.Repeat("+", 43)},
		{"of a merchant with stray bits in it", issuer.Merchant, "x", strings.Repeat("A", 42) + "B"},
		{"with a name that is too long", issuer.Holder, strings.Repeat("x", issuer.MaxName+1), ""},
		{"with a name that is not UTF-8", issuer.Holder, "\xff", ""},
		{"with a NUL in the name", issuer.Holder, "a\x00b", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := b.CreateAccount(t.Context(), tt.kind, tt.text, tt.merchant)
			expect(t, err, issuer.ErrMalformed)
		})
	}
}

func TestAFundingHappensOncePerReference(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	account, _ := b.Funded(t, 0)
	other, _ := b.Funded(t, 0)
	first, err := b.Fund(t.Context(), account.ID, 100, "wire 1")
	expect(t, err, nil)
	again, err := b.Fund(t.Context(), account.ID, 100, "wire 1")
	expect(t, err, nil)
	if first != again {
		t.Error("the repetition is another operation")
	}
	b.CheckBooks(t, 100, 0, 0)
	tests := []struct {
		name      string
		account   string
		amount    coin.Amount
		reference string
		want      error
	}{
		{"the same reference for another amount", account.ID, 101, "wire 1", issuer.ErrConflict},
		{"the same reference for another account", other.ID, 100, "wire 1", issuer.ErrConflict},
		{"no reference", account.ID, 100, "", issuer.ErrMalformed},
		{"a reference that is too long", account.ID, 100, strings.Repeat("x", issuer.MaxReference+1), issuer.ErrMalformed},
		{"nothing", account.ID, 0, "wire 2", issuer.ErrMalformed},
		{"less than nothing", account.ID, -1, "wire 2", coin.ErrOverflow},
		{"more than an amount can be", account.ID, coin.MaxAmount + 1, "wire 2", coin.ErrOverflow},
		{"more than the account can hold", account.ID, coin.MaxAmount, "wire 2", coin.ErrOverflow},
		{"the reserve itself", "reserve", 100, "wire 2", issuer.ErrMalformed},
		{"what is in circulation", "circulation/x", 100, "wire 2", issuer.ErrMalformed},
		{"a class of accounts", "holder", 100, "wire 2", issuer.ErrMalformed},
		{"an account that is not there", "holder/AAAAAAAAAAAAAAAAAAAAAA", 100, "wire 2", issuer.ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := b.Fund(t.Context(), tt.account, tt.amount, tt.reference)
			expect(t, err, tt.want)
		})
	}
	b.CheckBooks(t, 100, 0, 0)
	_, err = b.Operation(t.Context(), first)
	expect(t, err, issuer.ErrNotFound)
}

func TestTheStatementShowsWhatMoved(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	account, _ := b.Funded(t, 20)
	_, err := b.Withdraw(t.Context(), account, h.NewPurse(t).Prepare(t, 8, 4).Outputs)
	expect(t, err, nil)
	entries, next, err := b.Entries(t.Context(), account.ID, ledger.Page{Limit: 1})
	expect(t, err, nil)
	if len(entries) != 1 || entries[0].Amount != -12 || entries[0].Kind != issuer.KindWithdrawal || next == "" {
		t.Errorf("first page %+v, next %q", entries, next)
	}
	entries, next, err = b.Entries(t.Context(), account.ID, ledger.Page{After: next})
	expect(t, err, nil)
	if len(entries) != 1 || entries[0].Amount != 20 || next != "" {
		t.Errorf("second page %+v, next %q", entries, next)
	}
	balance, err := b.Balance(t.Context(), account.ID)
	if err != nil || balance != 8 {
		t.Errorf("balance %d, %v", balance, err)
	}
	_, _, err = b.Entries(t.Context(), account.ID, ledger.Page{After: "nonsense"})
	expect(t, err, issuer.ErrMalformed)
	_, _, err = b.Cases(t.Context(), ledger.Page{After: "nonsense"})
	expect(t, err, issuer.ErrMalformed)
	_, err = b.Case(t.Context(), ledger.ID{1})
	expect(t, err, issuer.ErrNotFound)
}

func TestBooksSoundTheAlarmWhenMoreIsRedeemedThanWasIssued(t *testing.T) {
	s := newShop(t)
	// A coin that the ledger never issued, as a stolen key would make it.
	batch := s.purse.Prepare(t, 16)
	signature, err := s.Signer.BlindSign(t.Context(), batch.Outputs[0].KeyID, batch.Outputs[0].Blinded)
	expect(t, err, nil)
	forged := batch.Finalize(t, [][]byte{signature})
	offer := s.till.Offer(t, 16, nil)
	spend, authorisation := s.purse.Pay(t, offer, forged, nil)
	_, err = s.Deposit(t.Context(), s.till.Account, s.till.Deposit(offer, spend, authorisation))
	expect(t, err, nil)
	books, err := s.Books(t.Context())
	expect(t, err, nil)
	if books.Balanced {
		t.Error("the books call themselves balanced")
	}
}
