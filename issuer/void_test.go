package issuer_test

import (
	"errors"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/opening"
)

// void takes a payment back: the same coins, the same offer, all of the value
// to new coins bound to the same TPM.
func (s *boundShop) void(t *testing.T, paid *issuer.DepositRequest) (*coin.Spend, *coin.Authorisation, *issuertest.Batch) {
	t.Helper()
	batch := s.purse.PrepareBound(t, s.member, 8, 4)
	spend, a := s.purse.AuthoriseBound(t, s.member, coin.Spend{
		Purpose: coin.Void, Bank: issuertest.BankID, OfferDigest: paid.Spend.OfferDigest, Currency: issuertest.Currency,
		Coins: s.bound, ToIssuer: batch.Outputs, IssuedAt: issuertest.Now.Unix(),
	})
	return spend, a, batch
}

func (s *boundShop) noCase(t *testing.T) {
	t.Helper()
	cases, _, err := s.Cases(t.Context(), ledgerPage)
	expect(t, err, nil)
	if len(cases) != 0 {
		t.Fatalf("an honest holder has %d cases against him", len(cases))
	}
}

// proves checks the evidence that comes with the refusal of a spend.
func (s *boundShop) proves(t *testing.T, err error, refused *coin.Spend) {
	t.Helper()
	var refusal *issuer.VoidError
	if !errors.As(err, &refusal) {
		t.Fatal("no evidence")
	}
	verifier, err := s.House.Document(t).Verifier(issuertest.Now)
	expect(t, err, nil)
	expect(t, refusal.Proof.Verify(refused, s.House.Keyset, coin.NewPresentationVerifier(verifier)), nil)
	if refusal.Op != refused.Op() {
		t.Error("the evidence names another operation")
	}
}

func TestAPaymentAndItsVoidAreOneOperation(t *testing.T) {
	s := newBoundShop(t)
	paid := s.pay(t, s.till, 12, s.bound...)
	spend, _, _ := s.void(t, paid)
	if spend.Op() != paid.Spend.Op() {
		t.Fatal("payment and void have two ops")
	}
}

func TestAVoidedPaymentIsNotDepositedAndAccusesNobody(t *testing.T) {
	s := newBoundShop(t)
	paid := s.pay(t, s.till, 12, s.bound...)
	spend, a, batch := s.void(t, paid)
	done, err := s.Exchange(t.Context(), spend, a)
	expect(t, err, nil)
	batch.Finalize(t, done.Signatures)
	_, err = s.Deposit(t.Context(), s.till.Account, paid)
	expect(t, err, issuer.ErrConflict)
	s.proves(t, err, paid.Spend)
	s.noCase(t)
	// A repeated void brings the same coins.
	again, err := s.Exchange(t.Context(), spend, a)
	expect(t, err, nil)
	batch.Finalize(t, again.Signatures)
	s.CheckBooks(t, 88, 0, 27)
}

func TestADepositedPaymentIsNotVoidedAndAccusesNobody(t *testing.T) {
	s := newBoundShop(t)
	paid := s.pay(t, s.till, 12, s.bound...)
	_, err := s.Deposit(t.Context(), s.till.Account, paid)
	expect(t, err, nil)
	spend, a, _ := s.void(t, paid)
	_, err = s.Exchange(t.Context(), spend, a)
	expect(t, err, issuer.ErrConflict)
	s.proves(t, err, spend)
	s.noCase(t)
	s.CheckBooks(t, 88, 12, 15)

	// Nor can a bank make a case of the two on its own.
	c := &opening.Case{Bank: issuertest.BankID, CoinID: s.bound[0].ID(), Spends: [2]opening.Spend{
		{Spend: paid.Spend, Authorisation: paid.Authorisation}, {Spend: spend, Authorisation: a},
	}}
	papers, err := opening.ReadPapers(s.House.Root, s.House.KeysetJWS, s.House.Sign(t), issuertest.Now)
	expect(t, err, nil)
	if err := c.Verify(papers); !errors.Is(err, opening.ErrNoCase) {
		t.Fatalf("got %v", err)
	}
}

// TestAPartOfAPaymentIsTakenBackAndAccusesNobody: the rest could not be
// authorised any more. Another offer's payment with the coin is a case still.
func TestAPartOfAPaymentIsTakenBackAndAccusesNobody(t *testing.T) {
	s := newBoundShop(t)
	paid := s.pay(t, s.till, 12, s.bound...)
	batch := s.purse.PrepareBound(t, s.member, 8)
	part, a := s.purse.AuthoriseBound(t, s.member, coin.Spend{
		Purpose: coin.Void, Bank: issuertest.BankID, OfferDigest: paid.Spend.OfferDigest, Currency: issuertest.Currency,
		Coins: s.bound[:1], ToIssuer: batch.Outputs, IssuedAt: issuertest.Now.Unix(),
	})
	if part.Op() == paid.Spend.Op() {
		t.Fatal("a part is the whole")
	}
	_, err := s.Exchange(t.Context(), part, a)
	expect(t, err, nil)
	_, err = s.Deposit(t.Context(), s.till.Account, paid)
	var refusal *issuer.DoubleSpendError
	if !errors.As(err, &refusal) || refusal.Proof.Spend.Digest() != part.Digest() {
		t.Fatalf("the merchant is refused without the proof: %v", err)
	}
	s.noCase(t)
	c := &opening.Case{Bank: issuertest.BankID, CoinID: s.bound[0].ID(), Spends: [2]opening.Spend{
		{Spend: part, Authorisation: a}, {Spend: paid.Spend, Authorisation: paid.Authorisation},
	}}
	papers, err := opening.ReadPapers(s.House.Root, s.House.KeysetJWS, s.House.Sign(t), issuertest.Now)
	expect(t, err, nil)
	if err := c.Verify(papers); !errors.Is(err, opening.ErrNoCase) {
		t.Fatalf("the supervisors say %v", err)
	}

	_, err = s.Deposit(t.Context(), s.till.Account, s.pay(t, s.till, 8, s.bound[:1]...))
	expect(t, err, issuer.ErrDoubleSpend)
	if cases, _, err := s.Cases(t.Context(), ledgerPage); err != nil || len(cases) != 1 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
}
