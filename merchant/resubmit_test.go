package merchant_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/wallet/wallettest"
)

// restoredBank makes the bank say that its ledger was restored so often.
func restoredBank(town *wallettest.Town, times int) {
	town.BankGate.Instead("/v1/info", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"bank": "TESTBANK", "restore_epoch": times})
	})
}

// handedIn counts the deposits that a till sent with their receipt.
func handedIn(t *testing.T, shop *wallettest.Shop) (n int) {
	t.Helper()
	for _, s := range shop.Wire.Sent() {
		var body map[string]json.RawMessage
		if !strings.HasSuffix(s.Path, "/deposits") {
			continue
		}
		must(t, json.Unmarshal(s.Body, &body))
		if body["receipt"] == nil || !s.Authorized {
			t.Errorf("sent without its receipt: %s", s.Body)
		}
		n++
	}
	return n
}

func TestATillHandsInAgainWhatARestoredBankForgot(t *testing.T) {
	ctx := t.Context()
	town := wallettest.New(t)
	shop := town.NewShop(t)
	restoredBank(town, 1)
	must(t, shop.Resume(ctx)) // nothing was deposited yet, nothing is asked
	for range 2 {
		_, spend := payment(t, town, shop)
		_, err := shop.Accept(ctx, spend)
		must(t, err)
	}
	restoredBank(town, 0)
	shop.Wire.Sent()
	must(t, shop.Resume(ctx))
	if n := handedIn(t, shop); n != 0 {
		t.Errorf("%d deposits to a bank that never lost anything", n)
	}

	restoredBank(town, 1)
	t.Run("a bank that can't be asked", func(t *testing.T) {
		shop.Wire.Once("/v1/info", wallettest.LoseAnswer)
		want(t, shop.Resume(ctx), merchant.ErrOpen)
	})
	t.Run("cut short", func(t *testing.T) {
		shop.Wire.Sent()
		answerWith(&town.BankGate, "/v1/deposits", http.StatusServiceUnavailable, "application/problem+json", `{"status":503,"code":"unavailable"}`)
		want(t, shop.Resume(ctx), merchant.ErrOpen)
		town.BankGate.Instead("/v1/deposits", nil)
		if n := handedIn(t, shop); n != 2 {
			t.Errorf("%d sent: what the bank can't take now holds the others up", n)
		}
	})
	t.Run("all of it, once", func(t *testing.T) {
		must(t, shop.Resume(ctx))
		if n := handedIn(t, shop); n != 2 {
			t.Errorf("%d of 2 were handed in", n)
		}
		shop.Reopen(t)
		must(t, shop.Resume(ctx))
		if n := handedIn(t, shop); n != 0 {
			t.Errorf("%d handed in again", n)
		}
		holds(t, town, shop.Account, 10)
	})
	t.Run("refused by the bank, which is told once", func(t *testing.T) {
		restoredBank(town, 2)
		answerWith(&town.BankGate, "/v1/deposits", http.StatusConflict, "application/problem+json", `{"status":409,"code":"double-spend","detail":"spent"}`)
		err := shop.Resume(ctx)
		var r *merchant.Refusal
		if !errors.As(err, &r) || r.Code != "double-spend" || errors.Is(err, merchant.ErrOpen) || strings.Count(err.Error(), "was deposited") != 2 {
			t.Errorf("got %v", err)
		}
		must(t, shop.Resume(ctx))
		town.BankGate.Instead("/v1/deposits", nil)
		if got := taking(t, shop); got.State != merchant.StateDeposited {
			t.Errorf("the till forgot that it has a receipt: %+v", got)
		}
	})
}

// reordered counts the refunds that a till has ordered since it was last asked.
func reordered(shop *wallettest.Shop) (n int) {
	for _, s := range shop.Wire.Sent() {
		if strings.HasSuffix(s.Path, "/refunds") {
			n++
		}
	}
	return n
}

func TestATillOrdersAgainTheRefundsThatARestoredBankForgot(t *testing.T) {
	ctx := t.Context()
	s := newSale(t)
	for range 2 {
		s.offer(t, 2)
		_, err := s.alice.Refund(ctx, s.paid.ID)
		must(t, err)
	}
	s.offer(t, 1) // that nobody came for is ordered by nobody
	restoredBank(s.town, 1)
	s.shop.Wire.Sent()
	answerWith(&s.town.BankGate, "/v1/refunds", http.StatusServiceUnavailable, "application/problem+json", `{"status":503,"code":"reconciling"}`)
	want(t, s.shop.Resume(ctx), merchant.ErrOpen)
	want(t, s.shop.Resume(ctx), merchant.ErrOpen)
	if n := handedIn(t, s.shop); n != 1 {
		t.Errorf("the deposit was handed in %d times, while refunds wait", n)
	}
	s.town.BankGate.Instead("/v1/refunds", nil)
	must(t, s.shop.Resume(ctx))
	if n := reordered(s.shop); n != 2 {
		t.Errorf("%d of 2 refunds were ordered", n)
	}
	s.shop.Reopen(t)
	must(t, s.shop.Resume(ctx))
	if n := reordered(s.shop); n != 0 {
		t.Errorf("%d ordered again", n)
	}
	holds(t, s.town, s.shop.Account, 9) // the bank knew of them

	restoredBank(s.town, 2)
	answerWith(&s.town.BankGate, "/v1/refunds", http.StatusConflict, "application/problem+json", refusal("settled"))
	err := s.shop.Resume(ctx)
	var r *merchant.Refusal
	if !errors.As(err, &r) || r.Code != "settled" || errors.Is(err, merchant.ErrOpen) || strings.Count(err.Error(), "was done") != 2 {
		t.Errorf("got %v", err)
	}
	must(t, s.shop.Resume(ctx)) // told once
	s.wantRefunds(t, merchant.RefundDone, merchant.RefundDone, merchant.RefundOffered)
	s.town.CheckBooks(t)
}
