package issuer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/ledger"
)

// AccountKind says what an account is for.
type AccountKind string

// The kinds of account, which are also the classes of their paths.
const (
	Holder     AccountKind = "holder"     // withdraws coins
	Merchant   AccountKind = "merchant"   // deposits coins, and may withdraw
	Operator   AccountKind = "operator"   // of the bank's staff; holds no money
	Supervisor AccountKind = "supervisor" // sees cases and traces; holds no money
)

// MaxName bounds an account's name, in bytes.
const MaxName = 200

// Account is an account that somebody logs in to.
type Account struct {
	ID        string // the kind, a slash and 22 characters
	Kind      AccountKind
	Name      string // for people
	Merchant  string // the merchant id that offers name, for a merchant only
	Currency  string
	CreatedAt time.Time
	// Suspended accounts get recorded answers and see what is theirs, no more;
	// Reason is why.
	Suspended bool
	Reason    string
	// Access is how the caller got in; its zero value, of an account that was
	// looked up, stands for all that the kind of account may do.
	Access Access
}

// OpenMerchant opens the account of the merchant who signed the request
// (coin.SignMerchantRequest) to this bank. The request shows that he holds the
// key: an id stands in every offer, and an account under somebody else's
// would be credited with his payments. Errors: those of
// coin.VerifyMerchantRequest and CreateAccount.
func (b *Bank) OpenMerchant(ctx context.Context, name string, request []byte) (*Account, Token, error) {
	merchant, err := coin.VerifyMerchantRequest(request, b.id)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return b.CreateAccount(ctx, Merchant, name, merchant)
}

// accountID is random for a holder; a merchant's hangs on his merchant id, so
// that a merchant has one account and nobody else gets one beside it.
func accountID(kind AccountKind, merchant string) (string, error) {
	var id [16]byte
	if kind == Merchant {
		d := frame.Digest([]byte("specie/merchant-account/1"), []byte(merchant))
		copy(id[:], d[:])
	} else if _, err := rand.Read(id[:]); err != nil {
		return "", err
	}
	return string(kind) + "/" + base64.RawURLEncoding.EncodeToString(id[:]), nil
}

// CreateAccount opens an account and returns it with its access token, which
// is for all that the kind of account may do, is not kept and can't be shown
// again. merchant is the merchant id for a
// merchant's account, which the caller knows to be his, and empty for
// others. It returns ErrMalformed, ErrConflict for a merchant who has an
// account, or ErrUnavailable. It is not idempotent: a holder's account whose
// token was lost on its way stays empty.
func (b *Bank) CreateAccount(ctx context.Context, kind AccountKind, name, merchant string) (*Account, Token, error) {
	if len(name) > MaxName || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return nil, "", fmt.Errorf("%w: a name is at most %d bytes of UTF-8", ErrMalformed, MaxName)
	}
	switch kind {
	case Holder, Operator, Supervisor:
		if merchant != "" {
			return nil, "", fmt.Errorf("%w: only a merchant has a merchant id", ErrMalformed)
		}
	case Merchant:
		if merchant == "" {
			return nil, "", fmt.Errorf("%w: a merchant's account needs the merchant's signed request", ErrMalformed)
		}
		if raw, err := base64.RawURLEncoding.Strict().DecodeString(merchant); err != nil || len(raw) != sha256.Size || len(merchant) != 43 {
			return nil, "", fmt.Errorf("%w: a merchant id is the thumbprint of a key, 43 characters", ErrMalformed)
		}
	default:
		return nil, "", fmt.Errorf("%w: unknown kind of account", ErrMalformed)
	}
	id, err := accountID(kind, merchant)
	if err != nil {
		return nil, "", fmt.Errorf("issuer: create account: %w", err)
	}
	token, err := newToken()
	if err != nil {
		return nil, "", err
	}
	record := ledger.Account{
		ID: id, Kind: string(kind), Name: name,
		Key: []byte(merchant), Currency: b.currency, CreatedAt: b.now(),
	}
	access := ledger.AccessToken{Hash: token.hash(), Account: id, CreatedAt: record.CreatedAt}
	for _, s := range Scopes(kind) {
		access.Scopes = append(access.Scopes, string(s))
	}
	err = b.cfg.Ledger.CreateAccount(ctx, record, access)
	if errors.Is(err, ledger.ErrDuplicate) {
		return nil, "", fmt.Errorf("%w: this merchant has an account", ErrConflict)
	}
	if err != nil {
		return nil, "", fmt.Errorf("issuer: create account: %w", store(err))
	}
	return accountOf(&record), token, nil
}

func accountOf(r *ledger.Account) *Account {
	return &Account{
		ID: r.ID, Kind: AccountKind(r.Kind), Name: r.Name, Merchant: string(r.Key),
		Currency: r.Currency, CreatedAt: r.CreatedAt, Suspended: r.Suspended, Reason: r.Reason,
	}
}

// Balance returns what an account holds, in minor units.
func (b *Bank) Balance(ctx context.Context, account string) (int64, error) {
	n, err := b.cfg.Ledger.Balance(ctx, account, b.currency)
	if err != nil {
		return 0, fmt.Errorf("issuer: balance: %w", store(err))
	}
	return n, nil
}

// Entries returns one page of an account's statement, newest first, and the
// cursor of the next, empty on the last. ErrMalformed for a cursor that the
// bank did not give out.
func (b *Bank) Entries(ctx context.Context, account string, page ledger.Page) ([]ledger.Entry, ledger.Cursor, error) {
	entries, next, err := b.cfg.Ledger.Entries(ctx, account, page)
	if errors.Is(err, ledger.ErrMalformed) {
		return nil, "", fmt.Errorf("%w: cursor", ErrMalformed)
	}
	if err != nil {
		return nil, "", fmt.Errorf("issuer: entries: %w", store(err))
	}
	return entries, next, nil
}

// Account looks an account up, or returns ErrNotFound.
func (b *Bank) Account(ctx context.Context, id string) (*Account, error) {
	if err := checkAccountID(id, Holder, Merchant, Operator, Supervisor); err != nil {
		return nil, err
	}
	record, err := b.cfg.Ledger.Account(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("issuer: account: %w", store(err))
	}
	return accountOf(record), nil
}

// Accounts lists accounts of a kind, or of all kinds if it is empty, in the
// order of their ids, from the one after after on; limit is as in ledger.Page.
// next is what the next page comes after, empty on the last.
func (b *Bank) Accounts(ctx context.Context, kind AccountKind, after string, limit int) (list []Account, next string, err error) {
	prefix := ""
	if kind != "" {
		if prefix = string(kind) + "/"; len(Scopes(kind)) == 0 {
			return nil, "", fmt.Errorf("%w: unknown kind of account", ErrMalformed)
		}
	}
	if after != "" && !ledger.ValidAccount(after) {
		return nil, "", fmt.Errorf("%w: not the id of an account", ErrMalformed)
	}
	records, err := b.cfg.Ledger.Accounts(ctx, prefix, after, limit)
	if err != nil {
		return nil, "", fmt.Errorf("issuer: accounts: %w", store(err))
	}
	for i := range records {
		list = append(list, *accountOf(&records[i]))
	}
	if len(list) == (ledger.Page{Limit: limit}).Size() {
		next = list[len(list)-1].ID
	}
	return list, next, nil
}

// checkAccountID keeps ids that come from outside to those that CreateAccount
// makes for these kinds: "reserve" is an account too.
func checkAccountID(id string, kinds ...AccountKind) error {
	class := AccountKind(ledger.Class(id))
	if !ledger.ValidAccount(id) || !slices.Contains(kinds, class) || id == string(class) {
		return fmt.Errorf("%w: not the id of an account", ErrMalformed)
	}
	return nil
}

// amountOf narrows an amount to what an account can be credited with.
func amountOf(a coin.Amount) (int64, error) {
	if err := a.Check(); err != nil {
		return 0, err
	}
	if a == 0 {
		return 0, fmt.Errorf("%w: nothing to move", ErrMalformed)
	}
	return int64(a), nil
}
