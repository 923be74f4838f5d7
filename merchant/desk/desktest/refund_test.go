package desktest_test

import (
	"testing"

	"github.com/speciecash/specie/browsertest"
	"github.com/speciecash/specie/wallet"
)

// refund gives 3.20 of the sale on the screen back, and has the payer collect it.
func (s *stage) refund(t *testing.T, p *browsertest.Page, id wallet.ID) {
	t.Helper()
	p.Press("Refund…")
	p.See("#refund-all", "12.80 EUR")
	p.Press("Only a part")
	p.Keys("13")
	p.See("#refund-error", "At most 12.80 EUR is left.")
	p.Keys(browsertest.Backspace + browsertest.Backspace + "3.2")
	p.See("#refund-yes", "Give 3.20 EUR back")
	p.Picture("till-refund")
	// The answer is lost; whoever presses again gives once.
	p.Expect("status of 502")
	s.lose.Store(true)
	p.Press("Give 3.20 EUR back")
	p.See("#refund-error", "Bad Gateway")
	p.Press("Give 3.20 EUR back")
	p.Gone("#refund")
	p.See("#papers", "Waits for the customer 3.20 EUR")
	got, err := s.alice.Refund(t.Context(), id)
	must(t, err)
	if got != 320 {
		t.Errorf("the payer got %d", got)
	}
	p.See("#papers", "Given back 3.20 EUR")
}
