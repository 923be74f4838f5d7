package issuer_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
)

// struckOff is a list of expelled members by their tracing tokens.
type struckOff []group.TracingToken

func (l struckOff) Match(p *group.Presentation) (int, bool) {
	i := slices.IndexFunc(l, func(tau group.TracingToken) bool { return group.Trace(tau, p) })
	return i, i >= 0
}

// refusingGroups are a bank's groups with members who were struck off.
type refusingGroups struct {
	issuertest.Groups
	expelled coin.Expelled
}

func (g refusingGroups) Verifier(ctx context.Context, id [32]byte) (coin.PresentationVerifier, error) {
	v, err := g.Groups.Verifier(ctx, id)
	if err != nil {
		return nil, err
	}
	return coin.Refusing(v, g.expelled), nil
}

func TestAnExpelledMembersCoinsAreRefusedAndNobodyElses(t *testing.T) {
	s := newBoundShop(t)
	stranger := s.House.AdmitKnown(t)
	others := s.strike(t, stranger, 4, 4)
	list := struckOff{token(t, s.House, s.House.AdmitKnown(t)), token(t, s.House, s.member)}
	config := s.Config
	config.Groups = refusingGroups{s.Config.Groups.(issuertest.Groups), list}
	bank, err := issuer.New(t.Context(), config)
	expect(t, err, nil)

	refused := s.pay(t, s.till, 12, s.bound...)
	_, err = bank.Deposit(t.Context(), s.till.Account, refused)
	if !errors.Is(err, coin.ErrExpelled) || coin.Code(err) != "expelled" {
		t.Fatalf("his payment: %v", err)
	}
	batch := s.purse.Prepare(t, 8)
	spend, authorisation := s.purse.AuthoriseBound(t, s.member, coin.Spend{
		Purpose: coin.Exchange, Bank: issuertest.BankID, Currency: "EUR", Coins: s.bound[:1], ToIssuer: batch.Outputs,
		IssuedAt: s.Clock.Now().Unix(),
	})
	if _, err := bank.Exchange(t.Context(), spend, authorisation); !errors.Is(err, coin.ErrExpelled) {
		t.Fatalf("a thief turns bound coins into his own: %v", err)
	}
	// A presentation that proves nothing is a matter of its own.
	broken := *refused
	broken.Authorisation = &coin.Authorisation{Presentation: append([]byte{}, refused.Authorisation.Presentation...)}
	broken.Authorisation.Presentation[400] ^= 1
	if _, err := bank.Deposit(t.Context(), s.till.Account, &broken); !errors.Is(err, coin.ErrBinding) || errors.Is(err, coin.ErrExpelled) {
		t.Fatalf("a broken one: %v", err)
	}
	expelled := s.member
	s.member = stranger
	_, err = bank.Deposit(t.Context(), s.till.Account, s.pay(t, s.till, 8, others...))
	expect(t, err, nil)
	// Nothing was recorded: off the list, the coins are good.
	s.member = expelled
	_, err = s.Deposit(t.Context(), s.till.Account, refused)
	expect(t, err, nil)
	if _, err := bank.Deposit(t.Context(), s.till.Account, refused); err != nil {
		t.Fatalf("what is recorded is answered whoever was struck off since: %v", err)
	}
	s.CheckBooks(t, 180, 20, 15)
}
