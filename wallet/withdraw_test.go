package wallet_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

func TestWithdraw(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	alice.Enrol(t, registrationtest.TPMA)
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		var steps []int
		coins, err := alice.Withdraw(t.Context(), 21, kind, wallet.Steps{
			Tags:   func(done, total int) { steps = append(steps, done, total) },
			Verify: func(done, total int) { steps = append(steps, done, total) },
		})
		must(t, err)
		var sum coin.Amount
		for _, c := range coins {
			sum += c.Value
			if c.Kind != kind || c.State != wallet.CoinFresh {
				t.Errorf("got a %s coin that is %s", c.Kind, c.State)
			}
		}
		if sum != 21 || len(coins) != 3 {
			t.Errorf("%d in %d coins", sum, len(coins))
		}
		if len(steps) != 12 || steps[5] != 3 || steps[11] != 3 {
			t.Errorf("progress was reported as %v", steps)
		}
		state(t, alice, wallet.KindWithdraw, wallet.OpDone)
	}
	worth(t, alice, 42, 0)
	holds(t, town, alice.Account, 58)
	b, err := alice.Balance(t.Context())
	must(t, err)
	if b.ByKind[coin.Bearer] != 21 || b.ByKind[coin.Bound] != 21 || b.Currency != wallettest.Currency || b.Exponent != 2 {
		t.Errorf("balance %+v", b)
	}
	town.CheckBooks(t)
}

func TestAWithdrawalThatCantBe(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 10)
	for _, c := range []struct {
		name   string
		amount coin.Amount
		kind   coin.Kind
		want   error
	}{
		{"nothing", 0, coin.Bearer, wallet.ErrAmount},
		{"less than nothing", -1, coin.Bearer, wallet.ErrAmount},
		{"more coins than a request holds", 1 << 20, coin.Bearer, wallet.ErrAmount},
		{"a kind that the bank does not issue", 4, "paper", wallet.ErrAmount},
		{"bound coins before enrolment", 4, coin.Bound, wallet.ErrNotEnrolled},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := alice.Withdraw(t.Context(), c.amount, c.kind, wallet.Steps{})
			want(t, err, c.want)
		})
	}
	t.Run("more than the account holds is refused and closed", func(t *testing.T) {
		_, err := alice.Withdraw(t.Context(), 11, coin.Bearer, wallet.Steps{})
		var p *client.Problem
		if !errors.As(err, &p) || p.Code != "insufficient-funds" || errors.Is(err, wallet.ErrOpen) {
			t.Fatalf("got %v", err)
		}
		state(t, alice, wallet.KindWithdraw, wallet.OpRefused)
		resume(t, alice)
		holds(t, town, alice.Account, 10)
	})
	t.Run("a token that no account has draws nothing", func(t *testing.T) {
		must(t, alice.SetToken(t.Context(), "spt_"+strings.Repeat("A", 43)))
		_, err := alice.Withdraw(t.Context(), 4, coin.Bearer, wallet.Steps{})
		var p *client.Problem
		if !errors.As(err, &p) || p.Code != "unauthorized" || errors.Is(err, wallet.ErrOpen) {
			t.Fatalf("got %v", err)
		}
		ops, err := alice.History(t.Context())
		must(t, err)
		if len(ops) != 1 {
			t.Errorf("it left an operation: %+v", ops)
		}
	})
}

// TestTheTokenGoesWithTheAccountOnly: on anything about a coin that is spent
// it would tell the bank whose that was.
func TestTheTokenGoesWithTheAccountOnly(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 40, coin.Bearer)
	_, err := alice.Exchange(t.Context(), coin.Bearer)
	must(t, err)
	shop.Gate.Shut(true)
	_, err = alice.Pay(t.Context(), shop.Ask(t, 5))
	want(t, err, wallet.ErrOpen)
	shop.Gate.Shut(false)
	resume(t, alice)
	authorized := map[string]bool{"/v1/account": true, "/v1/withdrawals": true}
	for _, s := range alice.Wire.Sent() {
		if s.Authorized != authorized[s.Path] {
			t.Errorf("%s %s with the token: %v", s.Method, s.Path, s.Authorized)
		}
	}
	s := wallet.Settings{BankURL: town.BankURL, Token: alice.Token}
	if text := fmt.Sprintf("%v %+v %#v %s", s, s, s, s); strings.Contains(text, alice.Token) {
		t.Errorf("settings print as %s", text)
	}
}

func TestALostWithdrawalIsTakenUp(t *testing.T) {
	town := wallettest.New(t)
	for name, fate := range map[string]wallettest.Fate{"the request": wallettest.LoseRequest, "the answer": wallettest.LoseAnswer} {
		t.Run(name, func(t *testing.T) {
			alice := town.NewHolder(t, 100)
			alice.Wire.Once("/withdrawals", fate)
			_, err := alice.Withdraw(t.Context(), 31, coin.Bearer, wallet.Steps{})
			want(t, err, wallet.ErrOpen)
			state(t, alice, wallet.KindWithdraw, wallet.OpSubmitted)
			alice.Reopen(t)
			alice.Wire.Once("/withdrawals", fate)
			_, err = alice.Resume(t.Context())
			want(t, err, wallet.ErrOpen)
			alice.Reopen(t)
			resume(t, alice)
			state(t, alice, wallet.KindWithdraw, wallet.OpDone)
			worth(t, alice, 31, 0)
			holds(t, town, alice.Account, 69)

			var first []byte
			for _, s := range alice.Wire.Sent() {
				if s.Path != "/v1/withdrawals" {
					continue
				}
				if first == nil {
					first = s.Body
				}
				if !bytes.Equal(first, s.Body) {
					t.Error("the withdrawal was repeated with other bytes")
				}
			}
			resume(t, alice) // nothing is open
			worth(t, alice, 31, 0)
		})
	}
}

// TestAWithdrawalIsRepeatedForItsAccountOnly: for another account it would be
// another withdrawal of the same coins, paid for twice.
func TestAWithdrawalIsRepeatedForItsAccountOnly(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	alice.Wire.Once("/withdrawals", wallettest.LoseAnswer)
	_, err := alice.Withdraw(t.Context(), 31, coin.Bearer, wallet.Steps{})
	want(t, err, wallet.ErrOpen)

	other, token := town.Account(t, issuer.Holder, "", 100)
	must(t, alice.SetToken(t.Context(), token))
	_, err = alice.Resume(t.Context())
	want(t, err, wallet.ErrAccount)
	want(t, err, wallet.ErrOpen)
	holds(t, town, other, 100)
	worth(t, alice, 0, 0)

	must(t, alice.SetToken(t.Context(), alice.Token))
	resume(t, alice)
	worth(t, alice, 31, 0)
	holds(t, town, alice.Account, 69)
}

func TestABankThatSignsWronglyGetsNoCoinIntoThePurse(t *testing.T) {
	town := wallettest.New(t)
	signatures := func(f func(s []any) []any) func(map[string]any) {
		return func(a map[string]any) { a["signatures"] = f(a["signatures"].([]any)) }
	}
	for name, change := range map[string]func(map[string]any){
		"one signature is missing": signatures(func(s []any) []any { return s[1:] }),
		"two are swapped":          signatures(func(s []any) []any { s[0], s[1] = s[1], s[0]; return s }),
		"one is altered": signatures(func(s []any) []any {
			text := []byte(s[0].(string))
			// Another character of the alphabet: a flipped bit may leave base64url.
			if at := 10; text[at] != 'A' {
				text[at] = 'A'
			} else {
				text[at] = 'B'
			}
			s[0] = string(text)
			return s
		}),
		"one is short":  signatures(func(s []any) []any { s[0] = "AAAA"; return s }),
		"there is none": func(a map[string]any) { delete(a, "signatures") },
	} {
		t.Run(name, func(t *testing.T) {
			alice := town.NewHolder(t, 100)
			town.BankGate.Spoil("/v1/withdrawals", change)
			_, err := alice.Withdraw(t.Context(), 31, coin.Bearer, wallet.Steps{})
			town.BankGate.Instead("/v1/withdrawals", nil)
			want(t, err, wallet.ErrOpen)
			worth(t, alice, 0, 0)
			resume(t, alice)
			worth(t, alice, 31, 0)
			holds(t, town, alice.Account, 69)
		})
	}
}

// TestAServersTroubleIsNoRefusal: it may have recorded the request before.
func TestAServersTroubleIsNoRefusal(t *testing.T) {
	town := wallettest.New(t)
	for _, status := range []int{401, 403, 404, 408, 429, 500, 503} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			alice := town.NewHolder(t, 100)
			alice.Draw(t, 8, coin.Bearer)
			trouble := func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(status)
				_, _ = w.Write([]byte(`{"code":"unavailable"}`))
			}
			town.BankGate.Instead("/v1/withdrawals", trouble)
			town.BankGate.Instead("/v1/exchanges", trouble)
			_, err := alice.Withdraw(t.Context(), 4, coin.Bearer, wallet.Steps{})
			want(t, err, wallet.ErrOpen)
			_, err = alice.Exchange(t.Context(), coin.Bearer)
			want(t, err, wallet.ErrOpen)
			town.BankGate.Instead("/v1/withdrawals", nil)
			town.BankGate.Instead("/v1/exchanges", nil)
			resume(t, alice)
			worth(t, alice, 12, 0)
			holds(t, town, alice.Account, 88)
		})
	}
}
