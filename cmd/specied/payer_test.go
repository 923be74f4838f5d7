package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
)

// A payer draws bearer coins and pays with them, as often as he likes.
type payer struct {
	h     *house
	seed  coin.Seed
	made  uint64
	token string // of the account
}

func (h *house) newPayer(name, amount string) *payer {
	h.t.Helper()
	p := &payer{h: h, token: h.account(name, amount)}
	must(rand.Read(p.seed[:]))(h.t)
	return p
}

// owned is a coin with its owner's key.
type owned struct {
	coin.Coin
	key ed25519.PrivateKey
}

// plan makes a coin that is not signed yet.
func (p *payer) plan(d *coin.Denomination) (*coin.Planchet, ed25519.PrivateKey) {
	t := p.h.t
	t.Helper()
	p.made++
	key := must(coin.OwnerKey(p.seed, bankID, d.KeyID, p.made))(t)
	return must(coin.NewPlanchet(p.seed, bankID, d, p.made, coin.Owner(key.Public().(ed25519.PublicKey))))(t), key
}

// draw withdraws a coin.
func (p *payer) draw(d *coin.Denomination) owned {
	t := p.h.t
	t.Helper()
	planchet, key := p.plan(d)
	body := must(json.Marshal(issuerclient.WithdrawalRequest{Outputs: coin.NewOutputsJSON([]coin.Output{planchet.Output()})}))(t)
	status, answer, _ := postAs(t.Context(), "http://"+p.h.issuer+"/v1/withdrawals", p.token, body)
	if status != http.StatusOK {
		t.Fatalf("withdrawal: %d %s", status, answer)
	}
	var signed issuerclient.Signed
	unmarshal(t, answer, &signed)
	return owned{*must(planchet.Finalize(signed.Signatures[0]))(t), key}
}

// A payee is a merchant's key with an account.
type payee struct {
	key   ed25519.PrivateKey
	token string
}

func (h *house) newPayee(name string) *payee {
	h.t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	check(h.t, err)
	h.write(name+".jws", must(coin.SignMerchantRequest(bankID, key))(h.t))
	h.run("account", "--socket", "issuer.sock", "--kind", "merchant", "--name", name, "--merchant-request", name+".jws", "--token-out", name+".token")
	return &payee{key, strings.TrimSpace(string(must(os.ReadFile(h.path(name + ".token")))(h.t)))}
}

// request is a payment of a coin to a new offer, as the payee deposits it.
func (p *payee) request(t testing.TB, c *owned, value coin.Amount) issuerclient.DepositRequest {
	t.Helper()
	offer := must(coin.NewOffer(coin.Offer{
		Mode: coin.Online, Till: "1", Acquirer: bankID, Amount: value, Currency: "XTS",
		Expires: now().Add(time.Hour), Kinds: []coin.Kind{coin.Bearer},
	}, coin.PrivateOffer{Name: "Payee"}, p.key))(t)
	spend := must(coin.NewSpend(coin.Spend{
		Purpose: coin.Pay, Bank: bankID, OfferDigest: offer.Digest, Amount: value, Currency: "XTS",
		Coins: []coin.Coin{c.Coin}, IssuedAt: now().Unix(),
	}))(t)
	bearer := must(spend.SignBearer(func(*coin.Coin) (ed25519.PrivateKey, error) { return c.key, nil }))(t)
	j := must(coin.NewSpendJSON(spend, &coin.Authorisation{Bearer: bearer}))(t)
	return issuerclient.DepositRequest{Offer: offer.Public, PayeeSalt: offer.Private.PayeeSalt[:], Spend: *j}
}

func (p *payee) payment(t testing.TB, c *owned, value coin.Amount) []byte {
	t.Helper()
	return must(json.Marshal(p.request(t, c, value)))(t)
}

// holdOf asks for a hold of a payment's coins: all of it but its authorisation.
func holdOf(t testing.TB, payment []byte) []byte {
	t.Helper()
	return editSpend(t, payment, func(spend map[string]any) { delete(spend, "bearer") })
}

// editSpend changes the spend of a payment.
func editSpend(t testing.TB, payment []byte, change func(spend map[string]any)) []byte {
	t.Helper()
	var body map[string]any
	unmarshal(t, string(payment), &body)
	change(body["spend"].(map[string]any))
	return must(json.Marshal(body))(t)
}

// deposit sends a payment to an address; the code is a refusal's.
func (p *payee) deposit(ctx context.Context, address string, payment []byte) (status int, code string, err error) {
	status, answer, err := postAs(ctx, "http://"+address+"/v1/deposits", p.token, payment)
	return status, codeOf(answer), err
}

func codeOf(answer string) string {
	var problem struct {
		Code string `json:"code"`
	}
	if json.Unmarshal([]byte(answer), &problem) != nil {
		return "not JSON"
	}
	return problem.Code
}

// crowd is enough connections for everybody.
var crowd = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}, Timeout: time.Minute}

// postAs posts JSON under a token.
func postAs(ctx context.Context, url, token string, body []byte) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := crowd.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
		err = fmt.Errorf("503 without Retry-After: %s", answer)
	}
	return resp.StatusCode, string(answer), err
}
