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
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/speciecash/specie/ledger"
)

// Scope is something that an access token allows.
type Scope string

// The scopes of tokens.
const (
	ScopeWithdraw  Scope = "withdraw"
	ScopeDeposit   Scope = "deposit"
	ScopeHold      Scope = "hold"
	ScopeRefund    Scope = "refund"
	ScopeAccount   Scope = "account"   // see the account, its balance and statement
	ScopeTokens    Scope = "tokens"    // make, list and revoke the account's tokens
	ScopeOperate   Scope = "operate"   // do what the operator does
	ScopeSupervise Scope = "supervise" // see cases, and search for a traced member
	ScopeObserve   Scope = "observe"   // see the bank's figures, and change nothing
)

// Scopes are all that accounts of a kind may do.
func Scopes(kind AccountKind) []Scope {
	switch kind {
	case Holder:
		return []Scope{ScopeWithdraw, ScopeAccount, ScopeTokens}
	case Merchant:
		return []Scope{ScopeDeposit, ScopeHold, ScopeRefund, ScopeWithdraw, ScopeAccount, ScopeTokens}
	case Operator:
		return []Scope{ScopeOperate, ScopeSupervise, ScopeObserve}
	case Supervisor:
		return []Scope{ScopeSupervise}
	}
	return nil
}

// Access is what a token allows.
type Access struct {
	Token  string  // its id, see TokenInfo; empty without a token
	Scopes []Scope // none without a token
	// Expires is when it ends, by itself or because it is revoked from then on.
	Expires time.Time
}

// scopes are what a caller may do with the account.
func (a *Account) scopes() []Scope {
	if a.Access.Token == "" {
		return Scopes(a.Kind)
	}
	return a.Access.Scopes
}

// May returns ErrForbidden unless the account, by the token that it was opened
// with, may do what is of that scope.
func (a *Account) May(s Scope) error {
	if !slices.Contains(Scopes(a.Kind), s) {
		return fmt.Errorf("%w: this is a %s's account, which has no scope %q", ErrForbidden, a.Kind, s)
	}
	if !slices.Contains(a.scopes(), s) {
		return fmt.Errorf("%w: the token has not the scope %q", ErrForbidden, s)
	}
	return nil
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

// newToken makes a token that nobody can guess.
func newToken() (Token, error) {
	var secret [tokenBytes]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return "", fmt.Errorf("issuer: token: %w", err)
	}
	return Token(tokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:])), nil
}

// tokenIDBytes is how much of its hash names a token in lists: enough that two
// of an account's do not meet.
const tokenIDBytes = 9

func tokenID(hash [32]byte) string { return base64.RawURLEncoding.EncodeToString(hash[:tokenIDBytes]) }

// TokenInfo is what is known of a token; the token itself is not kept.
type TokenInfo struct {
	ID    string // 12 characters, the beginning of its hash
	Label string
	// Scopes are in the order of the function Scopes.
	Scopes []Scope
	// ExpiresAt is zero for never, RevokedAt for not. RevokedAt may be ahead.
	CreatedAt, ExpiresAt, RevokedAt time.Time
}

// Good says whether the token opens its account at that time.
func (t *TokenInfo) Good(at time.Time) bool {
	return (t.ExpiresAt.IsZero() || at.Before(t.ExpiresAt)) && (t.RevokedAt.IsZero() || at.Before(t.RevokedAt))
}

// ends is when the token stops by what is known now; zero is never. One that is
// being rotated out ends when it is revoked: it must not leave a longer one.
func (t *TokenInfo) ends() time.Time {
	if t.ExpiresAt.IsZero() || !t.RevokedAt.IsZero() && t.RevokedAt.Before(t.ExpiresAt) {
		return t.RevokedAt
	}
	return t.ExpiresAt
}

func tokenInfo(t *ledger.AccessToken, kind AccountKind) TokenInfo {
	out := TokenInfo{
		ID: tokenID(t.Hash), Label: t.Label,
		CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, RevokedAt: t.RevokedAt,
	}
	// One that was made before there were scopes has none, and allows all that
	// there was.
	for _, s := range Scopes(kind) {
		if len(t.Scopes) == 0 || slices.Contains(t.Scopes, string(s)) {
			out.Scopes = append(out.Scopes, s)
		}
	}
	return out
}

// TokenRequest asks for a token.
type TokenRequest struct {
	// Label is for people, at most MaxName bytes.
	Label string
	// Scopes are what it is to allow, at least one.
	Scopes []Scope
	// ExpiresAt is when it ends by itself; zero is never.
	ExpiresAt time.Time
	// Hash, if not zero, is SHA-256 of a token that the caller made himself, 32
	// random bytes in the form of Token, and has stored. Then the request may be
	// repeated: a token that he never got can't be among the account's.
	Hash [32]byte
}

// CreateToken makes a token for an account and returns it, unless the caller
// made it, with what is known of it. It is shown here and never again. A token
// can't give more than the one that account was opened with: no further scope,
// no later end. Refusals: ErrMalformed, ErrForbidden, ErrSuspended, ErrConflict
// for a hash that is in use otherwise, and a *LimitError for an account that
// has too many.
func (b *Bank) CreateToken(ctx context.Context, account *Account, r TokenRequest) (Token, *TokenInfo, error) {
	now := b.now()
	if err := checkTokenRequest(account, &r); err != nil {
		return "", nil, err
	}
	var token Token
	record := ledger.AccessToken{Hash: r.Hash, Account: account.ID, Label: r.Label, CreatedAt: now, ExpiresAt: r.ExpiresAt}
	for _, s := range Scopes(account.Kind) {
		if slices.Contains(r.Scopes, s) {
			record.Scopes = append(record.Scopes, string(s))
		}
	}
	if r.Hash == ([32]byte{}) {
		var err error
		if token, err = newToken(); err != nil {
			return "", nil, err
		}
		record.Hash = token.hash()
	} else if info, err := b.madeToken(ctx, &record, account.Kind); info != nil || err != nil {
		return "", info, err
	}
	if err := errors.Join(account.active(), checkTokenEnd(account, r.ExpiresAt, now)); err != nil {
		return "", nil, err
	}
	err := b.cfg.Ledger.CreateToken(ctx, record)
	if errors.Is(err, ledger.ErrDuplicate) { // the same request beside this one
		info, err := b.madeToken(ctx, &record, account.Kind)
		return "", info, err
	}
	if errors.Is(err, ledger.ErrFull) {
		return "", nil, &LimitError{Name: LimitTokens, Max: ledger.MaxTokens}
	}
	if err != nil {
		return "", nil, fmt.Errorf("issuer: create token: %w", store(err))
	}
	info := tokenInfo(&record, account.Kind)
	return token, &info, nil
}

func checkTokenRequest(account *Account, r *TokenRequest) error {
	if len(r.Label) > MaxName || !utf8.ValidString(r.Label) || strings.ContainsRune(r.Label, 0) {
		return fmt.Errorf("%w: a label is at most %d bytes of UTF-8", ErrMalformed, MaxName)
	}
	if len(r.Scopes) == 0 {
		return fmt.Errorf("%w: a token needs a scope", ErrMalformed)
	}
	r.ExpiresAt = r.ExpiresAt.UTC().Truncate(time.Second)
	for _, s := range r.Scopes {
		if err := account.May(s); err != nil {
			return err
		}
	}
	if r.ExpiresAt.Unix() <= 0 {
		r.ExpiresAt = time.Time{}
	}
	return nil
}

// checkTokenEnd refuses an end that is over, or later than that of the token that
// asks. What was made before is not asked for it again.
func checkTokenEnd(account *Account, ends, now time.Time) error {
	end := account.Access.Expires
	switch {
	case !ends.IsZero() && !now.Before(ends):
		return fmt.Errorf("%w: a token that has expired", ErrMalformed)
	case !end.IsZero() && (ends.IsZero() || ends.After(end)):
		return fmt.Errorf("%w: the token that asks ends at %s, and can't give one for longer", ErrForbidden, end.UTC().Format("2006-01-02 15:04 UTC"))
	}
	return nil
}

// madeToken returns what an equal request made before, or nil.
func (b *Bank) madeToken(ctx context.Context, r *ledger.AccessToken, kind AccountKind) (*TokenInfo, error) {
	old, _, err := b.cfg.Ledger.Token(ctx, r.Hash)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("issuer: token: %w", store(err))
	case old.Account != r.Account || old.Label != r.Label || !slices.Equal(old.Scopes, r.Scopes) || !old.ExpiresAt.Equal(r.ExpiresAt):
		return nil, fmt.Errorf("%w: another token has this hash", ErrConflict)
	}
	info := tokenInfo(old, kind)
	return &info, nil
}

// Tokens lists an account's tokens, ended ones too, oldest first.
func (b *Bank) Tokens(ctx context.Context, account *Account) ([]TokenInfo, error) {
	list, err := b.cfg.Ledger.Tokens(ctx, account.ID)
	if err != nil {
		return nil, fmt.Errorf("issuer: tokens: %w", store(err))
	}
	out := make([]TokenInfo, len(list))
	for i := range list {
		out[i] = tokenInfo(&list[i], account.Kind)
	}
	return out, nil
}

// RevokeToken ends an account's token at that time, now if it is zero or
// past. One that ends before stays as it is, so repeating a call is harmless.
// ErrNotFound.
func (b *Bank) RevokeToken(ctx context.Context, account *Account, id string, at time.Time) (*TokenInfo, error) {
	list, err := b.cfg.Ledger.Tokens(ctx, account.ID)
	if err != nil {
		return nil, fmt.Errorf("issuer: revoke token: %w", store(err))
	}
	i := slices.IndexFunc(list, func(t ledger.AccessToken) bool { return tokenID(t.Hash) == id })
	if i < 0 {
		return nil, fmt.Errorf("%w: the account has no such token", ErrNotFound)
	}
	if at = at.UTC().Truncate(time.Second); at.Before(b.now()) {
		at = b.now()
	}
	t := &list[i]
	if err := b.cfg.Ledger.RevokeToken(ctx, t.Hash, at); err != nil {
		return nil, fmt.Errorf("issuer: revoke token: %w", store(err))
	}
	if t.RevokedAt.IsZero() || at.Before(t.RevokedAt) {
		t.RevokedAt = at
	}
	info := tokenInfo(t, account.Kind)
	return &info, nil
}

// Authenticate returns the account of an access token, which may be suspended,
// or ErrUnauthorized if there is none, or none any more.
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
	account := accountOf(record)
	info := tokenInfo(access, account.Kind)
	if !info.Good(b.now()) {
		return nil, fmt.Errorf("%w: it has ended", ErrUnauthorized)
	}
	account.Access = Access{Token: info.ID, Scopes: info.Scopes, Expires: info.ends()}
	return account, nil
}
