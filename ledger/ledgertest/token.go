package ledgertest

import (
	"context"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
)

// token n of an account.
func token(n int, account string) ledger.AccessToken {
	return ledger.AccessToken{Hash: id("token", n), Account: account, CreatedAt: moment(n)}
}

func wantTokens(f fataler, l ledger.Ledger, account string, want ...ledger.AccessToken) {
	f.Helper()
	got, err := l.Tokens(context.Background(), account)
	check(f, err)
	if diff := differ(want, got); diff != "" {
		f.Fatalf("tokens of %s differ (-want +got):\n%s", account, diff)
	}
}

func testTokens(t *testing.T, fresh FreshLedger) {
	open := fresh(t)
	l := open()
	ctx := context.Background()
	h1 := ledger.Account{ID: "holder/h1", Kind: "holder", Currency: "EUR", CreatedAt: moment(1)}
	h2 := ledger.Account{ID: "holder/h2", Kind: "holder", Currency: "EUR", CreatedAt: moment(1)}
	first, full := token(1, h1.ID), token(2, h1.ID)
	full.Label, full.Scopes = "till 3 ✓", []string{"deposit", "hold"}
	full.CreatedAt = moment(2).In(time.FixedZone("somewhere", 3600))
	full.ExpiresAt = moment(1000)
	check(t, l.CreateAccount(ctx, h1, first, full))
	check(t, l.CreateAccount(ctx, h2))
	full.CreatedAt = moment(2)
	late := token(3, h1.ID)
	check(t, l.CreateToken(ctx, late))

	t.Run("what is taken, or nobody's, or nonsense is refused and changes nothing", func(t *testing.T) {
		wantDuplicate(t, l.CreateToken(ctx, token(1, h2.ID)), ledger.FieldToken)
		wantErr(t, l.CreateToken(ctx, token(4, "holder/h3")), ledger.ErrNotFound)
		h3 := ledger.Account{ID: "holder/h3", Kind: "holder", Currency: "EUR", CreatedAt: moment(1)}
		wantDuplicate(t, l.CreateAccount(ctx, h3, token(4, h3.ID), token(1, h3.ID)), ledger.FieldToken)
		wantDuplicate(t, l.CreateAccount(ctx, h3, token(4, h3.ID), token(4, h3.ID)), ledger.FieldToken)
		wantErr(t, l.CreateAccount(ctx, h3, token(4, h1.ID)), ledger.ErrMalformed)
		wantErr(t, l.CreateToken(ctx, ledger.AccessToken{Account: h1.ID, CreatedAt: moment(1)}), ledger.ErrMalformed)
		wantErr(t, l.CreateAccount(ctx, h3, ledger.AccessToken{Account: h3.ID, CreatedAt: moment(1)}), ledger.ErrMalformed)
		_, err := l.Account(ctx, h3.ID)
		wantErr(t, err, ledger.ErrNotFound)
		_, _, err = l.Token(ctx, id("token", 4))
		wantErr(t, err, ledger.ErrNotFound)
		_, _, err = l.Token(ctx, ledger.ID{})
		wantErr(t, err, ledger.ErrNotFound)
		wantErr(t, l.RevokeToken(ctx, id("token", 4), moment(5)), ledger.ErrNotFound)
		wantErr(t, l.RevokeToken(ctx, full.Hash, time.Time{}), ledger.ErrMalformed)
	})

	for _, second := range []int{900, 7, 7, 8} { // the earliest stands
		check(t, l.RevokeToken(ctx, full.Hash, moment(second)))
	}
	full.RevokedAt = moment(7)
	for range 2 {
		wantTokens(t, l, h1.ID, first, full, late)
		wantTokens(t, l, h2.ID)
		k, a, err := l.Token(ctx, full.Hash)
		check(t, err)
		h1.Rev = 1
		if diff := differ(&full, k) + differ(&h1, a); diff != "" {
			t.Fatalf("token differs (-want +got):\n%s", diff)
		}
		verify(t, l)
		check(t, l.Close())
		l = open()
	}
	l.Close()
}

func testTokensAreBounded(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	ctx := context.Background()
	a := ledger.Account{ID: "holder/h1", Kind: "holder", Currency: "EUR", CreatedAt: moment(1)}
	lasting := token(0, a.ID)
	check(t, l.CreateAccount(ctx, a, lasting))
	// The others end at 1000 and more.
	n := 1
	for ; n < ledger.MaxTokens; n++ {
		k := token(n, a.ID)
		k.ExpiresAt = moment(1000 + n)
		check(t, l.CreateToken(ctx, k))
	}
	wantErr(t, l.CreateToken(ctx, token(n, a.ID)), ledger.ErrFull)
	_, _, err := l.Token(ctx, id("token", n))
	wantErr(t, err, ledger.ErrNotFound)

	check(t, l.RevokeToken(ctx, id("token", 1), moment(n)))
	check(t, l.CreateToken(ctx, token(n, a.ID)))
	wantErr(t, l.CreateToken(ctx, token(n+1, a.ID)), ledger.ErrFull)
	// At 1002, token 2 is past its time; token 3 lasts until 1003.
	k := token(n+1, a.ID)
	k.CreatedAt = moment(1002)
	check(t, l.CreateToken(ctx, k))
	k.Hash = id("token", n+2)
	wantErr(t, l.CreateToken(ctx, k), ledger.ErrFull)

	// However many were revoked since, what may open the account is listed.
	last := n + 1
	for i := range 2 * ledger.MaxTokens {
		check(t, l.RevokeToken(ctx, id("token", last), moment(6000)))
		last = 5000 + i
		check(t, l.CreateToken(ctx, token(last, a.ID)))
	}
	got, err := l.Tokens(ctx, a.ID)
	check(t, err)
	live := 0
	for _, k := range got {
		if k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || k.ExpiresAt.After(moment(1002))) {
			live++
		}
	}
	if live != ledger.MaxTokens || len(got) != 2*ledger.MaxTokens {
		t.Fatalf("%d tokens are listed, %d of them good; want %d", len(got), live, ledger.MaxTokens)
	}
	if got[0].Hash != lasting.Hash {
		t.Fatalf("the oldest listed is %+v", got[0])
	}
	big := make([]ledger.AccessToken, ledger.MaxTokens+1)
	b := ledger.Account{ID: "holder/h2", Kind: "holder", Currency: "EUR", CreatedAt: moment(1)}
	for i := range big {
		big[i] = token(10000+i, b.ID)
	}
	wantErr(t, l.CreateAccount(ctx, b, big...), ledger.ErrFull)
	check(t, l.CreateAccount(ctx, b, big[1:]...))
	verify(t, l)
}
