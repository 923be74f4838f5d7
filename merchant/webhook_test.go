package merchant_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/wallet/wallettest"
)

func TestTheShopIsToldEachStepInOrderUntilItTakesIt(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	secret, err := merchant.NewWebhookSecret()
	must(t, err)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	must(t, err)
	var broken atomic.Bool
	var got, ids []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		ids = append(ids, r.Header.Get("webhook-id"))
		if broken.Load() {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(r.Header.Get("webhook-id") + "." + r.Header.Get("webhook-timestamp") + "." + string(body)))
		if r.Header.Get("webhook-signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
			t.Error("a signature that is none")
		}
		var m struct{ Type string }
		must(t, json.Unmarshal(body, &m))
		got = append(got, m.Type)
	}))
	defer srv.Close()

	_, early := payment(t, town, shop) // of before there is a webhook
	_, err = shop.Accept(t.Context(), early)
	must(t, err)
	must(t, shop.SetWebhook(t.Context(), srv.URL+"/hook", secret))
	offer, spend := payment(t, town, shop)
	_, err = shop.Accept(t.Context(), spend)
	must(t, err)
	_, err = shop.OfferRefund(t.Context(), coinOp(t, spend), 2, nil)
	must(t, err)
	cancelled, _ := shop.Offer(t, merchant.OfferRequest{Amount: 3})
	must(t, shop.CancelOffer(t.Context(), cancelled.Digest))

	broken.Store(true)
	n, err := shop.DeliverWebhooks(t.Context())
	must(t, err)
	if n != 0 || len(ids) != 2 {
		t.Fatalf("%d arrived of %v: of each sale the first is tried", n, ids)
	}
	s, err := shop.Webhook(t.Context())
	must(t, err)
	if s.Waiting != 3 || s.Messages[0].Tries != 1 || s.Messages[0].Outcome != "status 500" || s.Messages[0].Next == nil {
		t.Errorf("%+v", s)
	}
	broken.Store(false)
	if n, err := shop.DeliverWebhooks(t.Context()); n != 0 || err != nil {
		t.Errorf("%d are sent again at once: %v", n, err)
	}
	town.Group.Clock.Forward(10 * time.Second)
	shop.Reopen(t) // what waits is in the file
	n, err = shop.DeliverWebhooks(t.Context())
	must(t, err)
	if n != 3 || !slices.Equal(got, []string{"sale.deposited", "sale.cancelled", "sale.refund-offered"}) {
		t.Errorf("%d: %v", n, got)
	}
	if ids[0] != ids[2] || ids[2] == ids[3] {
		t.Errorf("a message keeps its id, and another has its own: %v", ids)
	}
	if n, err := shop.DeliverWebhooks(t.Context()); n != 0 || err != nil {
		t.Errorf("again: %d %v", n, err)
	}

	t.Run("a shop that is gone is given up after days", func(t *testing.T) {
		srv.Close()
		_, err := shop.CancelRefunds(t.Context(), coinOp(t, spend))
		must(t, err)
		if _, err := shop.DeliverWebhooks(t.Context()); err != nil {
			t.Fatal(err)
		}
		want(t, shop.TestWebhook(t.Context()), merchant.ErrUndelivered)
		town.Group.Clock.Forward((merchant.WebhookDays*24 + 1) * time.Hour)
		n, err := shop.DeliverWebhooks(t.Context())
		must(t, err)
		s, err := shop.Webhook(t.Context())
		must(t, err)
		if n != 0 || s.Waiting != 0 || s.Messages[0].Done != "given-up" || s.Messages[0].Outcome != "no answer" {
			t.Errorf("%d %+v", n, s)
		}
	})
	if _, err := shop.Sale(t.Context(), offer.Digest); err != nil {
		t.Error(err)
	}
	must(t, shop.SetWebhook(t.Context(), "", ""))
	want(t, shop.TestWebhook(t.Context()), merchant.ErrNoWebhook)
}

// newShop is a web shop that takes all it is told, and says of what type each was.
func newShop(t *testing.T, shop *wallettest.Shop) <-chan string {
	t.Helper()
	got := make(chan string, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m struct{ Type string }
		if err := json.NewDecoder(r.Body).Decode(&m); err == nil {
			got <- m.Type
		}
	}))
	t.Cleanup(srv.Close)
	secret, err := merchant.NewWebhookSecret()
	must(t, err)
	must(t, shop.SetWebhook(t.Context(), srv.URL, secret))
	return got
}

func TestTheShopIsToldWhatHappenedWhileTheTillWasOff(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	got := newShop(t, shop)
	shop.Offer(t, merchant.OfferRequest{Amount: 3})
	town.Group.Clock.Forward((merchant.WebhookDays*24 + 1) * time.Hour)
	if _, err := shop.Sales(t.Context(), town.Now(), town.Now()); err != nil { // it expired days ago
		t.Fatal(err)
	}
	n, err := shop.DeliverWebhooks(t.Context())
	must(t, err)
	if n != 1 || <-got != "sale.expired" {
		t.Errorf("%d were told", n)
	}
}

func TestTroubleWithTheFileEndsNoDelivery(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	got := newShop(t, shop)
	must(t, shop.Exec(t.Context(), "ALTER TABLE deliveries RENAME TO away"))
	offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 3})
	must(t, shop.CancelOffer(t.Context(), offer.Digest))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	trouble := make(troubles, 10)
	done := make(chan struct{})
	go func() { defer close(done); shop.DeliverWhile(ctx, slog.New(slog.NewTextHandler(trouble, nil))) }()
	<-trouble
	must(t, shop.Exec(t.Context(), "ALTER TABLE away RENAME TO deliveries"))
	select {
	case m := <-got:
		if m != "sale.cancelled" {
			t.Error(m)
		}
	case <-time.After(20 * time.Second):
		t.Error("the shop is told no more")
	}
	cancel()
	<-done
}

// troubles is a log of which each line is waited for.
type troubles chan string

func (c troubles) Write(b []byte) (int, error) { c <- string(b); return len(b), nil }

func TestWhereAndHowAShopIsNotTold(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	good, err := merchant.NewWebhookSecret()
	must(t, err)
	for name, x := range map[string]struct {
		url, secret string
		want        error
	}{
		"in the clear":         {"http://shop.example/hook", good, client.ErrAddress},
		"with a password":      {"https://a:b@shop.example/hook", good, client.ErrAddress},
		"by another protocol":  {"file:///etc/passwd", good, client.ErrAddress},
		"with a short secret":  {"https://shop.example/hook", "whsec_AAAA", merchant.ErrWebhook},
		"with no such secret":  {"https://shop.example/hook", "secret", merchant.ErrWebhook},
		"with half of base64":  {"https://shop.example/hook", good[:len(good)-3], merchant.ErrWebhook},
		"with an empty secret": {"https://shop.example/hook", "", merchant.ErrWebhook},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, shop.SetWebhook(t.Context(), x.url, x.secret), x.want)
			if s, err := shop.Webhook(t.Context()); err != nil || s.URL != "" {
				t.Errorf("%+v %v", s, err)
			}
		})
	}
}
