package merchant_test

import (
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/evidence"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/trust"
)

func TestATillHasThePapersOfItsPayments(t *testing.T) {
	s := newSale(t)
	ctx := t.Context()
	root, err := trust.ParseRoot(s.town.RootPEM)
	must(t, err)
	proven := func(op [32]byte, private bool) (out []string) {
		t.Helper()
		f, err := s.shop.Evidence(ctx, op, private)
		must(t, err)
		data, err := f.Encode()
		must(t, err)
		if f, err = evidence.Parse(data); err != nil {
			t.Fatal(err)
		}
		for _, c := range evidence.Verify(f, root, nil).Claims {
			switch c.Status {
			case evidence.Proven:
				out = append(out, c.Name)
			case evidence.Fails:
				t.Errorf("%s fails: %s", c.Name, c.Says)
			}
		}
		return out
	}
	_, link := s.shop.Offer(t, merchant.OfferRequest{Amount: 2, Order: "table 9"})
	p, err := s.alice.PreparePayment(ctx, link)
	must(t, err)
	open, _, err := coin.DecodeSpend(p.Spend)
	must(t, err)
	_, err = s.shop.Evidence(ctx, open.Op(), false)
	want(t, err, merchant.ErrNoPayment)
	_, err = s.shop.Show(ctx, shownPart(t, p.Spend))
	must(t, err)

	// The bank revokes the keys, the till learns of it, and nobody can be asked any
	// more: what was good then was good.
	s.town.Revoke(t, coin.Bearer, 16)
	s.shop.Reopen(t)
	s.town.BankGate.Shut(true)
	public, private := proven(s.op, false), proven(s.op, true)
	if len(private) != len(public)+1 {
		t.Errorf("with what was bought it proves %v, without it %v", private, public)
	}
	if f, err := s.shop.Evidence(ctx, s.op, false); err != nil || f.Private != nil || f.BankReceipt == nil || f.MerchantReceipt == nil {
		t.Errorf("the papers are %+v, %v", f, err)
	}
	_, err = s.shop.Evidence(ctx, open.Op(), false) // nobody has consented to anything
	want(t, err, merchant.ErrNoPayment)
}
