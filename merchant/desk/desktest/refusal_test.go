package desktest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/browsertest"
	"github.com/speciecash/specie/coin"
)

// doubleSpend: what another till has got already is refused, the seller is told,
// and the offer stays open for the next customer.
func (s *stage) doubleSpend(t *testing.T) {
	p := s.open(t, wide)
	link := s.offer(t, p, "640")
	// The files of a purse, copied before it paid.
	copied := s.bob.Copy(t)
	_, err := s.bob.Pay(t.Context(), s.shop.Ask(t, 4800), coin.Bearer)
	must(t, err)
	if _, err := copied.Pay(t.Context(), link, coin.Bearer); err == nil {
		t.Fatal("the same coins paid twice")
	}
	p.See("#verdict-title", "Coins spent before")
	p.See("#verdict-text", "Nothing was paid.")
	p.See("#steps", "Refused: coins spent before")
	p.See("#alarm", "Coins spent before")
	p.Picture("till-refused")
	p.Press("Show the code again")
	if again := s.link(t, p); again != link {
		t.Error("another offer is shown after the refusal")
	}
	if _, err := s.alice.Pay(t.Context(), link, coin.Bound); err != nil {
		t.Fatal(err)
	}
	p.See("#verdict-title", "Paid")
	p.See("#steps", "Refused: coins spent before")
	p.See("#steps", "Deposited without a hold")
}

// foreignTPM: coins that are bound to one TPM, paid by another.
func (s *stage) foreignTPM(t *testing.T) {
	p := s.open(t, phone)
	link := s.offer(t, p, "320")
	if status := s.post(t, s.theft(t, link)); status != 422 {
		t.Errorf("the thief is answered %d", status)
	}
	p.See("#verdict-title", "Foreign TPM")
	p.See("#verdict-text", "bound to another device than the one that pays")
	p.Picture("till-foreign-tpm-phone")
	p.Press("Show the code again")
	p.See("#countdown", "Valid for")
	p.Press("Cancel")
	p.See("#amount", "0.00")
	p.Gone("#sale")
}

// expiredOffer: nobody paid in time.
func (s *stage) expiredOffer(t *testing.T) {
	p := s.open(t, wide)
	link := s.offer(t, p, "960")
	s.Group.Clock.Forward(16 * time.Minute)
	p.See("#verdict-title", "Offer expired")
	if _, err := s.alice.Pay(t.Context(), link); err == nil {
		t.Error("an expired offer was paid")
	}
	p.Press("Offer again")
	p.See("#countdown", "Valid for")
	if s.link(t, p) == link {
		t.Error("the expired offer is shown")
	}
	p.Keys(browsertest.Escape)
	p.See("#amount", "0.00")
}

// hostileText: an order and a purpose are text, whatever is in them.
func (s *stage) hostileText(t *testing.T) {
	const order = `<img src=x onerror="document.title='run'">`
	purpose := `"><script>document.title='run'</script>` + strings.Repeat("wide", 16) + ` <a href="javascript:alert(1)">`
	for _, v := range []browsertest.View{wide, phone} {
		p := s.open(t, v)
		p.Fill("#order", order)
		browsertest.Eval[bool](p, "(() => { document.getElementById('purpose').value = "+quote(purpose)+"; return true; })()")
		p.Click("[data-key='1']")
		if !v.Touch {
			s.refusedText(t, p, purpose)
		}
		p.Press("Offer")
		p.See("#sale-what", `<img src=x onerror=`)
		narrow(t, p)
		p.Press("Takings")
		p.See("#table-rows", order)
		narrow(t, p)
		p.Press("Sell")
		if v.Touch {
			continue
		}
		p.See("#recent", order)
		if title := browsertest.Eval[string](p, "document.title"); title != "Café Central · Specie till" {
			t.Errorf("the title became %q", title)
		}
		if n := browsertest.Eval[int](p, "document.querySelectorAll('main img:not(#qr), main script, main a[href^=javascript]').length"); n != 0 {
			t.Errorf("%d elements came out of a text", n)
		}
	}
}

// refusedText: marks of writing direction play tricks on the payer's screen.
func (s *stage) refusedText(t *testing.T, p *browsertest.Page, purpose string) {
	t.Helper()
	p.Expect("status of 422")
	set := func(text string) {
		browsertest.Eval[bool](p, "(() => { document.getElementById('purpose').value = "+quote(text)+"; return true; })()")
	}
	set("\u202e" + purpose)
	p.Press("Offer")
	p.See("#pad-error", "control character in a text")
	set(purpose)
}

// narrow fails if the page is wider than its window.
func narrow(t *testing.T, p *browsertest.Page) {
	t.Helper()
	if w := browsertest.Eval[[]int](p, "[document.documentElement.scrollWidth, innerWidth]"); w[0] > w[1] {
		t.Errorf("the page is %d wide in a window of %d", w[0], w[1])
	}
}
