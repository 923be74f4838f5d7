package issuer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
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
	Holder   AccountKind = "holder"   // withdraws coins
	Merchant AccountKind = "merchant" // deposits coins
)

// MaxName bounds an account's name, in bytes.
const MaxName = 200

// Account is an account that somebody logs in to.
type Account struct {
	ID        string // "holder/…" or "merchant/…"
	Kind      AccountKind
	Name      string // for people
	Merchant  string // the merchant id that offers name, for a merchant only
	Currency  string
	CreatedAt time.Time
}

const (
	tokenPrefix = "spt_"
	tokenBytes  = 32
)

const redacted = "[redacted]"

var errSecret = errors.New("issuer: a secret does not marshal")

// Token is an access token in its text form, "spt_" and 43 characters. It
// prints as [redacted] and does not marshal; who must show it converts it to
// a string, where a reader of the code can see it.
type Token string

// String returns [redacted].
func (Token) String() string { return redacted }

// GoString returns [redacted].
func (Token) GoString() string { return redacted }

// Format prints [redacted] whatever the verb.
func (Token) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue returns [redacted].
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText refuses.
func (Token) MarshalText() ([]byte, error) { return nil, errSecret }

// hash is what the ledger keeps: the token is 256 random bits, so nothing
// slower than SHA-256 is called for.
func (t Token) hash() [32]byte { return sha256.Sum256([]byte(t)) }

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
// is not kept and can't be shown again. merchant is the merchant id for a
// merchant's account, which the caller knows to be his, and empty for a
// holder's. It returns ErrMalformed, ErrConflict for a merchant who has an
// account, or ErrUnavailable. It is not idempotent: a holder's account whose
// token was lost on its way stays empty.
func (b *Bank) CreateAccount(ctx context.Context, kind AccountKind, name, merchant string) (*Account, Token, error) {
	if len(name) > MaxName || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return nil, "", fmt.Errorf("%w: a name is at most %d bytes of UTF-8", ErrMalformed, MaxName)
	}
	switch kind {
	case Holder:
		if merchant != "" {
			return nil, "", fmt.Errorf("%w: a holder has no merchant id", ErrMalformed)
		}
	case Merchant:
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
	var secret [tokenBytes]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, "", fmt.Errorf("issuer: create account: %w", err)
	}
	token := Token(tokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:]))
	record := ledger.Account{
		ID: id, Kind: string(kind), Name: name,
		Key: []byte(merchant), Currency: b.currency, CreatedAt: b.now(),
	}
	err = b.cfg.Ledger.CreateAccount(ctx, record, ledger.AccessToken{
		Hash: token.hash(), Account: id, CreatedAt: b.now(),
	})
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
		Currency: r.Currency, CreatedAt: r.CreatedAt,
	}
}

// Authenticate returns the account of an access token: ErrUnauthorized if
// there is none, ErrSuspended if it is suspended.
func (b *Bank) Authenticate(ctx context.Context, token Token) (*Account, error) {
	if !strings.HasPrefix(string(token), tokenPrefix) ||
		len(token) != len(tokenPrefix)+base64.RawURLEncoding.EncodedLen(tokenBytes) {
		return nil, ErrUnauthorized
	}
	hash := token.hash()
	access, record, err := b.cfg.Ledger.Token(ctx, hash)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, ErrUnauthorized
	}
	if err != nil {
		return nil, fmt.Errorf("issuer: authenticate: %w", store(err))
	}
	if subtle.ConstantTimeCompare(hash[:], access.Hash[:]) != 1 {
		return nil, ErrUnauthorized
	}
	if record.Suspended {
		return nil, ErrSuspended
	}
	return accountOf(record), nil
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

// checkAccountID keeps ids that come from outside to those that CreateAccount
// makes: "reserve" is an account too.
func checkAccountID(id string) error {
	class := AccountKind(ledger.Class(id))
	if !ledger.ValidAccount(id) || (class != Holder && class != Merchant) || id == string(class) {
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
