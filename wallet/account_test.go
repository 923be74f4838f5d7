package wallet_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// tokens counts the account's tokens, and those that work at that time.
func tokens(t *testing.T, town *wallettest.Town, account string, at time.Time) (all, good int) {
	t.Helper()
	a, err := town.Bank.Account(t.Context(), account)
	must(t, err)
	list, err := town.Bank.Tokens(t.Context(), a)
	must(t, err)
	for i := range list {
		if list[i].Good(at) {
			good++
		}
	}
	return len(list), good
}

// TestARotationThatIsInterruptedAnywhereGoesOn loses each request and each
// answer of a rotation in turn, and ends the program there.
func TestARotationThatIsInterruptedAnywhereGoesOn(t *testing.T) {
	town := wallettest.New(t)
	for _, fate := range []wallettest.Fate{wallettest.LoseRequest, wallettest.LoseAnswer} {
		for step := range 3 { // list, register, revoke
			t.Run(fmt.Sprintf("fate %d of request %d", fate, step), func(t *testing.T) {
				alice := town.NewHolder(t, 10)
				n := 0
				alice.Wire.Decree(func(r *http.Request) wallettest.Fate {
					if n++; n == step+1 {
						return fate
					}
					return wallettest.Deliver
				})
				if err := alice.RotateToken(t.Context(), time.Time{}); err == nil {
					t.Fatal("the lost request was not missed")
				}
				alice.Wire.Decree(nil)
				alice.Reopen(t)
				alice.Draw(t, 1, coin.Bearer) // the stored token works at every moment
				must(t, alice.RotateToken(t.Context(), time.Time{}))
				if all, good := tokens(t, town, alice.Account, town.Now()); all != 2 || good != 1 {
					t.Errorf("%d tokens, of which %d work", all, good)
				}
				alice.Reopen(t)
				alice.Draw(t, 1, coin.Bearer)
				if _, err := town.Bank.Authenticate(t.Context(), issuer.Token(alice.Token)); !errors.Is(err, issuer.ErrUnauthorized) {
					t.Errorf("the old token: %v", err)
				}
			})
		}
	}
	town.CheckBooks(t)
}

func TestARotatedTokenEndsWhenItIsTold(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	must(t, shop.RotateToken(t.Context(), town.Now().Add(time.Hour)))
	if all, good := tokens(t, town, shop.Account, town.Now().Add(time.Hour-time.Second)); all != 2 || good != 2 {
		t.Errorf("%d tokens, of which %d work for an hour", all, good)
	}
	if _, good := tokens(t, town, shop.Account, town.Now().Add(time.Hour)); good != 1 {
		t.Errorf("%d tokens work after it", good)
	}
	account, err := shop.Till.Account()
	must(t, err)
	list, err := account.Tokens(t.Context())
	must(t, err)
	old := 0 // both were made in one second
	if list[0].Current != nil {
		old = 1
	}
	if list[old].Current != nil || list[1-old].Current == nil || list[0].Label != list[1].Label || len(list[0].Scopes) != len(list[1].Scopes) {
		t.Errorf("tokens %+v", list)
	}
	_, err = account.RevokeToken(t.Context(), list[old].Id, time.Time{})
	must(t, err)
	if _, good := tokens(t, town, shop.Account, town.Now()); good != 1 {
		t.Errorf("%d tokens work", good)
	}
}

func TestATokenThatMayNotMakeTokensIsNotRotated(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 10)
	a, err := town.Bank.Account(t.Context(), alice.Account)
	must(t, err)
	narrow, _, err := town.Bank.CreateToken(t.Context(), a, issuer.TokenRequest{Scopes: []issuer.Scope{issuer.ScopeWithdraw, issuer.ScopeAccount}})
	must(t, err)
	must(t, alice.SetToken(t.Context(), string(narrow)))
	err = alice.RotateToken(t.Context(), time.Time{})
	var p *client.Problem
	if !errors.As(err, &p) || p.Code != "forbidden" {
		t.Fatalf("got %v", err)
	}
	alice.Draw(t, 1, coin.Bearer)
}

func TestAWithdrawalThatTheBankDoesNotAllowIsClosedAndOneThatWaitsStaysOpen(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 10)
	refused := func(code string, open bool) {
		t.Helper()
		_, err := alice.Withdraw(t.Context(), 4, coin.Bearer, wallet.Steps{})
		var p *client.Problem
		if !errors.As(err, &p) || p.Code != code || errors.Is(err, wallet.ErrOpen) != open {
			t.Fatalf("got %v", err)
		}
	}
	must(t, town.Bank.SetDraining(t.Context(), true))
	refused("draining", false)
	must(t, town.Bank.SetDraining(t.Context(), false))
	town.BankGate.Instead("/v1/withdrawals", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusTooManyRequests)
		_ = json.NewEncoder(w).Encode(issuerclient.Problem{Code: "limit", Status: 429, Title: "Too Many Requests"})
	})
	refused("limit", false)
	town.BankGate.Instead("/v1/withdrawals", nil)
	must(t, town.Bank.Suspend(t.Context(), alice.Account, "a complaint"))
	refused("suspended", true)
	must(t, town.Bank.Reinstate(t.Context(), alice.Account, "withdrawn"))
	resume(t, alice)
	worth(t, alice, 4, 0)
	holds(t, town, alice.Account, 6)
	town.CheckBooks(t)
}

func TestAnOwnersStatementIsWhole(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 10)
	alice.Draw(t, 4, coin.Bearer)
	account, err := alice.Wallet.Account()
	must(t, err)
	from := town.Now().Add(-time.Hour).Format(time.RFC3339)
	s, err := account.Statement(t.Context(), from, "")
	must(t, err)
	if s.Opening != 0 || s.Closing != 6 || len(s.Entries) != 2 || s.Entries[0].Amount+s.Entries[1].Amount != 6 {
		t.Errorf("statement %+v", s)
	}
	headers, rows := client.StatementTable(s)
	if len(headers) != 5 || len(rows) != 4 || rows[3][1] != "closing" {
		t.Errorf("table %q", rows)
	}
	for format, has := range map[string]string{"csv": "opening", "camt.053": "<Cd>CLBD</Cd>"} {
		file, err := account.ExportStatement(t.Context(), from, "", format)
		must(t, err)
		if !strings.Contains(string(file), has) {
			t.Errorf("%s: %s", format, file)
		}
	}
	_, err = account.ExportStatement(t.Context(), "yesterday", "", "csv")
	var p *client.Problem
	if !errors.As(err, &p) || p.Code != "malformed" {
		t.Errorf("got %v", err)
	}
	// A bank whose sums are wrong is not believed.
	town.BankGate.Spoil("/v1/account/statement", func(answer map[string]any) { answer["closing"] = 7 })
	_, err = account.Statement(t.Context(), from, "")
	want(t, err, client.ErrAnswer)
}
