package issuer_test

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

const (
	hour = time.Hour
	mark = 24 * time.Hour
)

func TestATokenDoesWhatItIsForAndNoMore(t *testing.T) {
	b := issuertest.NewHouse(t).NewBank(t, nil)
	ctx := t.Context()
	account, first := b.Funded(t, 5)
	all, err := b.Authenticate(ctx, first)
	expect(t, err, nil)
	token, info, err := b.CreateToken(ctx, all, issuer.TokenRequest{
		Label: "the till at home", Scopes: []issuer.Scope{issuer.ScopeTokens, issuer.ScopeAccount}, ExpiresAt: issuertest.Now.Add(mark),
	})
	expect(t, err, nil)
	got, err := b.Authenticate(ctx, token)
	expect(t, err, nil)
	if got.ID != account.ID || got.Access.Token != info.ID || len(info.ID) != 12 {
		t.Errorf("the token opens %+v, and is %+v", got, info)
	}
	expect(t, got.May(issuer.ScopeAccount), nil)
	expect(t, got.May(issuer.ScopeWithdraw), issuer.ErrForbidden)
	expect(t, all.May(issuer.ScopeWithdraw), nil)
	expect(t, all.May(issuer.ScopeDeposit), issuer.ErrForbidden)

	tests := []struct {
		name string
		r    issuer.TokenRequest
		want error
	}{
		{"a scope that it has not", issuer.TokenRequest{Scopes: []issuer.Scope{issuer.ScopeWithdraw}, ExpiresAt: issuertest.Now.Add(hour)}, issuer.ErrForbidden},
		{"a scope of another kind of account", issuer.TokenRequest{Scopes: []issuer.Scope{issuer.ScopeOperate}, ExpiresAt: issuertest.Now.Add(hour)}, issuer.ErrForbidden},
		{"a scope that there is not", issuer.TokenRequest{Scopes: []issuer.Scope{"gold"}}, issuer.ErrForbidden},
		{"no scope", issuer.TokenRequest{ExpiresAt: issuertest.Now.Add(hour)}, issuer.ErrMalformed},
		{"a longer life", issuer.TokenRequest{Scopes: []issuer.Scope{issuer.ScopeAccount}, ExpiresAt: issuertest.Now.Add(mark + time.Second)}, issuer.ErrForbidden},
		{"a life without an end", issuer.TokenRequest{Scopes: []issuer.Scope{issuer.ScopeAccount}}, issuer.ErrForbidden},
		{"an end that is over", issuer.TokenRequest{Scopes: []issuer.Scope{issuer.ScopeAccount}, ExpiresAt: issuertest.Now}, issuer.ErrMalformed},
		{"a label that is too long", issuer.TokenRequest{Label: strings.Repeat("x", 201), Scopes: []issuer.Scope{issuer.ScopeAccount}}, issuer.ErrMalformed},
		{"a label that is no text", issuer.TokenRequest{Label: "\xff", Scopes: []issuer.Scope{issuer.ScopeAccount}}, issuer.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := b.CreateToken(ctx, got, tt.r)
			expect(t, err, tt.want)
		})
	}
	b.Clock.Set(issuertest.Now.Add(mark - time.Second))
	_, err = b.Authenticate(ctx, token)
	expect(t, err, nil)
	b.Clock.Set(issuertest.Now.Add(mark))
	_, err = b.Authenticate(ctx, token)
	expect(t, err, issuer.ErrUnauthorized)
	_, err = b.Authenticate(ctx, first)
	expect(t, err, nil)
}

func TestATokenIsRotatedWithoutAGap(t *testing.T) {
	b := issuertest.NewHouse(t).NewBank(t, nil)
	ctx := t.Context()
	_, old := b.Funded(t, 5)
	by, err := b.Authenticate(ctx, old)
	expect(t, err, nil)
	// The caller makes the token and stores it first; the answer may be lost.
	next := issuer.Token("spt_" + strings.Repeat("Q", 43))
	r := issuer.TokenRequest{Label: "new", Scopes: by.Access.Scopes, Hash: sha256.Sum256([]byte(next))}
	for range 2 {
		token, info, err := b.CreateToken(ctx, by, r)
		expect(t, err, nil)
		if token != "" || info.Label != "new" {
			t.Fatalf("the answer shows %q, %+v", string(token), info)
		}
	}
	other := r
	other.Label = "another"
	_, _, err = b.CreateToken(ctx, by, other)
	expect(t, err, issuer.ErrConflict)
	list, err := b.Tokens(ctx, by)
	expect(t, err, nil)
	if len(list) != 2 {
		t.Fatalf("%d tokens", len(list))
	}
	at := func(d time.Duration) time.Time { return issuertest.Now.Add(d) }
	works := func(token issuer.Token, when time.Time, want error) {
		t.Helper()
		b.Clock.Set(when)
		_, err := b.Authenticate(ctx, token)
		expect(t, err, want)
	}
	works(next, at(0), nil)
	works(old, at(0), nil)
	info, err := b.RevokeToken(ctx, by, by.Access.Token, at(mark))
	expect(t, err, nil)
	if !info.Good(at(mark-time.Second)) || info.Good(at(mark)) {
		t.Errorf("the old token ends at %v", info.RevokedAt)
	}
	works(old, at(mark-time.Second), nil)
	works(old, at(mark), issuer.ErrUnauthorized)
	works(old, at(0), nil)
	for range 2 { // it may be ended earlier, not later
		_, err = b.RevokeToken(ctx, by, by.Access.Token, time.Time{})
		expect(t, err, nil)
	}
	works(old, at(0), issuer.ErrUnauthorized)
	_, err = b.RevokeToken(ctx, by, by.Access.Token, at(mark))
	expect(t, err, nil)
	works(old, at(hour), issuer.ErrUnauthorized)
	works(next, at(hour), nil)
	_, err = b.RevokeToken(ctx, by, "AAAAAAAAAAAA", time.Time{})
	expect(t, err, issuer.ErrNotFound)
	stranger, _ := b.Funded(t, 0)
	_, err = b.RevokeToken(ctx, stranger, list[1].ID, time.Time{})
	expect(t, err, issuer.ErrNotFound)
	// Somebody else's hash is not his to register.
	_, _, err = b.CreateToken(ctx, stranger, r)
	expect(t, err, issuer.ErrConflict)
}

func TestATokenThatIsBeingRotatedOutLeavesNoLongerOne(t *testing.T) {
	b := issuertest.NewHouse(t).NewBank(t, nil)
	ctx := t.Context()
	owner, old := b.Funded(t, 5)
	by, err := b.Authenticate(ctx, old)
	expect(t, err, nil)
	made := issuer.TokenRequest{Scopes: by.Access.Scopes, Hash: sha256.Sum256([]byte("made before the end was set"))}
	_, _, err = b.CreateToken(ctx, by, made)
	expect(t, err, nil)
	end := issuertest.Now.Add(hour)
	_, err = b.RevokeToken(ctx, owner, by.Access.Token, end)
	expect(t, err, nil)
	by, err = b.Authenticate(ctx, old) // it is good until then
	expect(t, err, nil)
	for name, at := range map[string]time.Time{"for good": {}, "for a second more": end.Add(time.Second)} {
		_, _, err = b.CreateToken(ctx, by, issuer.TokenRequest{Scopes: by.Access.Scopes, ExpiresAt: at})
		if !errors.Is(err, issuer.ErrForbidden) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	_, _, err = b.CreateToken(ctx, by, issuer.TokenRequest{Scopes: by.Access.Scopes, ExpiresAt: end})
	expect(t, err, nil)
	_, _, err = b.CreateToken(ctx, by, made) // a repetition is answered as before
	expect(t, err, nil)
}

func TestATokenThatWasMadeIsShownAgainAfterItsEnd(t *testing.T) {
	b := issuertest.NewHouse(t).NewBank(t, nil)
	account, _ := b.Funded(t, 0)
	r := issuer.TokenRequest{
		Scopes: []issuer.Scope{issuer.ScopeAccount}, Hash: sha256.Sum256([]byte("a token of one hour")), ExpiresAt: issuertest.Now.Add(hour),
	}
	_, first, err := b.CreateToken(t.Context(), account, r)
	expect(t, err, nil)
	b.Clock.Set(issuertest.Now.Add(mark))
	_, again, err := b.CreateToken(t.Context(), account, r)
	expect(t, err, nil)
	if again.ID != first.ID || again.Good(b.Now()) {
		t.Errorf("the repetition shows %+v", again)
	}
}

func TestAnAccountHasSoManyTokensAndNoMore(t *testing.T) {
	b := issuertest.NewHouse(t).NewBank(t, nil)
	account, _ := b.Funded(t, 0)
	r := issuer.TokenRequest{Scopes: []issuer.Scope{issuer.ScopeAccount}}
	for range ledger.MaxTokens - 1 {
		_, _, err := b.CreateToken(t.Context(), account, r)
		expect(t, err, nil)
	}
	_, _, err := b.CreateToken(t.Context(), account, r)
	var limit *issuer.LimitError
	if !errors.As(err, &limit) || limit.Name != issuer.LimitTokens || limit.Max != ledger.MaxTokens {
		t.Fatalf("got %v", err)
	}
	list, err := b.Tokens(t.Context(), account)
	expect(t, err, nil)
	_, err = b.RevokeToken(t.Context(), account, list[0].ID, time.Time{})
	expect(t, err, nil)
	_, _, err = b.CreateToken(t.Context(), account, r)
	expect(t, err, nil)
}

func TestAccountsAreListedByKindAndPage(t *testing.T) {
	b := issuertest.NewHouse(t).NewBank(t, nil)
	ctx := t.Context()
	for range 3 {
		b.Funded(t, 0)
	}
	till := b.NewTill(t)
	staff, _, err := b.CreateAccount(ctx, issuer.Supervisor, "Sven", "")
	expect(t, err, nil)
	if !slices.Equal(issuer.Scopes(staff.Kind), []issuer.Scope{issuer.ScopeSupervise}) {
		t.Errorf("a supervisor may %v", issuer.Scopes(staff.Kind))
	}
	count := func(kind issuer.AccountKind, limit int) (n int) {
		after := ""
		for {
			list, next, err := b.Accounts(ctx, kind, after, limit)
			expect(t, err, nil)
			n += len(list)
			if after = next; next == "" {
				return n
			}
		}
	}
	for kind, want := range map[issuer.AccountKind]int{"": 5, issuer.Holder: 3, issuer.Merchant: 1, issuer.Operator: 0, issuer.Supervisor: 1} {
		if got := count(kind, 2); got != want {
			t.Errorf("%d accounts of kind %q, want %d", got, kind, want)
		}
	}
	_, _, err = b.Accounts(ctx, "reserve", "", 1)
	expect(t, err, issuer.ErrMalformed)
	_, _, err = b.Accounts(ctx, "", "//", 1)
	expect(t, err, issuer.ErrMalformed)
	got, err := b.Account(ctx, till.Account.ID)
	expect(t, err, nil)
	if got.Merchant != till.Account.Merchant {
		t.Errorf("got %+v", got)
	}
	for _, id := range []string{"reserve", "holder", "circulation/x/issued", "holder//x"} {
		_, err := b.Account(ctx, id)
		expect(t, err, issuer.ErrMalformed)
	}
	_, err = b.Account(ctx, "holder/nobody")
	expect(t, err, issuer.ErrNotFound)
}
