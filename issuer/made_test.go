package issuer_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

func TestABlindedMessageIsSignedForOneOperationOnly(t *testing.T) {
	w := newWreck(t, nil)
	other, _ := w.Funded(t, 100)
	used := w.purse.Prepare(t, 4)
	coins := w.withdraw(t, w.holder, used)
	revoked := w.draw(t, 16)
	w.revoke(t, revoked[0].KeyID)
	bound := w.bind(t, w.old, 4)
	fresh := w.draw(t, 4, 4, 8, 8)
	tests := []struct {
		name string
		do   func() error
	}{
		{"in a withdrawal of another account", func() error {
			_, err := w.Withdraw(t.Context(), other, used.Outputs)
			return err
		}},
		{"among others in a withdrawal of the same account", func() error {
			_, err := w.Withdraw(t.Context(), w.holder, append(w.purse.Prepare(t, 1).Outputs, used.Outputs...))
			return err
		}},
		{"in an exchange", func() error {
			s, a := w.purse.Exchange(t, fresh[:1], used.Outputs)
			_, err := w.Exchange(t.Context(), s, a)
			return err
		}},
		{"in a void", func() error {
			s, a := w.purse.Void(t, w.till.Offer(t, 4, nil), fresh[1:2], used.Outputs)
			_, err := w.Exchange(t.Context(), s, a)
			return err
		}},
		{"in the change of a payment", func() error {
			offer := w.till.Offer(t, 4, nil)
			s, a := w.purse.Pay(t, offer, fresh[2:3], used.Outputs)
			_, err := w.Deposit(t.Context(), w.till.Account, w.till.Deposit(offer, s, a))
			return err
		}},
		{"in a recoup", func() error {
			_, err := w.send(w.claim(t, w.draft(t, revoked, append(w.purse.Prepare(t, 8, 4).Outputs, used.Outputs...)...)))
			return err
		}},
		{"in a recover", func() error {
			w.later()
			_, err := w.recover(w.recovery(t, coin.Spend{Coins: bound, ToIssuer: used.Outputs}))
			return err
		}},
	}
	before, err := w.Books(t.Context())
	expect(t, err, nil)
	for _, tt := range tests {
		if err := tt.do(); !errors.Is(err, issuer.ErrOutputUsed) || errors.Is(err, issuer.ErrDoubleSpend) {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
	after, err := w.Books(t.Context())
	expect(t, err, nil)
	if !slices.Equal(before.Classes, after.Classes) {
		t.Errorf("the books went from %+v to %+v", before.Classes, after.Classes)
	}
	// The coin itself is good, and so are those that were to pay for it again.
	s, a := w.purse.Exchange(t, append(coins, fresh...), w.purse.Prepare(t, 8, 8, 8, 4).Outputs)
	_, err = w.Exchange(t.Context(), s, a)
	expect(t, err, nil)
	audit(t, w.Bank)
}

func TestACoinThatIsSpentCountsMoreThanAnOutputThatIsUsed(t *testing.T) {
	s := newShop(t)
	ctx := t.Context()
	m := s.House.Admit(t)
	account, _ := s.Funded(t, 8)
	batch := s.purse.PrepareBound(t, m, 4, 4)
	signed, err := s.Withdraw(ctx, account, batch.Outputs)
	expect(t, err, nil)
	bound := batch.Finalize(t, signed.Signatures)
	change := s.purse.Prepare(t, 2)
	pay := func(coins []coin.Coin, change *issuertest.Batch) error {
		offer := s.till.Offer(t, 2, nil)
		spend, authorisation := s.purse.AuthoriseBound(t, m, issuertest.Payment(offer, coins, change.Outputs))
		_, err := s.Deposit(ctx, s.till.Account, s.till.Deposit(offer, spend, authorisation))
		return err
	}
	expect(t, pay(bound[:1], change), nil)
	expect(t, pay(bound[1:], change), issuer.ErrOutputUsed)
	cases, _, err := s.Cases(ctx, ledgerPage)
	expect(t, err, nil)
	if len(cases) != 0 {
		t.Error("an output that was used made a case")
	}
	err = pay(bound[:1], change)
	expect(t, err, issuer.ErrDoubleSpend)
	var double *issuer.DoubleSpendError
	if !errors.As(err, &double) || double.Proof.CoinID != bound[0].ID() {
		t.Errorf("the proof is of another coin: %v", err)
	}
	cases, _, err = s.Cases(ctx, ledgerPage)
	expect(t, err, nil)
	if len(cases) != 1 {
		t.Errorf("%d cases", len(cases))
	}
}

func TestAnAuditTakesOperationsWithAllOfTheirMarksOrNone(t *testing.T) {
	s := audited(t)
	marks := 0
	found := func(change func(op *ledger.Op)) []string {
		before, err := s.Audit(t.Context(), nil)
		expect(t, err, nil)
		s.tamper(t, issuer.KindDeposit, func(op *ledger.Op) {
			n := byte(len(before.Problems) + 1)
			op.ID[1] = n
			for i := range op.Spends {
				op.Spends[i].ID[1] = n
			}
			change(op)
		})
		after, err := s.Audit(t.Context(), nil)
		expect(t, err, nil)
		return slices.DeleteFunc(after.Problems, func(p string) bool {
			return slices.Contains(before.Problems, p) || !strings.Contains(p, "marked other outputs")
		})
	}
	// A copy of a deposit marks other outputs than its request has, if any.
	if got := found(func(op *ledger.Op) {
		all := len(op.Spends)
		op.Spends = slices.DeleteFunc(op.Spends, func(s ledger.Spend) bool { return strings.HasPrefix(s.Epoch, "m_") })
		marks = all - len(op.Spends)
	}); len(got) != 0 {
		t.Errorf("without marks, as before there were made sets: %q", got)
	}
	if marks != 2 {
		t.Errorf("a deposit with two outputs of change marked %d", marks)
	}
	if got := found(func(op *ledger.Op) { op.Spends = op.Spends[:len(op.Spends)-1] }); len(got) != 1 {
		t.Errorf("with one mark of two: %q", got)
	}
}
