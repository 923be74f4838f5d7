package server

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
)

// branch is a bank behind HTTP, watched by the contract.
type branch struct {
	*issuertest.Bank
	public, admin *httptest.Server
	contract      *contract
	holder        *issuer.Account
	holderToken   issuer.Token
	till          *issuertest.Till
	purse         *issuertest.Purse
}

func newBranch(t *testing.T, c *contract) *branch {
	t.Helper()
	return openBranch(t, c, issuertest.NewHouse(t).NewBank(t, nil))
}

// openBranch puts a bank behind HTTP.
func openBranch(t *testing.T, c *contract, bank *issuertest.Bank) *branch {
	t.Helper()
	b := &branch{Bank: bank, contract: c, purse: bank.House.NewPurse(t)}
	handlers := NewIssuer(b.Bank.Bank, IssuerOptions{Root: bank.House.Root, Groups: []GroupLink{{ID: "TESTGROUP", URL: "http://127.0.0.1:1"}}})
	b.public = httptest.NewServer(c.watch(t, handlers.Public))
	t.Cleanup(b.public.Close)
	b.admin = httptest.NewServer(c.watch(t, handlers.Admin))
	t.Cleanup(b.admin.Close)
	b.holder, b.holderToken = b.Funded(t, 100)
	b.till = b.NewTill(t)
	return b
}

// answer is an answer with its body read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (b *branch) send(t *testing.T, method, url string, token issuer.Token, body []byte) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+string(token))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, got}
}

func (b *branch) post(t *testing.T, path string, token issuer.Token, body any) answer {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return b.send(t, http.MethodPost, b.public.URL+path, token, data)
}

// decode reads an answer of that status.
func decode[T any](t *testing.T, a answer, status int) T {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// refused checks for a problem with that status and code.
func refused(t *testing.T, a answer, status int, code Code) issuerclient.Problem {
	t.Helper()
	p := decode[issuerclient.Problem](t, a, status)
	if Code(p.Code) != code {
		t.Fatalf("code %s, want %s: %s", p.Code, code, a.body)
	}
	return p
}

func withdrawal(batch *issuertest.Batch) issuerclient.WithdrawalRequest {
	return issuerclient.WithdrawalRequest{Outputs: coin.NewOutputsJSON(batch.Outputs)}
}

func spendJSON(t *testing.T, s *coin.Spend, a *coin.Authorisation) coin.SpendJSON {
	t.Helper()
	j, err := coin.NewSpendJSON(s, a)
	if err != nil {
		t.Fatal(err)
	}
	return *j
}

func deposit(t *testing.T, o *coin.SignedOffer, s *coin.Spend, a *coin.Authorisation) issuerclient.DepositRequest {
	t.Helper()
	return issuerclient.DepositRequest{Offer: o.Public, PayeeSalt: o.Private.PayeeSalt[:], Spend: spendJSON(t, s, a)}
}

func raw(list []api.Bytes) [][]byte {
	out := make([][]byte, len(list))
	for i, b := range list {
		out[i] = b
	}
	return out
}

// withdraw gets coins over HTTP.
func (b *branch) withdraw(t *testing.T, values ...coin.Amount) []coin.Coin {
	t.Helper()
	batch := b.purse.Prepare(t, values...)
	signed := decode[issuerclient.Signed](t, b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(batch)), 200)
	return batch.Finalize(t, raw(signed.Signatures))
}

func TestTheWholeContractOverHTTP(t *testing.T) {
	c := readContract(t, "issuer.yaml")
	b := newBranch(t, c)
	ctx := t.Context()
	operator, err := issuerclient.NewClientWithResponses(b.admin.URL)
	fatal(t, err)

	// The operator opens accounts and funds one.
	public, private, err := ed25519.GenerateKey(rand.Reader)
	fatal(t, err)
	merchant := coin.MerchantID(public)
	jws, err := coin.SignMerchantRequest(issuertest.BankID, private)
	fatal(t, err)
	request := string(jws)
	opened, err := operator.CreateAccountWithResponse(ctx, issuerclient.AccountRequest{Kind: "holder", Name: "Ada"})
	fatal(t, err)
	if opened.JSON201 == nil {
		t.Fatalf("account: %s", opened.Body)
	}
	shop, err := operator.CreateAccountWithResponse(ctx, issuerclient.AccountRequest{Kind: "merchant", Name: "Bob", MerchantRequest: &request})
	fatal(t, err)
	if shop.JSON201 == nil || shop.JSON201.Account.Merchant == nil || *shop.JSON201.Account.Merchant != merchant {
		t.Fatalf("merchant's account: %s", shop.Body)
	}
	for name, r := range map[string]issuerclient.AccountRequest{
		"a merchant's second account":       {Kind: "merchant", Name: "Bob", MerchantRequest: &request},
		"a merchant's without a request":    {Kind: "merchant", Name: "Eve"},
		"a holder's with a request":         {Kind: "holder", Name: "Eve", MerchantRequest: &request},
		"under an id that stands in offers": {Kind: "merchant", Name: "Eve", MerchantRequest: &merchant},
	} {
		again, err := operator.CreateAccountWithResponse(ctx, r)
		fatal(t, err)
		if again.JSON201 != nil {
			t.Errorf("%s was opened", name)
		}
	}
	funding := issuerclient.FundingRequest{Account: opened.JSON201.Account.Id, Amount: 50, Reference: "wire 7"}
	for range 2 {
		funded, err := operator.FundWithResponse(ctx, funding)
		fatal(t, err)
		if funded.JSON200 == nil {
			t.Fatalf("funding: %s", funded.Body)
		}
	}

	// The holder looks around.
	ada, err := issuerclient.NewClientWithResponses(b.public.URL, bearer(opened.JSON201.Token))
	fatal(t, err)
	info, err := ada.GetInfoWithResponse(ctx)
	fatal(t, err)
	if info.JSON200 == nil || info.JSON200.Bank != issuertest.BankID || len(info.JSON200.Groups) != 1 {
		t.Fatalf("info: %s", info.Body)
	}
	keys, err := ada.GetKeysWithResponse(ctx, nil)
	fatal(t, err)
	if keys.JSON200 == nil || keys.JSON200.Keyset != string(b.House.KeysetJWS) {
		t.Fatalf("keys: %s", keys.Body)
	}
	etag := keys.HTTPResponse.Header.Get("ETag")
	keys, err = ada.GetKeysWithResponse(ctx, &issuerclient.GetKeysParams{IfNoneMatch: &etag})
	fatal(t, err)
	if keys.StatusCode() != http.StatusNotModified || len(keys.Body) != 0 {
		t.Fatalf("keys again: %d %s", keys.StatusCode(), keys.Body)
	}
	account, err := ada.GetAccountWithResponse(ctx)
	fatal(t, err)
	if account.JSON200 == nil || account.JSON200.Balance != 50 || account.JSON200.Name != "Ada" {
		t.Fatalf("account: %s", account.Body)
	}

	// Withdraw, pay, look it up, exchange.
	batch := b.purse.Prepare(t, 8, 8, 4)
	signed, err := ada.WithdrawWithResponse(ctx, withdrawal(batch))
	fatal(t, err)
	if signed.JSON200 == nil {
		t.Fatalf("withdrawal: %s", signed.Body)
	}
	coins := batch.Finalize(t, raw(signed.JSON200.Signatures))
	offer := b.till.Offer(t, 10, nil)
	change := b.purse.Prepare(t, 2)
	spend, authorisation := b.purse.Pay(t, offer, coins[1:], change.Outputs)
	bob, err := issuerclient.NewClientWithResponses(b.public.URL, bearer(string(b.till.Token)))
	fatal(t, err)
	deposited, err := bob.DepositWithResponse(ctx, deposit(t, offer, spend, authorisation))
	fatal(t, err)
	if deposited.JSON200 == nil {
		t.Fatalf("deposit: %s", deposited.Body)
	}
	receipt, err := coin.VerifyDepositReceipt(b.House.Root, []byte(deposited.JSON200.Receipt), issuertest.Now)
	fatal(t, err)
	fatal(t, receipt.Covers(spend, offer.Offer.Payee))
	change.Finalize(t, raw(deposited.JSON200.Signatures))
	op, err := ada.GetOpWithResponse(ctx, deposited.JSON200.Op)
	fatal(t, err)
	if op.JSON200 == nil || op.JSON200.Receipt == nil || *op.JSON200.Receipt != deposited.JSON200.Receipt ||
		!cmp.Equal(op.JSON200.Signatures, deposited.JSON200.Signatures) {
		t.Fatalf("operation: %s", op.Body)
	}
	fresh := b.purse.Prepare(t, 4, 4)
	spend, authorisation = b.purse.Exchange(t, coins[:1], fresh.Outputs)
	exchanged, err := ada.ExchangeWithResponse(ctx, issuerclient.ExchangeRequest{Spend: spendJSON(t, spend, authorisation)})
	fatal(t, err)
	if exchanged.JSON200 == nil {
		t.Fatalf("exchange: %s", exchanged.Body)
	}
	fresh.Finalize(t, raw(exchanged.JSON200.Signatures))

	// A key is revoked, and one of its coins made good.
	b.revoke(t, b.House.Key(t, coin.Bearer, 4))
	again := b.purse.Prepare(t, 2, 2)
	made, err := ada.RecoupWithResponse(ctx, b.recoup(t, coin.Spend{ToIssuer: again.Outputs}, exchanged.JSON200.Op, fresh, 0))
	fatal(t, err)
	if made.JSON200 == nil {
		t.Fatalf("recoup: %s", made.Body)
	}
	again.Finalize(t, raw(made.JSON200.Signatures))

	// A TPM broke, in the last epoch; its owner has another one.
	w := newWidow(t, b)
	anew := b.purse.Prepare(t, 8)
	recovered, err := ada.RecoverWithResponse(ctx, w.recover(t, coin.Spend{Coins: w.coins[:1], ToIssuer: anew.Outputs}))
	fatal(t, err)
	if recovered.JSON200 == nil {
		t.Fatalf("recover: %s", recovered.Body)
	}
	anew.Finalize(t, raw(recovered.JSON200.Signatures))

	// The statement, page by page, and the books.
	limit := 1
	entries, err := ada.GetEntriesWithResponse(ctx, &issuerclient.GetEntriesParams{Limit: &limit})
	fatal(t, err)
	if entries.JSON200 == nil || len(entries.JSON200.Entries) != 1 || entries.JSON200.Entries[0].Amount != -20 || entries.JSON200.Next == nil {
		t.Fatalf("entries: %s", entries.Body)
	}
	entries, err = ada.GetEntriesWithResponse(ctx, &issuerclient.GetEntriesParams{After: entries.JSON200.Next})
	fatal(t, err)
	if entries.JSON200 == nil || len(entries.JSON200.Entries) != 1 || entries.JSON200.Entries[0].Amount != 50 || entries.JSON200.Next != nil {
		t.Fatalf("entries: %s", entries.Body)
	}
	books, err := operator.GetBooksWithResponse(ctx)
	fatal(t, err)
	if books.JSON200 == nil || !books.JSON200.Balanced {
		t.Fatalf("books: %s", books.Body)
	}
	b.CheckBooks(t, 130, 10, 22)
	if done := auditNow(t, operator); done.Report == nil || !done.Report.Sound || done.Report.Coins != 5 || len(done.Report.Heads) != 1 {
		t.Fatalf("audit: %+v", done)
	}
	b.checkCases(t, operator)
	b.checkTrace(t, operator)
	b.checkRestore(t, ada)
	b.checkHolds(t, operator)
	checkReconciliation(t, c)
	b.checkAccounts(t, operator, opened.JSON201.Account.Id, ada)
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func bearer(token string) issuerclient.ClientOption {
	return issuerclient.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	})
}

func TestEveryRouteOfTheContractIsOnOneListenerAndGuardedAsItSays(t *testing.T) {
	c := readContract(t, "issuer.yaml")
	public, admin := issuerRoutes(nil), issuerAdminRoutes()
	left := len(public) + len(admin)
	for path, item := range c.Doc().Paths.Map() {
		for method, op := range item.Operations() {
			name := method + " " + strings.NewReplacer("{", ":", "}", "").Replace(path)
			table, other := public, admin
			if op.Tags[0] == "operator" {
				table, other = admin, public
			}
			r, ok := table[name]
			if _, twice := other[name]; !ok || twice {
				t.Errorf("%s is not in its own table alone", name)
				continue
			}
			left--
			if secured := op.Security != nil && len(*op.Security) > 0; secured != (r.guard != nil) {
				t.Errorf("%s: the contract says secured %t, the table %t", name, secured, r.guard != nil)
			}
			if hasBody := op.RequestBody != nil; hasBody != (r.limit > 0) {
				t.Errorf("%s: takes a body %t, limit %d", name, hasBody, r.limit)
			}
		}
	}
	if left != 0 {
		t.Errorf("%d routes are not in the contract", left)
	}
}

func TestTheOperatorsRoutesAreNotOnThePublicListener(t *testing.T) {
	b := newBranch(t, readContract(t, "issuer.yaml"))
	for name := range issuerAdminRoutes() {
		method, path, _ := strings.Cut(name, " ")
		path = strings.Replace(path, ":id", base64.RawURLEncoding.EncodeToString(make([]byte, 32)), 1)
		// The contract's watcher is left out: it knows the route.
		rec := httptest.NewRecorder()
		NewIssuer(b.Bank.Bank, IssuerOptions{}).Public.ServeHTTP(rec, httptest.NewRequest(method, path, nil))
		checkProblem(t, rec, http.StatusNotFound, CodeNotFound)
	}
}
