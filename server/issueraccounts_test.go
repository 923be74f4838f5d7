package server

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
)

// checkAccounts is a day in the back office: an account is looked at, suspended
// and reinstated, paid out, and gets and loses tokens.
func (b *branch) checkAccounts(t *testing.T, operator *issuerclient.ClientWithResponses, account string, own *issuerclient.ClientWithResponses) {
	t.Helper()
	ctx := t.Context()
	kind, id, _ := strings.Cut(account, "/")
	k := issuerclient.AccountKind(kind)
	list, err := operator.GetAccountsWithResponse(ctx, &issuerclient.GetAccountsParams{Kind: &k})
	fatal(t, err)
	if list.JSON200 == nil || len(list.JSON200.Accounts) < 2 || list.JSON200.Next != nil {
		t.Fatalf("accounts: %s", list.Body)
	}
	limit := 1
	list, err = operator.GetAccountsWithResponse(ctx, &issuerclient.GetAccountsParams{Limit: &limit})
	fatal(t, err)
	if list.JSON200 == nil || len(list.JSON200.Accounts) != 1 || list.JSON200.Next == nil {
		t.Fatalf("accounts: %s", list.Body)
	}
	shut, err := operator.SuspendWithResponse(ctx, k, id, issuerclient.Reason{Reason: "a complaint"})
	fatal(t, err)
	if shut.JSON200 == nil || !shut.JSON200.Suspended || *shut.JSON200.Reason != "a complaint" {
		t.Fatalf("suspension: %s", shut.Body)
	}
	made, err := own.CreateTokenWithResponse(ctx, issuerclient.TokenRequest{Scopes: []issuerclient.Scope{"account"}})
	fatal(t, err)
	if made.StatusCode() != 403 || !strings.Contains(string(made.Body), `"code":"suspended"`) {
		t.Fatalf("a suspended account made a token: %s", made.Body)
	}
	seen, err := own.GetAccountWithResponse(ctx)
	fatal(t, err)
	if seen.JSON200 == nil || !seen.JSON200.Suspended || seen.JSON200.Reason != nil {
		t.Fatalf("what the owner sees: %s", seen.Body)
	}
	open, err := operator.ReinstateWithResponse(ctx, k, id, &issuerclient.ReinstateParams{Reason: "settled"})
	fatal(t, err)
	if open.JSON200 == nil || open.JSON200.Suspended {
		t.Fatalf("reinstatement: %s", open.Body)
	}
	for range 2 {
		paid, err := operator.PayOutWithResponse(ctx, issuerclient.FundingRequest{Account: account, Amount: 5, Reference: "=wire 8"})
		fatal(t, err)
		if paid.JSON200 == nil {
			t.Fatalf("payout: %s", paid.Body)
		}
	}
	now, err := operator.GetAccountOfWithResponse(ctx, k, id)
	fatal(t, err)
	if now.JSON200 == nil || now.JSON200.Balance != seen.JSON200.Balance-5 {
		t.Fatalf("account: %s", now.Body)
	}
	b.checkStatements(t, operator, k, id, own)
	b.checkTokens(t, operator, k, id, own)
	for _, on := range []bool{true, false} {
		set, err := operator.SetDrainWithResponse(ctx, issuerclient.DrainRequest{Draining: &on})
		fatal(t, err)
		got, err := operator.GetDrainWithResponse(ctx)
		fatal(t, err)
		info, err := own.GetInfoWithResponse(ctx)
		fatal(t, err)
		if set.JSON200 == nil || got.JSON200 == nil || got.JSON200.Draining != on || info.JSON200.Draining != on {
			t.Fatalf("drain %t: %s %s %s", on, set.Body, got.Body, info.Body)
		}
		draw := b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(b.purse.Prepare(t, 1)))
		if on {
			refused(t, draw, 409, CodeDraining)
		} else if draw.status != 200 {
			t.Fatalf("withdrawal: %s", draw.body)
		}
	}
}

func (b *branch) checkStatements(t *testing.T, operator *issuerclient.ClientWithResponses, k issuerclient.AccountKind, id string, own *issuerclient.ClientWithResponses) {
	t.Helper()
	ctx := t.Context()
	from := issuertest.Now.Add(-time.Hour).Format(time.DateOnly)
	page, err := own.GetStatementWithResponse(ctx, &issuerclient.GetStatementParams{From: &from})
	fatal(t, err)
	s := page.JSON200
	if s == nil || s.Opening != 0 || len(s.Entries) != 3 {
		t.Fatalf("statement: %s", page.Body)
	}
	sum, references := s.Opening, 0
	for _, e := range s.Entries {
		sum += e.Amount
		if e.Reference != nil {
			references++
		}
	}
	if sum != s.Closing || references != 2 {
		t.Fatalf("statement: %s", page.Body)
	}
	for format, has := range map[issuerclient.GetStatementParamsFormat][]string{
		"csv": {"'=wire 8", "closing"}, "camt.053": {"camt.053.001.08", "=wire 8"},
	} {
		mine, err := own.GetStatementWithResponse(ctx, &issuerclient.GetStatementParams{From: &from, Format: &format})
		fatal(t, err)
		of := issuerclient.GetStatementOfParamsFormat(format)
		theirs, err := operator.GetStatementOfWithResponse(ctx, k, id, &issuerclient.GetStatementOfParams{From: &from, Format: &of})
		fatal(t, err)
		for _, text := range has {
			if mine.StatusCode() != 200 || !strings.Contains(string(mine.Body), text) || string(theirs.Body) != string(mine.Body) {
				t.Fatalf("%s: %s, and for the operator %s", format, mine.Body, theirs.Body)
			}
		}
	}
	of, err := operator.GetStatementOfWithResponse(ctx, k, id, &issuerclient.GetStatementOfParams{From: &from})
	fatal(t, err)
	if of.JSON200 == nil || of.JSON200.Closing != s.Closing {
		t.Fatalf("the operator's: %s", of.Body)
	}
}

func (b *branch) checkTokens(t *testing.T, operator *issuerclient.ClientWithResponses, k issuerclient.AccountKind, id string, own *issuerclient.ClientWithResponses) {
	t.Helper()
	ctx := t.Context()
	label := "till"
	made, err := own.CreateTokenWithResponse(ctx, issuerclient.TokenRequest{Label: &label, Scopes: []issuerclient.Scope{"tokens"}})
	fatal(t, err)
	if made.JSON201 == nil || made.JSON201.Token == nil {
		t.Fatalf("token: %s", made.Body)
	}
	narrow, err := issuerclient.NewClientWithResponses(b.public.URL, bearer(*made.JSON201.Token))
	fatal(t, err)
	tokens, err := narrow.GetTokensWithResponse(ctx)
	fatal(t, err)
	if tokens.JSON200 == nil || len(tokens.JSON200.Tokens) != 2 || strings.Contains(string(tokens.Body), "spt_") {
		t.Fatalf("tokens: %s", tokens.Body)
	}
	wide, err := narrow.CreateTokenWithResponse(ctx, issuerclient.TokenRequest{Scopes: []issuerclient.Scope{"withdraw"}})
	fatal(t, err)
	if wide.StatusCode() != 403 {
		t.Fatalf("a token gave what it has not: %s", wide.Body)
	}
	look, err := narrow.GetAccountWithResponse(ctx)
	fatal(t, err)
	if look.StatusCode() != 403 {
		t.Fatalf("a token for tokens shows the account: %s", look.Body)
	}
	at := issuertest.Now.Add(time.Hour)
	ended, err := narrow.RevokeTokenWithResponse(ctx, made.JSON201.Access.Id, &issuerclient.RevokeTokenParams{At: &at})
	fatal(t, err)
	if ended.JSON200 == nil || !ended.JSON200.Good || ended.JSON200.Current == nil || !ended.JSON200.RevokedAt.Equal(at) {
		t.Fatalf("revoked later: %s", ended.Body)
	}
	now, err := operator.RevokeTokenOfWithResponse(ctx, k, id, made.JSON201.Access.Id, nil)
	fatal(t, err)
	if now.JSON200 == nil || now.JSON200.Good {
		t.Fatalf("revoked: %s", now.Body)
	}
	tokens, err = narrow.GetTokensWithResponse(ctx)
	fatal(t, err)
	if tokens.StatusCode() != 401 {
		t.Fatalf("a revoked token works: %s", tokens.Body)
	}
	given, err := operator.CreateTokenOfWithResponse(ctx, k, id, issuerclient.TokenRequest{Scopes: []issuerclient.Scope{"account"}})
	fatal(t, err)
	of, err := operator.GetTokensOfWithResponse(ctx, k, id)
	fatal(t, err)
	if given.JSON201 == nil || of.JSON200 == nil || len(of.JSON200.Tokens) != 3 {
		t.Fatalf("the operator's: %s %s", given.Body, of.Body)
	}
}

func TestTheBackOfficeRefuses(t *testing.T) {
	c := readContract(t, "issuer.yaml")
	b := newBranch(t, c)
	own, admin := b.public.URL, b.admin.URL+"/admin/v1"
	mine := admin + "/accounts/" + b.holder.ID
	nobody := admin + "/accounts/holder/AAAAAAAAAAAAAAAAAAAAAA"
	payout := func(amount int, reference string) map[string]any {
		return map[string]any{"account": b.holder.ID, "amount": amount, "reference": reference}
	}
	paid := b.send(t, "POST", admin+"/payouts", "", jsonOf(t, payout(1, "one")))
	if paid.status != 200 {
		t.Fatalf("payout: %s", paid.body)
	}
	tests := []struct {
		name, method, url string
		token             issuer.Token
		body              any
		status            int
		code              Code
	}{
		{"tokens without one", "GET", own + "/v1/account/tokens", "", nil, 401, CodeUnauthorized},
		{"a token without scopes", "POST", own + "/v1/account/tokens", b.holderToken, map[string]any{"scopes": []string{}}, 400, CodeMalformed},
		{"a token of a merchant's scope for a holder", "POST", own + "/v1/account/tokens", b.holderToken, map[string]any{"scopes": []string{"deposit"}}, 403, CodeForbidden},
		{"a token that has expired", "POST", own + "/v1/account/tokens", b.holderToken, map[string]any{"scopes": []string{"account"}, "expires_at": "2001-01-01T00:00:00Z"}, 400, CodeMalformed},
		{"a token with half a hash", "POST", own + "/v1/account/tokens", b.holderToken, map[string]any{"scopes": []string{"account"}, "hash": "AAAA"}, 400, CodeMalformed},
		{"a token that is not the account's", "DELETE", own + "/v1/account/tokens/AAAAAAAAAAAA", b.holderToken, nil, 404, CodeNotFound},
		{"a statement of no time", "GET", own + "/v1/account/statement?from=2026-01-02&until=2026-01-02", b.holderToken, nil, 400, CodeMalformed},
		{"a statement from a word", "GET", own + "/v1/account/statement?from=yesterday", b.holderToken, nil, 400, CodeMalformed},
		{"a statement in another form", "GET", own + "/v1/account/statement?format=mt940", b.holderToken, nil, 400, CodeMalformed},
		{"a statement from a cursor that is none", "GET", own + "/v1/account/statement?after=x", b.holderToken, nil, 400, CodeMalformed},
		{"accounts of a kind that there is not", "GET", admin + "/accounts?kind=reserve", "", nil, 400, CodeMalformed},
		{"an account that is not there", "GET", nobody, "", nil, 404, CodeNotFound},
		{"an account of a kind that there is not", "GET", admin + "/accounts/reserve/AAAAAAAAAAAAAAAAAAAAAA", "", nil, 400, CodeMalformed},
		{"a suspension without a reason", "POST", mine + "/suspension", "", map[string]any{"reason": ""}, 400, CodeMalformed},
		{"the suspension of nobody", "POST", nobody + "/suspension", "", map[string]any{"reason": "x"}, 404, CodeNotFound},
		{"a reinstatement without a reason", "DELETE", mine + "/suspension", "", nil, 400, CodeMalformed},
		{"a payout of more than is there", "POST", admin + "/payouts", "", payout(100, "two"), 409, CodeInsufficientFunds},
		{"a payout under a used reference", "POST", admin + "/payouts", "", payout(2, "one"), 409, CodeConflict},
		{"a payout without a reference", "POST", admin + "/payouts", "", payout(1, ""), 400, CodeMalformed},
		{"a drain that is neither on nor off", "PUT", admin + "/drain", "", map[string]any{}, 400, CodeMalformed},
		{"the back office from outside", "GET", own + "/admin/v1/accounts", b.holderToken, nil, 404, CodeNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var body []byte
			if tt.body != nil {
				body = jsonOf(t, tt.body)
			}
			refused(t, b.send(t, tt.method, tt.url, tt.token, body), tt.status, tt.code)
		})
	}
}

func jsonOf(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	fatal(t, err)
	return data
}

func TestLimitsAreAdvertisedAndKept(t *testing.T) {
	limits := issuer.DefaultLimits()
	limits.WithdrawalsPerDay = 4
	b := openBranch(t, readContract(t, "issuer.yaml"), issuertest.NewHouse(t).NewBank(t, func(c *issuer.Config) { c.Limits = &limits }))
	info := decode[issuerclient.Info](t, b.send(t, "GET", b.public.URL+"/v1/info", "", nil), 200)
	if l := info.Limits; l.WithdrawalsPerDay == nil || *l.WithdrawalsPerDay != 4 || l.Withdrawal != nil || l.HoldSeconds != 60 ||
		l.OpenHolds == nil || l.RestoreOutputs == nil || l.Bodies["POST /v1/deposits"] != maxDeposit || l.Bodies["DELETE /v1/account/tokens/{token}"] != 0 {
		t.Errorf("limits %+v", info.Limits)
	}
	b.withdraw(t, 4)
	a := b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(b.purse.Prepare(t, 1)))
	refused(t, a, 429, CodeLimit)
	y, m, d := issuertest.Now.Date()
	left := time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC).Sub(issuertest.Now)
	if wait, err := time.ParseDuration(a.header.Get("Retry-After") + "s"); err != nil || wait != left {
		t.Errorf("to be asked again after %v, want %v", wait, left)
	}
}
