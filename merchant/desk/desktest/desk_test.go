package desktest_test

import (
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/speciecash/specie/browsertest"
)

// TestDesk is a day at one till, on one Chromium.
func TestDesk(t *testing.T) {
	s := newStage(t)
	t.Run("a sale from the amount to the takings", s.wholeSale)
	t.Run("coins that were spent before", s.doubleSpend)
	t.Run("coins of another TPM", s.foreignTPM)
	t.Run("a sale on a telephone", s.onAPhone)
	t.Run("the day", s.day)
	t.Run("text that wants to be more", s.hostileText)
	t.Run("no code, a wrong one, and many", s.door)
	t.Run("all by the keyboard", s.keyboard)
	t.Run("amounts", s.amounts)
	t.Run("the bank is away", s.offline)
	t.Run("coins that were kept, and spent before", s.loss)
	t.Run("a code in several pictures", s.parts)
	t.Run("a held key, and a customer who is faster than the page", s.hasty)
	t.Run("the till is away", s.lostLine)
	t.Run("an offer that nobody paid", s.expiredOffer)
	s.CheckBooks(t)
}

// watchSteps has the page remember which steps it showed as done or going on, in
// the order in which they came.
const watchSteps = `window.shown = []; (() => {
	const look = () => document.querySelectorAll('#steps li').forEach((li) => {
		const text = li.querySelector('.rung').textContent;
		if (/done|now|refused|kept/.test(li.dataset.look) && !window.shown.includes(text)) window.shown.push(text);
	});
	look();
	new MutationObserver(look).observe(document.getElementById('steps'), {childList: true, subtree: true, attributes: true});
	return true;
})()`

func (s *stage) wholeSale(t *testing.T) {
	p := s.open(t, wide)
	if got := browsertest.Eval[string](p, "location.href"); strings.Contains(got, "#") || strings.Contains(got, s.gate.Code()) {
		t.Errorf("the code stays in the address: %s", got)
	}
	p.Fill("#order", "table 7")
	p.Fill("#purpose", "two coffees and a cake")
	p.Keys(browsertest.Tab)
	p.Keys("1280")
	p.See("#amount", "12.80")
	p.Picture("till-pad")
	p.Keys(browsertest.Enter)
	link := s.link(t, p)
	browsertest.Eval[bool](p, watchSteps)
	p.Picture("till-offer")
	payment, err := s.alice.PreparePayment(t.Context(), link)
	must(t, err)
	_, err = s.alice.Show(t.Context(), payment)
	must(t, err)
	p.See("#verdict-title", "Held for you")
	must(t, s.alice.Submit(t.Context(), payment))
	p.See("#verdict-title", "Paid")
	p.See("#said", "Paid The bank has credited 12.80 EUR.")
	want := []string{"Waiting for payment", "Coins checked", "Held by the bank", "TPM binding verified", "Deposited"}
	if got := browsertest.Eval[[]string](p, "window.shown.filter((x) => x !== 'Depositing')"); !slices.Equal(got, want) {
		t.Errorf("steps %q", got)
	}
	p.Look(browsertest.View{Width: 1120, Height: 760})
	p.Picture("till-paid")
	p.Look(wide)
	s.papersOf(t, p)
	s.refund(t, p, payment.ID)
	p.Press("Takings")
	p.See("#sum-amount", "12.80 EUR")
	p.See("#sum-refunded", "3.20 EUR")
	p.See("#sum-net", "9.60 EUR")
	p.See("#table-rows", "table 7")
	p.Press("Day before")
	p.See("#table-none", "No sales on this day.")
	p.Press("Day after")
	p.Press("table 7")
	p.See("#verdict-title", "Paid")
}

// onAPhone sells with a thumb on 360 pixels.
func (s *stage) onAPhone(t *testing.T) {
	p := s.open(t, phone)
	for _, key := range []string{"3", "8", "4"} {
		p.Press(key)
	}
	p.See("#amount", "3.84")
	narrow(t, p)
	p.Picture("till-pad-phone")
	p.Press("Offer")
	link := s.link(t, p)
	narrow(t, p)
	browsertest.Eval[bool](p, "(scrollTo(0, 0), true)")
	p.Picture("till-offer-phone")
	_, err := s.alice.Pay(t.Context(), link)
	must(t, err)
	p.See("#verdict-title", "Paid")
	narrow(t, p)
	p.Press("Takings")
	p.See("#table-rows", "3.84")
	narrow(t, p)
	p.Picture("till-takings-phone")
}

// parts: a link that is too long for one picture takes turns in several.
func (s *stage) parts(t *testing.T) {
	p := s.open(t, phone)
	purpose := rand.Text() + rand.Text() + rand.Text() + rand.Text() + rand.Text() + rand.Text() + rand.Text()
	p.Fill("#order", rand.Text()+rand.Text()+rand.Text()+rand.Text()+rand.Text()+rand.Text()+rand.Text())
	p.Fill("#purpose", purpose)
	p.Press("1")
	p.Press("Offer")
	p.See("#qr-part", "Part 1 of")
	p.See("#qr-part", "Part 2 of") // by itself
	narrow(t, p)
	offer, err := s.bob.Inspect(t.Context(), s.link(t, p))
	must(t, err)
	if offer.Private.Purpose != purpose {
		t.Errorf("purpose %q", offer.Private.Purpose)
	}
	p.Press("Cancel")
	p.See("#amount", "0.00")
}

// day shows what has been sold in the end, and saves it for a spreadsheet.
func (s *stage) day(t *testing.T) {
	p := s.open(t, wide)
	p.Press("Takings")
	p.See("#table-rows", "table 7")
	p.Picture("till-takings")
	csv := browsertest.Eval[string](p, "fetch(document.getElementById('csv').href).then((r) => r.text())")
	if !strings.Contains(csv, ",deposited,table 7,two coffees and a cake,12.80,3.20,EUR,") {
		t.Errorf("the day for a spreadsheet:\n%s", csv)
	}
}

// papersOf saves the papers of the sale on the screen.
func (s *stage) papersOf(t *testing.T, p *browsertest.Page) {
	t.Helper()
	p.See("#papers", "bound to the payer")
	raw := browsertest.Eval[string](p, "fetch(document.getElementById('save').href).then((r) => r.text())")
	if !json.Valid([]byte(raw)) || !strings.Contains(raw, "receipt") {
		t.Errorf("the papers: %.80s", raw)
	}
	p.Look(browsertest.View{Width: 360, Height: 440, Print: true})
	p.See("#slip", "Paid with electronic cash.")
	p.Picture("till-slip")
	p.Look(wide)
}
