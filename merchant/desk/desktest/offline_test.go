package desktest_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/browsertest"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/wallet"
)

// offline: without its bank a till sells within its limits, says what is risked, and
// deposits what it kept once the bank is back.
func (s *stage) offline(t *testing.T) {
	must(t, s.shop.SetLimits(t.Context(), merchant.Limits{Sale: 1000, Total: 1500}))
	before := s.Balance(t, s.shop.Account)
	p := s.open(t, wide)
	s.BankGate.Shut(true)
	defer s.BankGate.Shut(false)
	if err := s.shop.Probe(t.Context(), 0); err == nil {
		t.Error("the bank answers")
	}
	p.See("#offline-title", "The bank can’t be reached. You can sell on, up to 10.00 EUR a sale.")
	link := s.offer(t, p, "640")
	kept, err := s.alice.Pay(t.Context(), link, coin.Bound)
	must(t, err)
	if !kept.Kept {
		t.Error("the payer is not told that it is kept")
	}
	p.See("#verdict-title", "Accepted without the bank")
	p.See("#offline-title", "The bank can’t be reached. 1 payment kept here and not deposited yet: 6.40 EUR")
	p.See("#line-text", "Bank not reachable")
	p.Press("What do I risk?")
	p.See("#risk-words", "you may lose up to 15.00 EUR")
	p.Look(browsertest.View{Width: 1120, Height: 860})
	p.Picture("till-offline")
	p.Look(wide)
	p.Press("New sale")
	beyond := s.offer(t, p, "1280")
	if _, err := s.alice.Pay(t.Context(), beyond, coin.Bound); !errors.Is(err, wallet.ErrOpen) {
		t.Errorf("beyond the limit: %v", err)
	}
	p.See("#verdict-title", "Bank not reachable")
	p.See("#verdict-text", "Don’t hand anything over.")
	p.Press("Deposit now")
	p.See("#deposit-error", "Not deposited yet: the bank can't be reached.")
	s.BankGate.Shut(false)
	p.Press("Deposit now")
	p.Gone("#offline")
	p.See("#line-text", "Bank reachable")
	p.Press("Takings")
	p.Gone("#sum-kept-box")
	if got := s.Balance(t, s.shop.Account); got < before+640 {
		t.Errorf("the account has %d, before %d", got, before)
	}
}

// loss: what was accepted without the bank had been spent elsewhere.
func (s *stage) loss(t *testing.T) {
	must(t, s.shop.SetLimits(t.Context(), merchant.Limits{Sale: 1000, Total: 1500, Bearer: true}))
	s.bob.Draw(t, 640, coin.Bearer)
	copied := s.bob.Copy(t)
	p := s.open(t, wide)
	link := s.offer(t, p, "640")
	s.BankGate.Shut(true)
	_, err := copied.Pay(t.Context(), link, coin.Bearer)
	s.BankGate.Shut(false)
	must(t, err)
	p.See("#verdict-title", "Accepted without the bank")
	_, err = s.bob.Pay(t.Context(), s.shop.Ask(t, 640), coin.Bearer)
	must(t, err)
	p.Press("Deposit now")
	p.See("#loss", "The bank refused a kept payment. 6.40 EUR: coins spent before.")
	p.See("#verdict-title", "Coins spent before")
	p.See("#verdict-text", "You accepted this without the bank, which refuses it now: 6.40 EUR are lost. The bank’s proof is in the papers.")
	want := []string{"Waiting for payment", "Coins checked", "No bound coins in it", "Held by the bank", "Kept", "Refused"}
	if got := browsertest.Eval[[]string](p, "[...document.querySelectorAll('#steps .rung')].map((e) => e.textContent)"); !slices.Equal(got, want) {
		t.Errorf("steps %q", got)
	}
	p.Press("Takings")
	p.See("#table-rows .badge[data-colour=red]", "refused")
	p.Press("Close")
	p.Gone("#loss")
}

// lostLine: a page that lost its till says so, and catches up.
func (s *stage) lostLine(t *testing.T) {
	p := s.open(t, browsertest.View{Width: 768, Height: 900, Touch: true, Dark: true})
	p.Expect("Failed to load resource")
	link := s.offer(t, p, "128")
	s.desk.CloseClientConnections()
	s.away.Store(true)
	p.See("#lost", "Connection to the till lost.")
	p.See("#alarm", "Connection to the till lost.")
	_, err := s.alice.Pay(t.Context(), link)
	must(t, err)
	s.away.Store(false)
	p.See("#verdict-title", "Paid")
	p.Gone("#lost")
	p.Picture("till-paid-dark")
	// The till is opened anew: what this browser has is worth nothing now.
	p.Expect("status of 401")
	browsertest.Eval[int](p, "fetch('/desk/v1/session', {method: 'DELETE'}).then((r) => r.status)")
	s.desk.CloseClientConnections()
	p.See("#code-error", "The till was opened anew.")
}

// hasty: Enter is held down, and the customer pays before the page has the sale that
// it asked for.
func (s *stage) hasty(t *testing.T) {
	p := s.open(t, wide)
	p.See("#keys", "7")
	browsertest.Eval[bool](p, `(() => {
		const real = fetch;
		const held = new Promise((go) => { window.release = () => (go(), true); });
		window.fetch = async (url, o) => {
			const answer = await real(url, o);
			if (o.method === 'GET' && /sales\/[^/]+$/.test(url)) await held;
			return answer;
		};
		return true;
	})()`)
	p.Keys("640" + browsertest.Enter)
	p.Wait("location.hash.startsWith('#/sale/')")
	p.Keys(browsertest.Enter + browsertest.Enter)
	hash := browsertest.Eval[string](p, "location.hash")
	day, err := s.shop.Sales(t.Context(), s.Now().Add(-time.Minute), s.Now().Add(time.Minute))
	must(t, err)
	id, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(hash, "#/sale/"))
	must(t, err)
	if !bytes.Equal(id, day[0].ID) {
		t.Errorf("an offer was made after that of %s", hash)
	}
	sale, err := s.shop.Sale(t.Context(), [32]byte(id))
	must(t, err)
	link, err := sale.LinkTo(s.shop.URL)
	must(t, err)
	_, err = s.alice.Pay(t.Context(), link)
	must(t, err)
	p.Wait("document.querySelector('#recent .badge').textContent === 'paid'")
	browsertest.Eval[bool](p, "release()")
	p.See("#verdict-title", "Paid")
}
