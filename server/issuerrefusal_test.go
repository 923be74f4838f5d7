package server

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/opening"
)

// checkCases spends a bound coin twice and finds the case on the operator's
// side.
func (b *branch) checkCases(t *testing.T, operator *issuerclient.ClientWithResponses) {
	t.Helper()
	member := b.House.Admit(t)
	batch := b.purse.PrepareBound(t, member, 4)
	signed := decode[issuerclient.Signed](t, b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(batch)), 200)
	coins := batch.Finalize(t, raw(signed.Signatures))
	for i := range 2 {
		offer := b.till.Offer(t, 4, nil)
		spend, authorisation := b.purse.AuthoriseBound(t, member, issuertest.Payment(offer, coins, nil))
		a := b.post(t, "/v1/deposits", b.till.Token, deposit(t, offer, spend, authorisation))
		if i == 0 {
			decode[issuerclient.Deposited](t, a, 200)
			continue
		}
		p := refused(t, a, 409, CodeDoubleSpend)
		var proof coin.ConflictProof
		fatal(t, json.Unmarshal(*p.Conflict, &proof))
		verifier, err := b.House.Document(t).Verifier(issuertest.Now)
		fatal(t, err)
		fatal(t, proof.Verify(spend, b.House.Keyset, coin.NewPresentationVerifier(verifier)))
	}
	cases, err := operator.GetCasesWithResponse(t.Context(), nil)
	fatal(t, err)
	if cases.JSON200 == nil || len(cases.JSON200.Cases) != 1 {
		t.Fatalf("cases: %s", cases.Body)
	}
	file, err := operator.GetCaseWithResponse(t.Context(), cases.JSON200.Cases[0].Id)
	fatal(t, err)
	papers, err := opening.ReadPapers(b.House.Root, b.House.KeysetJWS, b.House.Sign(t), issuertest.Now)
	fatal(t, err)
	parsed, err := opening.ParseCase(file.Body)
	fatal(t, err)
	fatal(t, parsed.Verify(papers))
}

func TestEveryRefusalHasItsCodeAndLosesNothing(t *testing.T) {
	b := newBranch(t, readContract(t, "issuer.yaml"))
	coins := b.withdraw(t, 8, 4, 2, 1)
	other := b.NewTill(t)
	member := b.House.Admit(t)
	bound := b.purse.PrepareBound(t, member, 8)
	struck := decode[issuerclient.Signed](t, b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(bound)), 200)
	boundCoins := bound.Finalize(t, raw(struck.Signatures))

	// draw is a withdrawal of 1 that change spoils.
	draw := func(value coin.Amount, change func(*coin.OutputJSON)) any {
		w := withdrawal(b.purse.Prepare(t, value))
		if change != nil {
			change(&w.Outputs[0])
		}
		return w
	}
	// pay is a payment of 8 with the coin of 8. offer and spend may be changed
	// before they are signed, the request afterwards.
	type edits struct {
		offer   func(*coin.Offer)
		spend   func(*coin.Spend)
		request func(*issuerclient.DepositRequest)
	}
	pay := func(e edits) any {
		offer := b.till.Offer(t, 8, e.offer)
		s := issuertest.Payment(offer, slices.Clone(coins[:1]), nil)
		if e.spend != nil {
			e.spend(&s)
		}
		r := deposit2(t, b, offer, s)
		if e.request != nil {
			e.request(&r)
		}
		return r
	}
	flip := func(text string, at int) string {
		c := []byte(text)
		if c[at] == 'A' {
			c[at] = 'B'
		} else {
			c[at] = 'A'
		}
		return string(c)
	}
	payBound := func(change func(*coin.SpendJSON)) any {
		offer := b.till.Offer(t, 8, nil)
		s, a := b.purse.AuthoriseBound(t, member, issuertest.Payment(offer, boundCoins, nil))
		r := deposit(t, offer, s, a)
		change(&r.Spend)
		return r
	}
	exchange := func(change func(*coin.Spend)) any {
		s := coin.Spend{Purpose: coin.Exchange, Bank: issuertest.BankID, Currency: issuertest.Currency,
			Coins: slices.Clone(coins[:1]), ToIssuer: b.purse.Prepare(t, 8).Outputs, IssuedAt: issuertest.Now.Unix()}
		if change != nil {
			change(&s)
		}
		spend, a := b.purse.Authorise(t, s)
		return issuerclient.ExchangeRequest{Spend: spendJSON(t, spend, a)}
	}
	const withdrawals, deposits, exchanges = "/v1/withdrawals", "/v1/deposits", "/v1/exchanges"
	modulus := base64.RawURLEncoding.EncodeToString(b.House.Key(t, coin.Bearer, 1).PublicKey.N.Bytes())
	holder, merchant := b.holderToken, b.till.Token
	tests := []struct {
		name   string
		path   string
		token  issuer.Token
		body   any
		at     time.Time
		status int
		code   Code
	}{
		{"no token", withdrawals, "", draw(1, nil), time.Time{}, 401, CodeUnauthorized},
		{"an unknown token", withdrawals, issuer.Token("spt_" + strings.Repeat("A", 43)), draw(1, nil), time.Time{}, 401, CodeUnauthorized},
		{"a merchant's withdrawal of more than he has", withdrawals, merchant, draw(1, nil), time.Time{}, 409, CodeInsufficientFunds},
		{"a holder's token for a deposit", deposits, holder, pay(edits{}), time.Time{}, 403, CodeForbidden},
		{"an unknown member", withdrawals, holder, map[string]any{"outputs": []any{}, "limit": 1}, time.Time{}, 400, CodeMalformed},
		{"an unknown member inside", withdrawals, holder, map[string]any{"outputs": []any{map[string]any{"kid": "x", "blinded": "x", "value": 1}}}, time.Time{}, 400, CodeMalformed},
		{"no outputs", withdrawals, holder, map[string]any{}, time.Time{}, 400, CodeMalformed},
		{"too many outputs", withdrawals, holder, issuerclient.WithdrawalRequest{Outputs: make([]coin.OutputJSON, 257)}, time.Time{}, 413, CodeTooLarge},
		{"an oversize body", withdrawals, holder, map[string]string{"x": strings.Repeat("x", maxWithdrawal)}, time.Time{}, 413, CodeTooLarge},
		{"an oversize exchange", exchanges, "", map[string]string{"x": strings.Repeat("x", maxExchange)}, time.Time{}, 413, CodeTooLarge},
		{"an oversize deposit", deposits, merchant, map[string]string{"x": strings.Repeat("x", maxDeposit)}, time.Time{}, 413, CodeTooLarge},
		{"a key id that is none", withdrawals, holder, draw(1, func(o *coin.OutputJSON) { o.KeyID = "AAAA" }), time.Time{}, 400, CodeMalformed},
		{"a message with padding", withdrawals, holder, draw(1, func(o *coin.OutputJSON) { o.Blinded += "==" }), time.Time{}, 400, CodeMalformed},
		{"a message of another length", withdrawals, holder, draw(1, func(o *coin.OutputJSON) { o.Blinded = o.Blinded[4:] }), time.Time{}, 400, CodeMalformed},
		{"a message of zero", withdrawals, holder, draw(1, func(o *coin.OutputJSON) { o.Blinded = strings.Repeat("A", 342) }), time.Time{}, 400, CodeMalformed},
		{"a message that is the modulus", withdrawals, holder, draw(1, func(o *coin.OutputJSON) { o.Blinded = modulus }), time.Time{}, 400, CodeMalformed},
		{"a message above the modulus", withdrawals, holder, draw(1, func(o *coin.OutputJSON) { o.Blinded = strings.Repeat("_", 341) + "w" }), time.Time{}, 400, CodeMalformed},
		{"an unknown denomination", withdrawals, holder, draw(1, func(o *coin.OutputJSON) { o.KeyID = flip(o.KeyID, 0) }), time.Time{}, 422, CodeUnknownKey},
		{"an expired key", withdrawals, holder, draw(issuertest.ValueExpired, nil), time.Time{}, 422, CodeKeyExpired},
		{"a key that expired meanwhile", withdrawals, holder, draw(1, nil), issuertest.IssueUntil, 422, CodeKeyExpired},
		{"a key that is not valid yet", withdrawals, holder, draw(issuertest.ValueNotYet, nil), time.Time{}, 422, CodeKeyNotYet},
		{"a revoked key", withdrawals, holder, draw(issuertest.ValueRevoked, nil), time.Time{}, 422, CodeKeyRevoked},
		{"more than the account holds", withdrawals, holder, withdrawal(b.purse.Prepare(t, 16, 16, 16, 16, 16)), time.Time{}, 409, CodeInsufficientFunds},

		{"another merchant's payment", deposits, other.Token, pay(edits{}), time.Time{}, 422, CodeForeignOffer},
		{"a foreign offer", deposits, merchant, pay(edits{request: func(r *issuerclient.DepositRequest) {
			o := b.till.Offer(t, 8, nil)
			r.Offer, r.PayeeSalt = o.Public, o.Private.PayeeSalt[:]
		}}), time.Time{}, 422, CodeForeignOffer},
		{"an expired offer", deposits, merchant, pay(edits{}), issuertest.Now.Add(time.Hour), 422, CodeOfferExpired},
		{"a malformed offer", deposits, merchant, pay(edits{request: func(r *issuerclient.DepositRequest) { r.Offer = []byte("{}") }}), time.Time{}, 400, CodeMalformed},
		{"a short salt", deposits, merchant, pay(edits{request: func(r *issuerclient.DepositRequest) { r.PayeeSalt = r.PayeeSalt[1:] }}), time.Time{}, 400, CodeMalformed},
		{"another acquirer", deposits, merchant, pay(edits{offer: func(o *coin.Offer) { o.Acquirer = "OTHERBANK" }}), time.Time{}, 422, CodeWrongBank},
		{"a wrong currency", deposits, merchant, pay(edits{offer: func(o *coin.Offer) { o.Currency = "USD" }}), time.Time{}, 422, CodeWrongCurrency},
		{"a wrong amount", deposits, merchant, pay(edits{spend: func(s *coin.Spend) { s.Amount = 7 }}), time.Time{}, 422, CodeWrongAmount},
		{"sums that do not agree", deposits, merchant, pay(edits{spend: func(s *coin.Spend) { s.Coins = coins[:2] }}), time.Time{}, 422, CodeWrongAmount},
		{"an unknown purpose", deposits, merchant, pay(edits{request: func(r *issuerclient.DepositRequest) { r.Spend.Purpose = "gift" }}), time.Time{}, 400, CodeMalformed},
		{"a coin that does not parse", deposits, merchant, pay(edits{request: func(r *issuerclient.DepositRequest) { r.Spend.Coins[0] = "specie1AAAA" }}), time.Time{}, 400, CodeMalformed},
		{"a flipped coin signature", deposits, merchant, pay(edits{request: func(r *issuerclient.DepositRequest) {
			r.Spend.Coins[0] = flip(r.Spend.Coins[0], len(r.Spend.Coins[0])-50)
		}}), time.Time{}, 422, CodeCoinSignature},
		{"a flipped owner signature", deposits, merchant, pay(edits{request: func(r *issuerclient.DepositRequest) { r.Spend.Bearer[0] = flip(r.Spend.Bearer[0], 9) }}), time.Time{}, 422, CodeOwnerSignature},
		{"a coin twice", deposits, merchant, pay(edits{request: func(r *issuerclient.DepositRequest) {
			r.Spend.Coins = append(r.Spend.Coins, r.Spend.Coins[0])
			r.Spend.Bearer = append(r.Spend.Bearer, r.Spend.Bearer[0])
		}}), time.Time{}, 422, CodeDuplicateCoin},
		{"coins past spend_until", deposits, merchant, pay(edits{offer: func(o *coin.Offer) { o.Expires = issuertest.SpendUntil.AddDate(1, 0, 0) }}), issuertest.SpendUntil, 422, CodeKeyExpired},
		{"a flipped presentation", deposits, merchant, payBound(func(s *coin.SpendJSON) { s.Presentation = flip(s.Presentation, 500) }), time.Time{}, 422, CodeBinding},
		{"a presentation of another epoch", deposits, merchant, payBound(func(s *coin.SpendJSON) { s.Presentation = "AAAAAAAAAAk" + s.Presentation[11:] }), time.Time{}, 422, CodeEpoch},
		{"a point that is none", deposits, merchant, payBound(func(s *coin.SpendJSON) {
			p, err := base64.RawURLEncoding.DecodeString(s.Presentation)
			fatal(t, err)
			copy(p[9:], bytes.Repeat([]byte{0xff}, 32)) // A', behind the epoch and the sign
			s.Presentation = base64.RawURLEncoding.EncodeToString(p)
		}), time.Time{}, 422, CodeBinding},

		{"an exchange for more", exchanges, "", exchange(func(s *coin.Spend) { s.ToIssuer = b.purse.Prepare(t, 16).Outputs }), time.Time{}, 422, CodeWrongAmount},
		{"an exchange in another currency", exchanges, "", exchange(func(s *coin.Spend) { s.Currency = "USD" }), time.Time{}, 422, CodeWrongCurrency},
		{"an exchange without a spend", exchanges, "", map[string]any{}, time.Time{}, 400, CodeMalformed},
	}
	before := b.Signer.Calls.Load()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !tt.at.IsZero() {
				b.Clock.Set(tt.at)
				defer b.Clock.Set(issuertest.Now)
			}
			refused(t, b.post(t, tt.path, tt.token, tt.body), tt.status, tt.code)
		})
	}
	if n := b.Signer.Calls.Load(); n != before {
		t.Errorf("the token was asked for %d signatures", n-before)
	}
	b.CheckBooks(t, 77, 0, 23)
	decode[issuerclient.Deposited](t, b.post(t, deposits, merchant, pay(edits{})), 200)
	b.CheckBooks(t, 77, 8, 15)
}

// deposit2 authorises a payment and makes the request that redeems it.
func deposit2(t *testing.T, b *branch, offer *coin.SignedOffer, s coin.Spend) issuerclient.DepositRequest {
	t.Helper()
	spend, authorisation := b.purse.Authorise(t, s)
	return deposit(t, offer, spend, authorisation)
}

func TestAPaymentAndItsVoidRefuseEachOtherWithAProof(t *testing.T) {
	b := newBranch(t, readContract(t, "issuer.yaml"))
	coins := b.withdraw(t, 8, 4)
	type request struct {
		path  string
		token issuer.Token
		body  any
		spend *coin.Spend
	}
	for i, voidFirst := range []bool{true, false} {
		mine := coins[i : i+1]
		value := []coin.Amount{8, 4}[i]
		offer := b.till.Offer(t, value, nil)
		paid, a := b.purse.Pay(t, offer, mine, nil)
		pay := request{"/v1/deposits", b.till.Token, deposit(t, offer, paid, a), paid}
		back, a := b.purse.Void(t, offer, mine, b.purse.Prepare(t, value).Outputs)
		void := request{"/v1/exchanges", "", issuerclient.ExchangeRequest{Spend: spendJSON(t, back, a)}, back}
		first, second := pay, void
		if voidFirst {
			first, second = void, pay
		}
		if a := b.post(t, first.path, first.token, first.body); a.status != 200 {
			t.Fatalf("the first: %d %s", a.status, a.body)
		}
		p := refused(t, b.post(t, second.path, second.token, second.body), 409, CodeConflict)
		if p.Op == nil || p.Conflict == nil {
			t.Fatal("no evidence")
		}
		var proof coin.ConflictProof
		fatal(t, json.Unmarshal(*p.Conflict, &proof))
		fatal(t, proof.Verify(second.spend, b.House.Keyset, nil))
	}
	b.CheckBooks(t, 88, 4, 8)
}

func TestOddLookUpsAreRefused(t *testing.T) {
	b := newBranch(t, readContract(t, "issuer.yaml"))
	id := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	tests := []struct {
		name       string
		base, path string
		token      issuer.Token
		status     int
		code       Code
	}{
		{"an operation that is not there", b.public.URL, "/v1/ops/" + id, "", 404, CodeNotFound},
		{"an operation whose id is short", b.public.URL, "/v1/ops/AAAA", "", 400, CodeMalformed},
		{"an operation whose id has stray bits", b.public.URL, "/v1/ops/" + id[:42] + "B", "", 400, CodeMalformed},
		{"a case that is not there", b.admin.URL, "/admin/v1/cases/" + id, "", 404, CodeNotFound},
		{"a statement without a token", b.public.URL, "/v1/account/entries", "", 401, CodeUnauthorized},
		{"a page that is too long", b.public.URL, "/v1/account/entries?limit=501", b.holderToken, 400, CodeMalformed},
		{"a page of no rows", b.public.URL, "/v1/account/entries?limit=0", b.holderToken, 400, CodeMalformed},
		{"a page of letters", b.public.URL, "/v1/account/entries?limit=ten", b.holderToken, 400, CodeMalformed},
		{"a cursor of nobody's", b.public.URL, "/v1/account/entries?after=nonsense", b.holderToken, 400, CodeMalformed},
		{"cases after a cursor of nobody's", b.admin.URL, "/admin/v1/cases?after=nonsense", "", 400, CodeMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			refused(t, b.send(t, http.MethodGet, tt.base+tt.path, tt.token, nil), tt.status, tt.code)
		})
	}
}

func TestOperatorsMistakesAreRefused(t *testing.T) {
	b := newBranch(t, readContract(t, "issuer.yaml"))
	operator, err := issuerclient.NewClientWithResponses(b.admin.URL)
	fatal(t, err)
	funding := issuerclient.FundingRequest{Account: b.holder.ID, Amount: 1, Reference: "wire 1"}
	done, err := operator.FundWithResponse(t.Context(), funding)
	fatal(t, err)
	if done.JSON200 == nil {
		t.Fatal(string(done.Body))
	}
	tests := []struct {
		name   string
		path   string
		body   string
		status int
		code   Code
	}{
		{"a reference used otherwise", "fundings", `{"account":"` + b.holder.ID + `","amount":2,"reference":"wire 1"}`, 409, CodeConflict},
		{"a negative amount", "fundings", `{"account":"` + b.holder.ID + `","amount":-2,"reference":"wire 2"}`, 422, CodeWrongAmount},
		{"an amount with decimals", "fundings", `{"account":"` + b.holder.ID + `","amount":2.5,"reference":"wire 2"}`, 400, CodeMalformed},
		{"an amount in words", "fundings", `{"account":"` + b.holder.ID + `","amount":"2","reference":"wire 2"}`, 400, CodeMalformed},
		{"the reserve", "fundings", `{"account":"reserve","amount":2,"reference":"wire 2"}`, 400, CodeMalformed},
		{"an account that is not there", "fundings", `{"account":"holder/AAAAAAAAAAAAAAAAAAAAAA","amount":2,"reference":"wire 2"}`, 404, CodeNotFound},
		{"an unknown kind of account", "accounts", `{"kind":"bank","name":"x"}`, 400, CodeMalformed},
		{"a merchant without an id", "accounts", `{"kind":"merchant","name":"x"}`, 400, CodeMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			refused(t, b.send(t, http.MethodPost, b.admin.URL+"/admin/v1/"+tt.path, "", []byte(tt.body)), tt.status, tt.code)
		})
	}
	b.CheckBooks(t, 101, 0, 0)
}

func TestRepeatedRequestsGetTheSameBytes(t *testing.T) {
	b := newBranch(t, readContract(t, "issuer.yaml"))
	batch := b.purse.Prepare(t, 16, 16, 16, 16, 16, 16, 4) // all of it
	requests := map[string]func() answer{}
	body := withdrawal(batch)
	requests["withdrawal"] = func() answer { return b.post(t, "/v1/withdrawals", b.holderToken, body) }
	signed := decode[issuerclient.Signed](t, requests["withdrawal"](), 200)
	coins := batch.Finalize(t, raw(signed.Signatures))
	offer := b.till.Offer(t, 18, nil)
	spend, authorisation := b.purse.Pay(t, offer, coins[:2], b.purse.Prepare(t, 8, 4, 2).Outputs)
	paid := deposit(t, offer, spend, authorisation)
	requests["deposit"] = func() answer { return b.post(t, "/v1/deposits", b.till.Token, paid) }
	spend, authorisation = b.purse.Exchange(t, coins[2:3], b.purse.Prepare(t, 8, 8).Outputs)
	exchange := issuerclient.ExchangeRequest{Spend: spendJSON(t, spend, authorisation)}
	requests["exchange"] = func() answer { return b.post(t, "/v1/exchanges", "", exchange) }

	first := map[string]answer{}
	for name, ask := range requests {
		first[name] = ask()
	}
	again := func(when string) {
		for name, ask := range requests {
			if got := ask(); got.status != 200 || !bytes.Equal(got.body, first[name].body) {
				t.Errorf("%s, %s: %d %s, first %s", name, when, got.status, got.body, first[name].body)
			}
		}
	}
	again("with nothing left on the account")
	b.Clock.Set(issuertest.IssueUntil)
	again("when the keys issue no more")
	b.Clock.Set(issuertest.SpendUntil.AddDate(0, 0, 1))
	again("when the coins are not spendable any more")
	reopened, err := issuer.New(t.Context(), b.Config)
	fatal(t, err)
	b.public.Config.Handler = b.contract.watch(t, NewIssuer(reopened, IssuerOptions{}).Public)
	again("after a restart")
}

func TestWhenTheTokenFailsTheAnswerIsUnavailableAndARetryCompletes(t *testing.T) {
	b := newBranch(t, readContract(t, "issuer.yaml"))
	batch := b.purse.Prepare(t, 4, 2, 1)
	b.Signer.FailNext.Store(3)
	a := b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(batch))
	refused(t, a, 503, CodeUnavailable)
	if a.header.Get("Retry-After") == "" || strings.Contains(string(a.body), issuertest.ErrInjected.Error()) {
		t.Errorf("headers %v, body %s", a.header, a.body)
	}
	b.Signer.FailNext.Store(0)
	signed := decode[issuerclient.Signed](t, b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(batch)), 200)
	batch.Finalize(t, raw(signed.Signatures))
	b.CheckBooks(t, 93, 0, 7)
}

func TestAmongAHundredDoubleSpendsOverHTTPOneWins(t *testing.T) {
	b := newBranch(t, readContract(t, "issuer.yaml"))
	coins := b.withdraw(t, 8)
	const n = 100
	bodies := make([]issuerclient.DepositRequest, n)
	spends := make([]*coin.Spend, n)
	for i := range bodies {
		offer := b.till.Offer(t, 8, nil)
		spend, authorisation := b.purse.Pay(t, offer, coins, nil)
		bodies[i], spends[i] = deposit(t, offer, spend, authorisation), spend
	}
	answers := make([]answer, n)
	var wait sync.WaitGroup
	for i := range bodies {
		wait.Go(func() { answers[i] = b.post(t, "/v1/deposits", b.till.Token, bodies[i]) })
	}
	wait.Wait()
	won := 0
	for i, a := range answers {
		if a.status == 200 {
			won++
			continue
		}
		p := refused(t, a, 409, CodeDoubleSpend)
		var proof coin.ConflictProof
		fatal(t, json.Unmarshal(*p.Conflict, &proof))
		fatal(t, proof.Verify(spends[i], b.House.Keyset, nil))
	}
	if won != 1 {
		t.Errorf("%d deposits of one coin went through", won)
	}
	b.CheckBooks(t, 92, 8, 0)
}
