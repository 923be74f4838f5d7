package merchant_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/wallet/wallettest"
)

func TestMain(m *testing.M) { os.Exit(wallettest.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want fails unless err matches want.
func want(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// refused fails unless err is a refusal with that code.
func refused(t testing.TB, err error, code string) *merchant.Refusal {
	t.Helper()
	var r *merchant.Refusal
	if !errors.As(err, &r) || r.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	return r
}

// holds fails unless an account holds that much.
func holds(t testing.TB, town *wallettest.Town, account string, amount coin.Amount) {
	t.Helper()
	if got := town.Balance(t, account); got != amount {
		t.Fatalf("the account holds %d, want %d", got, amount)
	}
}

// payment is a spend of 5 with a bearer coin of 16, and the offer it pays.
func payment(t testing.TB, town *wallettest.Town, shop *wallettest.Shop) (*coin.SignedOffer, []byte) {
	t.Helper()
	alice := town.NewHolder(t, 16)
	alice.Draw(t, 16, coin.Bearer)
	offer, link := shop.Offer(t, merchant.OfferRequest{Amount: 5, Order: "table 7"})
	p, err := alice.PreparePayment(t.Context(), link)
	must(t, err)
	return offer, p.Spend
}

// taking is the till's newest payment.
func taking(t testing.TB, shop *wallettest.Shop) merchant.Taking {
	t.Helper()
	all, err := shop.Takings(t.Context())
	must(t, err)
	if len(all) == 0 {
		t.Fatal("no payment")
	}
	return all[0]
}

// answerWith makes a gate answer a path in a fixed way.
func answerWith(g *wallettest.Gate, path string, status int, contentType, body string) {
	g.Instead(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

// edit changes the JSON of a spend.
func edit(t testing.TB, spend []byte, change func(map[string]any)) []byte {
	t.Helper()
	var m map[string]any
	must(t, json.Unmarshal(spend, &m))
	change(m)
	out, err := json.Marshal(m)
	must(t, err)
	return out
}

// flip changes one character of base64url text in the middle.
func flip(text string) string {
	at := len(text) / 2
	c := "A"
	if text[at:at+1] == c {
		c = "B"
	}
	return text[:at] + c + text[at+1:]
}

// asBound is the text of a bearer coin that calls itself bound.
func asBound(t testing.TB, c coin.Coin) string {
	t.Helper()
	c.Kind, c.Owner = coin.Bound, append(bytes.Clone(c.Owner), append([]byte{2}, bytes.Repeat([]byte{1}, 32)...)...)
	text, err := c.Text()
	must(t, err)
	return text
}

func groupText(town *wallettest.Town) string {
	id := town.Group.GroupID()
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// somebodyElses is a payment with a coin that the payer has seen elsewhere.
func somebodyElses(t testing.TB, town *wallettest.Town, shop *wallettest.Shop) []byte {
	t.Helper()
	owner, thief := town.NewCrook(t, -1), town.NewCrook(t, -1)
	offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 4})
	return thief.Authorise(t, thief.Payment(offer, owner.Draw(t, coin.Bearer, 4)...), nil)
}
