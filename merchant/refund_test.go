package merchant_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// A sale is a payment of 13 by alice, deposited.
type sale struct {
	town  *wallettest.Town
	shop  *wallettest.Shop
	alice *wallettest.Holder
	paid  *wallet.Payment
	op    [32]byte // of the deposit
}

func newSale(t *testing.T) *sale {
	t.Helper()
	s := &sale{town: wallettest.New(t)}
	s.shop, s.alice = s.town.NewShop(t), s.town.NewHolder(t, 16)
	s.alice.Draw(t, 16, coin.Bearer)
	var err error
	s.paid, err = s.alice.Pay(t.Context(), s.shop.Ask(t, 13), coin.Bearer)
	must(t, err)
	spend, _, err := coin.DecodeSpend(s.paid.Spend)
	must(t, err)
	s.op = spend.Op()
	return s
}

// offer lets alice collect an amount.
func (s *sale) offer(t *testing.T, amount coin.Amount) {
	t.Helper()
	_, err := s.shop.OfferRefund(t.Context(), s.op, amount, nil)
	must(t, err)
}

// wantRefunds fails unless the till has refunds in these states, in any order.
func (s *sale) wantRefunds(t *testing.T, states ...string) {
	t.Helper()
	list, err := s.shop.Refunds(t.Context())
	must(t, err)
	var got []string
	for _, r := range list {
		got = append(got, r.State)
	}
	slices.Sort(got)
	slices.Sort(states)
	if !slices.Equal(got, states) {
		t.Fatalf("refunds are %v, want %v", got, states)
	}
}

// cancelled takes back what waits, and says what it came to.
func (s *sale) cancelled(t *testing.T) (sum coin.Amount) {
	t.Helper()
	list, err := s.shop.CancelRefunds(t.Context(), s.op)
	must(t, err)
	for _, r := range list {
		if r.State != merchant.RefundCancelled {
			t.Errorf("cancelled: %+v", r)
		}
		sum += r.Amount
	}
	return sum
}

func refusal(code string) string {
	return `{"status":409,"code":"` + code + `","title":"x"}`
}

func TestARefundThatNobodyComesForIsTakenBack(t *testing.T) {
	s := newSale(t)
	s.offer(t, 8)
	s.offer(t, 5)
	if got := s.cancelled(t); got != 13 {
		t.Errorf("%d were taken back", got)
	}
	s.wantRefunds(t, merchant.RefundCancelled, merchant.RefundCancelled)
	if got := s.cancelled(t); got != 0 {
		t.Errorf("%d were taken back twice", got)
	}
	_, err := s.alice.Refund(t.Context(), s.paid.ID)
	want(t, err, wallet.ErrNoRefund)
	_, err = s.shop.CancelRefunds(t.Context(), [32]byte{1})
	want(t, err, merchant.ErrNoPayment)
	s.offer(t, 13) // and it blocks nothing
	_, err = s.alice.Refund(t.Context(), s.paid.ID)
	must(t, err)
	if got := s.cancelled(t); got != 0 {
		t.Errorf("%d were taken back of what the payer has", got)
	}
	holds(t, s.town, s.shop.Account, 0)
	s.town.CheckBooks(t)
}

func TestAClaimedRefundIsTakenBackOnlyIfTheBankHasNotDoneIt(t *testing.T) {
	cases := map[string]struct {
		way   func(s *sale) // how the claim is lost
		after func(s *sale) // how it is when the merchant cancels
		state string
		sum   coin.Amount
	}{
		"done, and only the answer was lost": {
			func(s *sale) { s.shop.Wire.Once("/v1/refunds", wallettest.LoseAnswer) }, func(*sale) {}, merchant.RefundDone, 0,
		},
		"not done yet: it is done now": {
			func(s *sale) { s.shop.Wire.Once("/v1/refunds", wallettest.LoseRequest) }, func(*sale) {}, merchant.RefundDone, 0,
		},
		"refused for good, by a bank that is asked again": {
			func(s *sale) { s.shop.Wire.Once("/v1/refunds", wallettest.LoseRequest) },
			func(s *sale) {
				answerWith(&s.town.BankGate, "/v1/refunds", http.StatusConflict, "application/problem+json", refusal("settled"))
			}, merchant.RefundRefused, 0,
		},
		"refused for its outputs": {
			func(s *sale) { s.shop.Wire.Once("/v1/refunds", wallettest.LoseRequest) },
			func(s *sale) {
				answerWith(&s.town.BankGate, "/v1/refunds", http.StatusConflict, "application/problem+json", refusal("output-used"))
			}, merchant.RefundCancelled, 13,
		},
		"the account is empty": {
			func(s *sale) {
				answerWith(&s.town.BankGate, "/v1/refunds", http.StatusConflict, "application/problem+json", refusal("insufficient-funds"))
			}, func(*sale) {}, merchant.RefundCancelled, 13,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSale(t)
			s.offer(t, 0)
			c.way(s)
			_, err := s.alice.Refund(t.Context(), s.paid.ID)
			want(t, err, wallet.ErrOpen)
			s.wantRefunds(t, merchant.RefundSubmitted)
			c.after(s)
			if got := s.cancelled(t); got != c.sum {
				t.Errorf("%d were taken back, want %d", got, c.sum)
			}
			s.wantRefunds(t, c.state)
			s.town.BankGate.Instead("/v1/refunds", nil)
			_, err = s.alice.Resume(t.Context())
			if err != nil && c.state == merchant.RefundDone {
				t.Fatal(err)
			}
			fresh, committed := s.alice.Worth(t)
			if got := map[bool]coin.Amount{true: 16, false: 3}[c.state == merchant.RefundDone]; fresh != got || committed != 0 {
				t.Errorf("the payer has %d and %d, want %d", fresh, committed, got)
			}
			s.town.CheckBooks(t)
		})
	}
	t.Run("a bank that can't be asked", func(t *testing.T) {
		s := newSale(t)
		s.offer(t, 0)
		s.shop.Wire.Once("/v1/refunds", wallettest.LoseAnswer)
		_, err := s.alice.Refund(t.Context(), s.paid.ID)
		want(t, err, wallet.ErrOpen)
		s.town.BankGate.Shut(true)
		_, err = s.shop.CancelRefunds(t.Context(), s.op)
		want(t, err, merchant.ErrOpen)
		s.wantRefunds(t, merchant.RefundSubmitted)
	})
}

func TestARefundWhoseOutputsTheBankRefusedCanBeClaimedWithOthers(t *testing.T) {
	s := newSale(t)
	s.offer(t, 0)
	answerWith(&s.town.BankGate, "/v1/refunds", http.StatusConflict, "application/problem+json", refusal("output-used"))
	if _, err := s.alice.Refund(t.Context(), s.paid.ID); err == nil {
		t.Fatal("nothing was refused")
	}
	s.wantRefunds(t, merchant.RefundOffered)
	holds(t, s.town, s.shop.Account, 13)
	s.town.BankGate.Instead("/v1/refunds", nil)
	got, err := s.alice.Refund(t.Context(), s.paid.ID)
	must(t, err)
	if got != 13 {
		t.Errorf("%d came back", got)
	}
	s.wantRefunds(t, merchant.RefundDone)
	holds(t, s.town, s.shop.Account, 0)
	s.town.CheckBooks(t)
}

func TestWhatWasCollectedWhileTheBankWasAskedIsNotOfferedAgain(t *testing.T) {
	s := newSale(t)
	s.offer(t, 8)
	_, err := s.alice.Refund(t.Context(), s.paid.ID)
	must(t, err)
	s.wantRefunds(t, merchant.RefundDone)
	// What the bank said a moment before.
	answerWith(&s.town.BankGate, "/v1/deposits/"+base64.RawURLEncoding.EncodeToString(s.op[:]), http.StatusOK, "application/json", `{"refundable":13,"settled":false}`)
	_, err = s.shop.OfferRefund(t.Context(), s.op, 6, nil)
	want(t, err, merchant.ErrRefund)
	r, err := s.shop.OfferRefund(t.Context(), s.op, 0, nil)
	must(t, err)
	if r.Amount != 5 {
		t.Errorf("%d of 5 are offered", r.Amount)
	}
}

func TestARefundThatIsAskedForAgainIsGivenOnce(t *testing.T) {
	s := newSale(t)
	ctx, id := t.Context(), bytes.Repeat([]byte{7}, merchant.RefundIDSize)
	again := func(t *testing.T, amount coin.Amount, id []byte, state string, worth coin.Amount) {
		t.Helper()
		r, err := s.shop.OfferRefund(ctx, s.op, amount, id)
		must(t, err)
		if !bytes.Equal(r.ID, id) || r.State != state || r.Amount != worth {
			t.Errorf("%+v", r)
		}
	}
	// Sent again before the first was answered.
	errs := make(chan error)
	for range 4 {
		go func() {
			r, err := s.shop.OfferRefund(ctx, s.op, 4, id)
			if err == nil && (!bytes.Equal(r.ID, id) || r.Amount != 4) {
				err = fmt.Errorf("another refund: %+v", r)
			}
			errs <- err
		}()
	}
	for range 4 {
		must(t, <-errs)
	}
	s.wantRefunds(t, merchant.RefundOffered)
	for name, asked := range map[string]coin.Amount{"another amount": 5, "all that is left": 0} {
		t.Run(name+" under that id is refused", func(t *testing.T) {
			_, err := s.shop.OfferRefund(ctx, s.op, asked, id)
			want(t, err, merchant.ErrRefundID)
		})
	}
	t.Run("another payment under that id is refused", func(t *testing.T) {
		_, err := s.shop.OfferRefund(ctx, [32]byte{1}, 4, id)
		want(t, err, merchant.ErrRefundID)
	})
	t.Run("so is an id of another size", func(t *testing.T) {
		_, err := s.shop.OfferRefund(ctx, s.op, 4, id[1:])
		want(t, err, merchant.ErrRefundID)
		_, err = s.shop.OfferRefund(ctx, s.op, 4, []byte{})
		want(t, err, merchant.ErrRefundID)
	})
	_, err := s.alice.Refund(ctx, s.paid.ID)
	must(t, err)
	// What is offered already needs no bank.
	s.town.BankGate.Shut(true)
	again(t, 4, id, merchant.RefundDone, 4)
	s.town.BankGate.Shut(false)
	t.Run("all that is left is the same by its id when nothing is left", func(t *testing.T) {
		other := bytes.Repeat([]byte{8}, merchant.RefundIDSize)
		again(t, 0, other, merchant.RefundOffered, 9)
		again(t, 0, other, merchant.RefundOffered, 9)
		if got := s.cancelled(t); got != 9 {
			t.Errorf("%d were taken back", got)
		}
		again(t, 0, other, merchant.RefundCancelled, 9)
		_, err := s.shop.OfferRefund(ctx, s.op, 9, other)
		want(t, err, merchant.ErrRefundID)
	})
	s.wantRefunds(t, merchant.RefundDone, merchant.RefundCancelled)
	s.town.CheckBooks(t)
}
