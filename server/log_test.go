package server

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
)

// journal is a log that can be read while it is written.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// secrets are what no log may hold, by what it is.
type secrets map[string]string

// bytes adds bytes in the ways in which they might be written, the beginnings
// of them too: eight bytes name a coin as well as thirty-two.
func (s secrets) bytes(what string, b []byte) {
	s[what+", hex"] = hex.EncodeToString(b[:8])
	s[what+", base64url"] = base64.RawURLEncoding.EncodeToString(b)[:10]
}

func (s secrets) coins(t *testing.T, what string, coins []coin.Coin) {
	t.Helper()
	for i := range coins {
		id := coins[i].ID()
		s.bytes(what+"'s id", id[:])
		s.bytes(what+"'s owner", coins[i].Owner)
		s.bytes(what+"'s signature", coins[i].Signature)
		text, err := coins[i].Text()
		fatal(t, err)
		s[what+"'s text"] = text[60:90]
	}
}

func (s secrets) outputs(what string, outputs []coin.Output) {
	for i := range outputs {
		s.bytes(what, outputs[i].Blinded)
	}
}

// TestTheLogOfAWholeRunNamesNobodyAndNoCoin: everything that can be done is
// done and refused, at the finest level of logging.
func TestTheLogOfAWholeRunNamesNobodyAndNoCoin(t *testing.T) {
	var log journal
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	bank := issuertest.NewHouse(t).NewBank(t, func(c *issuer.Config) { c.Logger = logger })
	b := openBranch(t, readContract(t, "issuer.yaml"), bank)
	h := NewIssuer(bank.Bank, IssuerOptions{Root: bank.House.Root, Logger: logger})
	t.Cleanup(h.Stop)
	b.public.Config.Handler, b.admin.Config.Handler = b.contract.watch(t, h.Public), b.contract.watch(t, h.Admin)
	never := secrets{"the holder's token": string(b.holderToken), "the merchant's token": string(b.till.Token), "the test's name": t.Name()}
	operator, err := issuerclient.NewClientWithResponses(b.admin.URL)
	fatal(t, err)
	opened, err := operator.CreateAccountWithResponse(t.Context(), issuerclient.AccountRequest{Kind: "holder", Name: "Ada Lovelace"})
	fatal(t, err)
	never["a new token"], never["a name"] = opened.JSON201.Token, "Lovelace"
	_, err = operator.FundWithResponse(t.Context(), issuerclient.FundingRequest{Account: opened.JSON201.Account.Id, Amount: 5, Reference: "from Lord Byron"})
	fatal(t, err)
	never["a reference"] = "Byron"

	batch := b.purse.Prepare(t, 8, 4, 2)
	never.outputs("a blinded message", batch.Outputs)
	b.Signer.FailNext.Store(1)
	refused(t, b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(batch)), 503, CodeUnavailable)
	signed := decode[issuerclient.Signed](t, b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(batch)), 200)
	coins := batch.Finalize(t, raw(signed.Signatures))
	never.coins(t, "a coin", coins)
	never.bytes("a blind signature", signed.Signatures[0])

	change := b.purse.Prepare(t, 2)
	never.outputs("change", change.Outputs)
	offer := b.till.Offer(t, 6, nil)
	never.bytes("an offer's digest", offer.Digest[:])
	never.bytes("a payee's salt", offer.Private.PayeeSalt[:])
	never["a merchant's id"] = coin.MerchantID(b.till.Key.Public().(ed25519.PublicKey))
	s, a := b.purse.Pay(t, offer, coins[:1], change.Outputs)
	never.bytes("an owner's consent", a.Bearer[0])
	bad := &coin.Authorisation{Bearer: [][]byte{make([]byte, 64)}}
	refused(t, b.post(t, "/v1/deposits", b.till.Token, deposit(t, offer, s, bad)), 422, CodeOwnerSignature)
	decode[issuerclient.Deposited](t, b.post(t, "/v1/deposits", b.till.Token, deposit(t, offer, s, a)), 200)
	again := b.till.Offer(t, 8, nil)
	s, a = b.purse.Pay(t, again, coins[:1], nil)
	refused(t, b.post(t, "/v1/deposits", b.till.Token, deposit(t, again, s, a)), http.StatusConflict, CodeDoubleSpend)
	anew := b.purse.Prepare(t, 4)
	never.outputs("an exchange's output", anew.Outputs)
	s, a = b.purse.Exchange(t, coins[1:2], anew.Outputs)
	decode[issuerclient.Signed](t, b.post(t, "/v1/exchanges", "", issuerclient.ExchangeRequest{Spend: spendJSON(t, s, a)}), 200)
	// What strangers send stands in no log either.
	b.send(t, http.MethodPost, b.public.URL+"/v1/deposits?name=Lovelace", b.till.Token, []byte(`{"name":"Lovelace"}`))
	b.send(t, http.MethodGet, b.public.URL+"/v1/ops/"+base64.RawURLEncoding.EncodeToString(coins[2].Owner), "", nil)
	b.send(t, http.MethodGet, b.public.URL+"/Lovelace", issuer.Token(opened.JSON201.Token), nil)
	b.send(t, http.MethodGet, b.public.URL+"/v1/account", "spt_nobodys-token-of-any-account-at-all", nil)
	never["a token that is nobody's"] = "nobodys-token"
	fatal(t, b.Suspend(t.Context(), b.till.Account.ID, "Lovelace complained"))
	auditNow(t, operator)

	text := log.text()
	if strings.Count(text, "\n") < 15 || !strings.Contains(text, `"route":"POST /v1/deposits"`) || !strings.Contains(text, `"request":"`) {
		t.Fatalf("the log is not one of a run:\n%s", text)
	}
	for what, secret := range never {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in the log: …%s…", what, around(text, secret))
		}
	}
}

func around(text, secret string) string {
	i := strings.Index(text, secret)
	return text[max(0, i-120):min(len(text), i+len(secret)+40)]
}
