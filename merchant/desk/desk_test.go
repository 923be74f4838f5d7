package desk_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/api/apitest"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/evidence"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/merchant/desk"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/wallet/wallettest"
)

// refundID is the nth id of a refund.
func refundID(n byte) string {
	return base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{n}, merchant.RefundIDSize))
}

func TestASaleAtTheDesk(t *testing.T) {
	town := wallettest.New(t)
	c := open(t, town, town.NewShop(t)).login(t)
	alice := town.NewHolder(t, 64)
	alice.Enrol(t, registrationtest.TPMA)
	alice.Draw(t, 32, coin.Bound)

	events := c.listen(t, "")
	first := <-events
	if status, m := c.ask(t, "GET", "/desk/v1/till", nil); status != 200 || m["name"] != "Café Central" || m["offline"].(map[string]any)["on"] != false {
		t.Errorf("%d %v", status, m)
	}
	if first.name != "till" || first.data["currency"] != town.Keyset.Currency || first.data["bank_reachable"] != true {
		t.Fatalf("%+v", first)
	}
	status, sale := c.ask(t, "POST", "/desk/v1/sales", map[string]any{"amount": 9, "order": "=T-1", "purpose": "coffee"})
	if status != 201 || sale["state"] != "waiting" || stepsOf(sale) != "waiting" {
		t.Fatalf("%d %v", status, sale)
	}
	id := sale["id"].(string)
	at := "/desk/v1/sales/" + id
	if status, svg := c.raw(t, "GET", at+"/qr.svg", nil); status != 200 || !strings.Contains(string(svg), "<svg") {
		t.Fatalf("%d %.100s", status, svg)
	}
	if status, m := c.ask(t, "GET", at+"/qr.svg?part=2", nil); status != 404 {
		t.Errorf("a part that is not there: %d %v", status, m)
	}
	t.Run("its steps come as they are made", func(t *testing.T) {
		p, err := alice.PreparePayment(t.Context(), sale["link"].(string))
		must(t, err)
		_, err = alice.Show(t.Context(), p)
		must(t, err)
		if e := until(t, events, id, "held"); e.data["state"] != "held" || e.data["bound"] != 0.0 {
			t.Errorf("%v", e.data)
		}
		must(t, alice.Submit(t.Context(), p))
		e := until(t, events, id, "deposited")
		if got := stepsOf(e.data); got != "waiting coins-checked held binding-verified depositing deposited" {
			t.Errorf("steps %s", got)
		}
		if e.data["bound"].(float64) < 1 || e.data["coins"] != e.data["bound"] || e.data["refundable"] != 9.0 || e.data["link"] != nil {
			t.Errorf("%v", e.data)
		}
		again := c.listen(t, first.id)
		if e := until(t, again, id, "deposited"); e.id == first.id {
			t.Errorf("a stream that goes on after %s begins with %s", first.id, e.id)
		}
	})
	t.Run("the receipt is papers that prove it", func(t *testing.T) {
		status, raw := c.raw(t, "GET", at+"/receipt", nil)
		f, err := evidence.Parse(raw)
		must(t, err)
		root, err := trust.ParseRoot(town.RootPEM)
		must(t, err)
		if report := evidence.Verify(f, root, nil); status != 200 || report.Failed() {
			t.Errorf("%d %+v", status, report)
		}
	})
	t.Run("a refund", func(t *testing.T) {
		for name, body := range map[string]any{"nothing": nil, "no id": map[string]any{"amount": 4}, "a short id": map[string]any{"id": refundID(2)[:20], "amount": 4}} {
			if status, m := c.ask(t, "POST", at+"/refunds", body); status != 400 || m["code"] != "malformed" {
				t.Errorf("%s: %d %v", name, status, m)
			}
		}
		if status, m := c.ask(t, "POST", at+"/refunds", map[string]any{"id": refundID(1), "amount": 10}); status != 409 || m["code"] != "refund-exceeds" {
			t.Fatalf("%d %v", status, m)
		}
		for range 2 { // the first answer may be lost
			status, m := c.ask(t, "POST", at+"/refunds", map[string]any{"id": refundID(2), "amount": 4})
			if status != 201 || m["amount"] != 4.0 || m["id"] != refundID(2) || m["state"] != "offered" {
				t.Fatalf("%d %v", status, m)
			}
		}
		if status, m := c.ask(t, "POST", at+"/refunds", map[string]any{"id": refundID(2), "amount": 3}); status != 409 || m["code"] != "refund-id" {
			t.Errorf("an id for another amount: %d %v", status, m)
		}
		if _, s := c.ask(t, "GET", at, nil); s["refund_waiting"] != 4.0 || s["refundable"] != 5.0 {
			t.Errorf("%v", s)
		}
		if status, m := c.ask(t, "DELETE", at+"/refunds", nil); status != 200 || len(m["cancelled"].([]any)) != 1 {
			t.Errorf("%d %v", status, m)
		}
		if status, m := c.ask(t, "POST", at+"/refunds", map[string]any{"id": refundID(3)}); status != 201 || m["amount"] != 9.0 {
			t.Fatalf("all that is left: %d %v", status, m)
		}
		ops, err := alice.History(t.Context())
		must(t, err)
		_, err = alice.Refund(t.Context(), ops[0].ID)
		must(t, err)
		if status, m := c.ask(t, "POST", at+"/refunds", map[string]any{"id": refundID(3)}); status != 201 || m["state"] != "done" {
			t.Errorf("repeated when it was collected: %d %v", status, m)
		}
		if _, s := c.ask(t, "GET", at, nil); s["refunded"] != 9.0 || s["refundable"] != 0.0 || s["state"] != "deposited" {
			t.Errorf("%v", s)
		}
	})
	t.Run("what is not paid can be taken back, and what is can't", func(t *testing.T) {
		_, other := c.ask(t, "POST", "/desk/v1/sales", map[string]any{"amount": 2})
		path := "/desk/v1/sales/" + other["id"].(string)
		if status, m := c.ask(t, "DELETE", path, nil); status != 204 {
			t.Fatalf("%d %v", status, m)
		}
		if _, s := c.ask(t, "GET", path, nil); s["state"] != "cancelled" || stepsOf(s) != "waiting cancelled" || s["link"] != nil {
			t.Errorf("%v", s)
		}
		_, err := alice.Pay(t.Context(), other["link"].(string))
		want(t, err, "offer-expired")
		for path, code := range map[string]string{path + "/qr.svg": "not-open", path + "/receipt": "not-deposited", "/desk/v1/sales/" + strings.Repeat("A", 43): "not-found"} {
			if status, m := c.ask(t, "GET", path, nil); status < 404 || m["code"] != code {
				t.Errorf("%s: %d %v", path, status, m)
			}
		}
		if status, m := c.ask(t, "DELETE", at, nil); status != 409 || m["code"] != "paid" {
			t.Errorf("%d %v", status, m)
		}
	})
	t.Run("the day", func(t *testing.T) {
		_, day := c.ask(t, "GET", "/desk/v1/sales", nil)
		totals := day["totals"].(map[string]any)
		if len(day["sales"].([]any)) != 2 || totals["count"] != 1.0 || totals["amount"] != 9.0 || totals["refunded"] != 9.0 {
			t.Errorf("%v", day)
		}
		if _, old := c.ask(t, "GET", "/desk/v1/sales?day=2020-02-29", nil); len(old["sales"].([]any)) != 0 {
			t.Errorf("%v", old)
		}
		if status, m := c.ask(t, "GET", "/desk/v1/sales?day=yesterday", nil); status != 400 {
			t.Errorf("%d %v", status, m)
		}
		_, raw := c.raw(t, "GET", "/desk/v1/sales.csv", nil)
		rows, err := csv.NewReader(strings.NewReader(string(raw))).ReadAll()
		must(t, err)
		if len(rows) != 3 || !slices.ContainsFunc(rows, func(r []string) bool { return r[2] == "'=T-1" && r[4] == "0.09" }) {
			t.Errorf("%q", rows)
		}
	})
	if status, m := c.ask(t, "POST", "/desk/v1/deposits", nil); status != 200 || len(m["deposits"].([]any)) != 0 {
		t.Errorf("nothing was kept: %d %v", status, m)
	}
	if status, _ := c.raw(t, "GET", "/", nil); status != 200 {
		t.Errorf("the page: %d", status)
	}
	if status, m := c.ask(t, "DELETE", "/desk/v1/session", nil); status != 204 {
		t.Errorf("%d %v", status, m)
	}
	if status, _ := c.ask(t, "GET", "/desk/v1/till", nil); status != 401 {
		t.Errorf("after leaving: %d", status)
	}
	missing, err := apitest.Uncovered(apitest.Desk)
	must(t, err)
	if !slices.Equal(missing, []string{"GET /desk/v1/events"}) {
		t.Errorf("routes that no test has seen to succeed: %v", missing)
	}
}

// want fails unless an error speaks of that.
func want(t testing.TB, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %s", err, text)
	}
}

func TestWhoMayAsk(t *testing.T) {
	town := wallettest.New(t)
	c := open(t, town, town.NewShop(t))
	key, err := c.NewDeskKey(t.Context(), "webshop")
	must(t, err)
	old, err := c.NewDeskKey(t.Context(), "old")
	must(t, err)
	must(t, c.RevokeDeskKey(t.Context(), "old"))
	bearer := func(k string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+k) }
	}
	site := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	if _, err := c.NewDeskKey(t.Context(), "webshop"); !errors.Is(err, merchant.ErrKeyName) {
		t.Errorf("a second key of one name: %v", err)
	}
	for _, x := range []struct {
		name   string
		login  bool
		with   func(*http.Request)
		status int
	}{
		{"nobody", false, site("X-Nothing", "1"), 401},
		{"a program with a key", false, bearer(key), 201},
		{"with a revoked key", false, bearer(old), 401},
		{"with a guess", false, bearer(key[:len(key)-1]), 401},
		{"the page", true, site("Sec-Fetch-Site", "same-origin"), 201},
		{"another site", true, site("Sec-Fetch-Site", "cross-site"), 403},
		{"another port of this machine", true, site("Sec-Fetch-Site", "same-site"), 403},
		{"an old browser from the page", true, site("Origin", c.url), 201},
		{"an old browser from elsewhere", true, site("Origin", "http://evil.example"), 403},
		{"something with the cookie that says nothing", true, site("X-Nothing", "1"), 403},
		{"under another name", true, func(r *http.Request) { r.Host = "evil.example"; r.Header.Set("Sec-Fetch-Site", "same-origin") }, 421},
	} {
		t.Run(x.name, func(t *testing.T) {
			c.browser.Jar = nil
			if x.login {
				c.browser = open2(t, c)
			}
			resp := c.send(t, "POST", "/desk/v1/sales", map[string]any{"amount": 1}, x.with)
			must(t, resp.Body.Close())
			if resp.StatusCode != x.status {
				t.Errorf("%d, want %d", resp.StatusCode, x.status)
			}
			if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") {
				t.Errorf("policy %q", csp)
			}
		})
	}
	if status, m := c.ask(t, "POST", "/desk/v1/session", map[string]any{"code": "0000-0000-0000"}); status != 403 || m["code"] != "wrong-code" {
		t.Errorf("a wrong code: %d %v", status, m)
	}
	resp := c.send(t, "POST", "/desk/v1/session", map[string]any{"code": c.code}, site("Origin", "http://evil.example"))
	must(t, resp.Body.Close())
	if resp.StatusCode != 403 {
		t.Errorf("another site logs a browser in: %d", resp.StatusCode)
	}
}

func TestWhatTheDeskIsSent(t *testing.T) {
	town := wallettest.New(t)
	c := open(t, town, town.NewShop(t)).login(t)
	for _, x := range []struct {
		name   string
		body   map[string]any
		status int
		code   string
	}{
		{"an unknown member", map[string]any{"amount": 1, "price": 2}, 400, "malformed"},
		{"nothing to pay", map[string]any{"amount": 0}, 422, ""},
		{"less than nothing", map[string]any{"amount": -5}, 422, ""},
		{"more than an amount can be", map[string]any{"amount": 1 << 60}, 422, ""},
		{"an offer for a year", map[string]any{"amount": 1, "valid_seconds": 31536000}, 422, "offer"},
		{"a kind that is not known", map[string]any{"amount": 1, "kinds": []string{"gold"}}, 422, "offer"},
		{"an order of a book's length", map[string]any{"amount": 1, "order": strings.Repeat("a", 20000)}, 413, "too-large"},
	} {
		t.Run(x.name, func(t *testing.T) {
			status, m := c.ask(t, "POST", "/desk/v1/sales", x.body)
			if status != x.status || (x.code != "" && m["code"] != x.code) {
				t.Errorf("%d %v", status, m)
			}
		})
	}
	day, err := c.Sales(t.Context(), town.Now().Add(-time.Hour), town.Now().Add(time.Hour))
	must(t, err)
	if len(day) != 0 {
		t.Errorf("%d sales were made of that", len(day))
	}
}

func TestRefusedAttemptsAreSeenAndTheOfferStaysOpen(t *testing.T) {
	town := wallettest.New(t)
	c := open(t, town, town.NewShop(t)).login(t)
	crook := town.NewCrook(t, -1)
	coins := crook.Draw(t, coin.Bearer, 4)
	first, _ := c.Offer(t, merchant.OfferRequest{Amount: 4})
	_, err := c.Accept(t.Context(), crook.Authorise(t, crook.Payment(first, coins...), nil))
	must(t, err)
	second, _ := c.Offer(t, merchant.OfferRequest{Amount: 4})
	spend := crook.Authorise(t, crook.Payment(second, coins...), nil)
	for range 3 {
		if _, err := c.Accept(t.Context(), spend); err == nil {
			t.Fatal("a double spend is accepted")
		}
	}
	s, err := c.Sale(t.Context(), second.Digest)
	must(t, err)
	var steps []string
	for _, x := range s.Steps {
		steps = append(steps, x.Step)
	}
	if !slices.Equal(steps, []string{"waiting", "coins-checked", "depositing", "refused"}) || s.State != "waiting" || s.Code != "double-spend" || s.Reason == "" {
		t.Errorf("%v %s %s", steps, s.State, s.Code)
	}
	t.Run("somebody else pays it", func(t *testing.T) {
		alice := town.NewHolder(t, 8)
		alice.Draw(t, 8, coin.Bearer)
		link, err := s.LinkTo(c.URL)
		must(t, err)
		_, err = alice.Pay(t.Context(), link)
		must(t, err)
		if s, err := c.Sale(t.Context(), second.Digest); err != nil || s.State != "deposited" || s.Code != "" {
			t.Errorf("%+v %v", s, err)
		}
	})
	t.Run("a stranger fills the file with attempts in vain", func(t *testing.T) {
		offer, _ := c.Offer(t, merchant.OfferRequest{Amount: 4})
		before, err := c.LastEvent(t.Context())
		must(t, err)
		for range 150 {
			bad := crook.Payment(offer, coins...)
			bad.Coins[0].Signature[7]++
			_, _ = c.Accept(t.Context(), crook.Authorise(t, bad, nil))

		}
		after, err := c.LastEvent(t.Context())
		must(t, err)
		if after-before > 110 {
			t.Errorf("%d events", after-before)
		}
	})
}

func TestAnOfferThatNobodyPaysExpiresOnTheStream(t *testing.T) {
	town := wallettest.New(t)
	c := open(t, town, town.NewShop(t)).login(t)
	_, sale := c.ask(t, "POST", "/desk/v1/sales", map[string]any{"amount": 3, "valid_seconds": 60})
	events := c.listen(t, "")
	town.Group.Clock.Forward(2 * time.Minute)
	e := until(t, events, sale["id"].(string), "expired")
	if e.data["state"] != "expired" || e.data["link"] != nil {
		t.Errorf("%v", e.data)
	}
}

func TestStreamsEndWithTheDeskAndAreFew(t *testing.T) {
	town := wallettest.New(t)
	c := open(t, town, town.NewShop(t)).login(t)
	var open []<-chan event
	for range desk.MaxStreams {
		s := c.listen(t, "")
		<-s
		open = append(open, s)
	}
	if status, m := c.ask(t, "GET", "/desk/v1/events", nil); status != 503 || m["code"] != "unavailable" {
		t.Errorf("one more: %d %v", status, m)
	}
	c.desk.Close()
	for _, s := range open {
		select {
		case _, more := <-s:
			for more {
				_, more = <-s
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a stream goes on")
		}
	}
	if n, err := c.LastEvent(context.Background()); err != nil || n != 0 {
		t.Errorf("%d %v", n, err)
	}
}
