package wallet_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// toTill is a payment of 5 with a coin of 16 whose till answers as the test
// says.
func toTill(t testing.TB) (alice *wallettest.Holder, p *wallet.Payment, answer func(status int, contentType string, body []byte)) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 16, coin.Bearer)
	p, err := alice.PreparePayment(t.Context(), shop.Ask(t, 5))
	must(t, err)
	return alice, p, func(status int, contentType string, body []byte) {
		shop.Gate.Instead("/pay", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = w.Write(body)
		})
	}
}

// honest is what a till answers to an accepted payment of somebody else, and
// to a coin that was spent.
func honest(t testing.TB) (paid, refused []byte) {
	town := wallettest.New(t)
	shop, bob := town.NewShop(t), town.NewHolder(t, 100)
	bob.Draw(t, 16, coin.Bearer)
	copied := bob.Copy(t)
	p, err := bob.Pay(t.Context(), shop.Ask(t, 5))
	must(t, err)
	paid, err = json.Marshal(client.TillAnswer{Receipt: p.Receipt, BankReceipt: p.BankReceipt})
	must(t, err)
	_, err = copied.Pay(t.Context(), shop.Ask(t, 5))
	var problem *client.Problem
	if !errorsAs(err, &problem) {
		t.Fatal(err)
	}
	refused, err = json.Marshal(map[string]any{"code": "double-spend", "detail": "spent", "conflict": problem.Conflict})
	must(t, err)
	return paid, refused
}

// The targets below play against whole servers, whose coverage differs from
// run to run: fuzz them with -fuzzminimizetime 3x.

// FuzzTillAnswer: whatever a till answers, no coin moves but by papers that
// only merchant and bank, or the payer himself, can have signed.
func FuzzTillAnswer(f *testing.F) {
	paid, refused := honest(f)
	f.Add(200, "application/json", paid)
	f.Add(200, "application/json", []byte(strings.Replace(string(paid), `"change":null`, `"change":["AAAA"]`, 1)))
	f.Add(409, "application/problem+json", refused)
	f.Add(409, "application/problem+json", []byte(`{"code":"double-spend","conflict":{"v":1,"coin":"","spend":{}}}`))
	f.Add(422, "application/problem+json", []byte(`{"code":"coin-signature","detail":"\u001b[2J"}`))
	f.Add(503, "application/problem+json", []byte(`{"code":"unavailable"}`))
	f.Add(301, "text/html", []byte(`<a href="/">`))
	alice, p, answer := toTill(f)
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		if status < 200 || status > 599 || strings.ContainsAny(contentType, "\r\n") {
			return
		}
		answer(status, contentType, body)
		err := alice.Submit(t.Context(), p)
		if !errorsIs(err, wallet.ErrOpen) && !errorsIs(err, wallet.ErrPromised) {
			t.Fatalf("got %v", err)
		}
		worth(t, alice, 0, 16)
	})
}

// FuzzBankAnswer: whatever a bank answers, no coin gets into the purse that it
// did not sign, and none leaves it.
func FuzzBankAnswer(f *testing.F) {
	f.Add(200, "application/json", []byte(`{"op":"AAAA","signatures":["AAAA","AAAA"]}`))
	f.Add(200, "application/json", []byte(`{"op":"AAAA","signatures":[]}`))
	f.Add(200, "application/json", []byte(`{"op":"AAAA","kind":"deposit","state":"done","outputs":[],"signatures":[],"receipt":"a.b.c"}`))
	f.Add(202, "application/json", []byte(`{"op":"AAAA","state":"pending"}`))
	f.Add(409, "application/problem+json", []byte(`{"code":"insufficient-funds"}`))
	f.Add(409, "application/problem+json", []byte(`{"code":"double-spend","conflict":{}}`))
	f.Add(500, "text/plain", []byte(`oops`))
	town := wallettest.New(f)
	alice := town.NewHolder(f, 100)
	alice.Draw(f, 24, coin.Bearer)
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		if status < 200 || status > 599 || strings.ContainsAny(contentType, "\r\n") {
			return
		}
		paths := []string{"/v1/withdrawals", "/v1/exchanges"}
		for _, path := range paths {
			town.BankGate.Instead(path, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", contentType)
				w.WriteHeader(status)
				_, _ = w.Write(body)
			})
		}
		if _, err := alice.Withdraw(t.Context(), 3, coin.Bearer, wallet.Steps{}); err == nil {
			t.Fatal("withdrew")
		}
		if _, err := alice.Exchange(t.Context(), coin.Bearer); err == nil {
			t.Fatal("exchanged")
		}
		if fresh, committed := alice.Worth(t); fresh+committed != 24 {
			t.Fatalf("%d and %d promised", fresh, committed)
		}
		// The bank comes to its senses.
		for _, path := range paths {
			town.BankGate.Instead(path, nil)
		}
		before := town.Balance(t, alice.Account)
		_, err := alice.Resume(t.Context())
		must(t, err)
		fresh, committed := alice.Worth(t)
		if drawn := before - town.Balance(t, alice.Account); fresh+committed != 24+drawn {
			t.Fatalf("%d and %d promised, %d drawn", fresh, committed, drawn)
		}
		if fresh > 24 { // keep the purse as it was
			shop := town.NewShop(t)
			_, err := alice.Pay(t.Context(), shop.Ask(t, fresh-24))
			must(t, err)
			town.Fund(t, alice.Account, fresh-24)
		}
	})
}
