package issuer_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/opening"
)

// boundShop is a shop whose payer has bound coins 8 and 4 on his TPM too.
type boundShop struct {
	*shop
	member *issuertest.Member
	bound  []coin.Coin
}

func newBoundShop(t *testing.T) *boundShop {
	t.Helper()
	s := &boundShop{shop: newShop(t)}
	s.member = s.House.Admit(t)
	s.bound = s.strike(t, s.member, 8, 4)
	return s
}

// strike withdraws coins bound to a member's TPM.
func (s *boundShop) strike(t *testing.T, m *issuertest.Member, values ...coin.Amount) []coin.Coin {
	t.Helper()
	account, _ := s.Funded(t, 100)
	batch := s.purse.PrepareBound(t, m, values...)
	signed, err := s.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, nil)
	return batch.Finalize(t, signed.Signatures)
}

// pay authorises a payment of as much as the coins are worth.
func (s *boundShop) pay(t *testing.T, till *issuertest.Till, amount coin.Amount, coins ...coin.Coin) *issuer.DepositRequest {
	t.Helper()
	offer := till.Offer(t, amount, nil)
	spend, authorisation := s.purse.AuthoriseBound(t, s.member, issuertest.Payment(offer, coins, nil))
	return till.Deposit(offer, spend, authorisation)
}

// omitting is a payment with a coin that is not on the member's TPM, which his
// presentation is silent about.
func (s *boundShop) omitting(t *testing.T, own, foreign coin.Coin) *issuer.DepositRequest {
	t.Helper()
	offer := s.till.Offer(t, 12, nil)
	payment := issuertest.Payment(offer, []coin.Coin{own, foreign}, nil)
	payment.Group = s.House.Document(t).GroupID()
	spend, err := coin.NewSpend(payment)
	expect(t, err, nil)
	claim, err := own.BoundClaim()
	expect(t, err, nil)
	claims, err := coin.Claims([]coin.BoundClaim{claim})
	expect(t, err, nil)
	presentation, err := s.member.Present(t.Context(), s.member.Key, spend.Frame(), claims)
	expect(t, err, nil)
	return s.till.Deposit(offer, spend, &coin.Authorisation{Presentation: presentation.Bytes()})
}

func TestBoundAndBearerCoinsPayTogether(t *testing.T) {
	s := newBoundShop(t)
	request := s.pay(t, s.till, 20, s.bound[0], s.bound[1], s.coins[0])
	_, err := s.Deposit(t.Context(), s.till.Account, request)
	expect(t, err, nil)
	s.CheckBooks(t, 88, 20, 7)
}

func TestABoundDepositIsRefusedWithNothingLost(t *testing.T) {
	s := newBoundShop(t)
	stranger := s.House.Admit(t)
	foreign := s.strike(t, stranger, 4)
	withoutGroups := s.Config
	withoutGroups.Groups = nil
	bankWithoutGroups, err := issuer.New(t.Context(), withoutGroups)
	expect(t, err, nil)
	pastEpoch := s.Config
	verifier, err := group.NewVerifier(s.House.Document(t).Parameters(), s.House.Contents.Current.Number+1)
	expect(t, err, nil)
	pastEpoch.Groups = issuertest.Groups{Verify: coin.NewPresentationVerifier(verifier)}
	bankOfNextEpoch, err := issuer.New(t.Context(), pastEpoch)
	expect(t, err, nil)
	down := s.Config
	down.Groups = issuertest.Groups{Err: issuer.ErrUnavailable}
	bankCutOff, err := issuer.New(t.Context(), down)
	expect(t, err, nil)

	tests := []struct {
		name    string
		bank    *issuer.Bank
		request *issuer.DepositRequest
		change  func(*issuer.DepositRequest)
		want    error
	}{
		{"of a coin on another member's TPM", s.Bank.Bank, s.omitting(t, s.bound[0], foreign[0]), nil, coin.ErrBinding},
		{"with a flipped presentation", s.Bank.Bank, s.pay(t, s.till, 8, s.bound[0]), func(r *issuer.DepositRequest) {
			r.Authorisation.Presentation = bytes.Clone(r.Authorisation.Presentation)
			r.Authorisation.Presentation[400] ^= 1
		}, coin.ErrBinding},
		{"without a presentation", s.Bank.Bank, s.pay(t, s.till, 8, s.bound[0]), func(r *issuer.DepositRequest) { r.Authorisation.Presentation = nil }, coin.ErrBinding},
		{"with a presentation over another spend", s.Bank.Bank, s.pay(t, s.till, 8, s.bound[0]), func(r *issuer.DepositRequest) {
			r.Authorisation = s.pay(t, s.till, 8, s.bound[0]).Authorisation
		}, coin.ErrBinding},
		{"with a point that is not on the curve", s.Bank.Bank, s.pay(t, s.till, 8, s.bound[0]), func(r *issuer.DepositRequest) {
			r.Spend.Coins = slices.Clone(r.Spend.Coins)
			owner := slices.Clone(r.Spend.Coins[0].Owner)
			for i := coin.NonceSize + 1; i < len(owner); i++ {
				owner[i] = 0xff
			}
			r.Spend.Coins[0].Owner = owner
		}, coin.ErrCoinSignature},
		{"at a bank that takes no group", bankWithoutGroups, s.pay(t, s.till, 8, s.bound[0]), nil, coin.ErrBinding},
		{"in an epoch that is over", bankOfNextEpoch, s.pay(t, s.till, 8, s.bound[0]), nil, group.ErrEpoch},
		{"at a bank that can't reach the group", bankCutOff, s.pay(t, s.till, 8, s.bound[0]), nil, issuer.ErrUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.change != nil {
				tt.change(tt.request)
			}
			_, err := tt.bank.Deposit(t.Context(), s.till.Account, tt.request)
			expect(t, err, tt.want)
		})
	}
	s.CheckBooks(t, 184, 0, 31)
	_, err = s.Deposit(t.Context(), s.till.Account, s.pay(t, s.till, 8, s.bound[0]))
	expect(t, err, nil)
}

func TestADoubleSpendOfBoundCoinsFilesOneCaseThatTheSupervisorsCanOpen(t *testing.T) {
	s := newBoundShop(t)
	first := s.pay(t, s.till, 12, s.bound...)
	_, err := s.Deposit(t.Context(), s.till.Account, first)
	expect(t, err, nil)
	other := s.NewTill(t)
	for range 3 { // each time with a new offer
		second := s.pay(t, other, 12, s.bound...)
		_, err = s.Deposit(t.Context(), other.Account, second)
		var refusal *issuer.DoubleSpendError
		if !errors.As(err, &refusal) {
			t.Fatalf("got %v, want a double spend", err)
		}
		verifier, err := s.House.Document(t).Verifier(issuertest.Now)
		expect(t, err, nil)
		expect(t, refusal.Proof.Verify(second.Spend, s.House.Keyset, coin.NewPresentationVerifier(verifier)), nil)
	}
	cases, next, err := s.Cases(t.Context(), ledgerPage)
	expect(t, err, nil)
	if len(cases) != 1 || next != "" {
		t.Fatalf("%d cases, next %q", len(cases), next)
	}
	filed, err := s.Case(t.Context(), cases[0].ID)
	expect(t, err, nil)
	papers, err := opening.ReadPapers(s.House.Root, s.House.KeysetJWS, s.House.Sign(t), issuertest.Now)
	expect(t, err, nil)
	file, err := opening.ParseCase(filed.JSON)
	expect(t, err, nil)
	expect(t, file.Verify(papers), nil)
	s.CheckBooks(t, 88, 12, 15)
}
