package merchant_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/wallet/wallettest"
)

// post sends a body to a till and reads the answer.
func post(t testing.TB, url string, body []byte) (*http.Response, map[string]any) {
	t.Helper()
	resp, err := http.Post(url, "application/json", bytes.NewReader(body))
	must(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(t, err)
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return resp, m
}

func TestTheTillOverHTTP(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	_, spend := payment(t, town, shop)
	for _, c := range []struct {
		name   string
		body   []byte
		before func()
		status int
		code   string
	}{
		{"no spend", []byte("hello"), nil, 400, "malformed"},
		{"too much", bytes.Repeat([]byte("a"), coin.MaxSpendJSON+1), nil, 413, "too-large"},
		{"a flipped coin", edit(t, spend, func(m map[string]any) {
			coins := m["coins"].([]any)
			text := coins[0].(string)
			coins[0] = text[:len(text)-9] + flip(text[len(text)-9:])
		}), nil, 422, "coin-signature"},
		{"the bank can't be reached", spend, func() { town.BankGate.Shut(true) }, 503, "unavailable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.before != nil {
				c.before()
			}
			resp, m := post(t, shop.URL, c.body)
			if resp.StatusCode != c.status || m["code"] != c.code || m["status"] != float64(c.status) {
				t.Fatalf("%d %v", resp.StatusCode, m)
			}
			if m["type"] != "urn:specie:problem:"+c.code || resp.Header.Get("Content-Type") != "application/problem+json" || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%v %v", resp.Header, m)
			}
			if c.code != "unavailable" {
				return
			}
			if resp.Header.Get("Retry-After") == "" || strings.Contains(m["detail"].(string), "127.0.0.1") {
				t.Errorf("the payer is told %q", m["detail"])
			}
		})
	}
	town.BankGate.Shut(false)
	t.Run("a good payment", func(t *testing.T) {
		resp, m := post(t, shop.URL, spend)
		if resp.StatusCode != 200 || m["receipt"] == "" || len(m["change"].([]any)) == 0 || resp.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v", resp.StatusCode, m)
		}
	})
	t.Run("nothing but that", func(t *testing.T) {
		for _, path := range []string{"/pay", "/", "/pay/"} {
			resp, err := http.Get(strings.TrimSuffix(shop.URL, "/pay") + path)
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode < 400 {
				t.Errorf("GET %s: %d", path, resp.StatusCode)
			}
		}
	})
}

// FuzzPayment: whatever is posted, the till answers with a problem, and no
// payment is recorded but a good one.
func FuzzPayment(f *testing.F) {
	town := wallettest.New(f)
	shop := town.NewShop(f)
	_, spend := payment(f, town, shop)
	f.Add(edit(f, spend, func(m map[string]any) { m["amount"] = 6 }))
	f.Add(edit(f, spend, func(m map[string]any) { m["bearer"] = []string{} }))
	f.Add(edit(f, spend, func(m map[string]any) { m["to_issuer"] = []any{} }))
	f.Add(edit(f, spend, func(m map[string]any) { m["group"] = m["offer"] }))
	f.Add([]byte(`{"v":1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, _, err := coin.DecodeSpend(body)
		_, aerr := shop.Accept(t.Context(), body)
		if err != nil && aerr == nil {
			t.Fatal("accepted what does not decode")
		}
		if aerr == nil && s.Amount != 5 {
			t.Fatal("accepted another amount")
		}
		if aerr != nil {
			refusedAnyhow(t, aerr)
		}
	})
}

// FuzzDepositAnswer: whatever the bank answers, a payment is deposited with
// its receipt only.
func FuzzDepositAnswer(f *testing.F) {
	f.Add(200, "application/json", []byte(`{"op":"AAAA","signatures":[],"receipt":"a.b.c"}`))
	f.Add(200, "application/json", []byte(`{"signatures":["AAAA","AAAA"],"receipt":""}`))
	f.Add(409, "application/problem+json", []byte(`{"code":"double-spend","conflict":{"v":1}}`))
	f.Add(409, "application/problem+json", []byte(`{"code":"conflict"}`))
	f.Add(500, "application/problem+json", []byte(`{"code":"internal"}`))
	f.Add(202, "application/json", []byte(`{}`))
	town := wallettest.New(f)
	shop := town.NewShop(f)
	_, spend := payment(f, town, shop)
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		if status < 200 || status > 599 || strings.ContainsAny(contentType, "\r\n") {
			return
		}
		answerWith(&town.BankGate, "/v1/deposits", status, contentType, string(body))
		_, err := shop.Accept(t.Context(), spend)
		if err == nil {
			t.Fatal("deposited")
		}
		refusedAnyhow(t, err)
		holds(t, town, shop.Account, 0)
	})
}

// refusedAnyhow fails unless err is a refusal that a payer can be told.
func refusedAnyhow(t *testing.T, err error) {
	t.Helper()
	var r *merchant.Refusal
	if !errors.As(err, &r) || r.Code == "" {
		t.Fatalf("got %v", err)
	}
}
