package issuer_test

import (
	"slices"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
)

// TestADepositThatComesBackKeepsItsOwnersConsent: what comes back is what a later
// double spend is proven by.
func TestADepositThatComesBackKeepsItsOwnersConsent(t *testing.T) {
	ctx := t.Context()
	s := newShop(t)
	m := s.House.AdmitKnown(t)
	holder, _ := s.Funded(t, 4)
	batch := s.purse.PrepareBound(t, m, 4)
	signed, err := s.Withdraw(ctx, holder, batch.Outputs)
	expect(t, err, nil)
	coins := batch.Finalize(t, signed.Signatures)
	before := s.snapshot(t)
	offer := s.till.Offer(t, 4, nil)
	spend, authorisation := s.purse.AuthoriseBound(t, m, issuertest.Payment(offer, coins, nil))
	request := s.till.Deposit(offer, spend, authorisation)
	done, err := s.Deposit(ctx, s.till.Account, request)
	expect(t, err, nil)
	s = s.restored(t, before)
	_, err = issuer.BeginReconciliation(ctx, s.Ledger, s.Clock.Now())
	expect(t, err, nil)
	expect(t, s.open(t), nil)

	forged := *request
	forged.Authorisation = &coin.Authorisation{Presentation: slices.Clone(authorisation.Presentation)}
	forged.Authorisation.Presentation[len(authorisation.Presentation)-1] ^= 1
	_, err = s.Redeposit(ctx, s.till.Account, &forged, done.Receipt)
	expect(t, err, coin.ErrBinding)
	_, err = s.Redeposit(ctx, s.till.Account, request, done.Receipt)
	expect(t, err, nil)
}
