package issuer_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"slices"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
	"pgregory.net/rapid"
)

// town is a bank and what its customers believe: balances that they were told
// of, coins that they unblinded. Value is conserved if the two agree.
type town struct {
	t        *testing.T
	bank     *issuertest.Bank
	purse    *issuertest.Purse
	till     *issuertest.Till
	log      *issuertest.Log
	holder   *issuer.Account
	balance  coin.Amount
	credited coin.Amount
	coins    []coin.Coin // unspent
	spent    []coin.Coin
	replays  []func() [][]byte // past requests, each with what it is answered
	answers  [][][]byte
	funded   int
	deposits []takings // that may be refunded
}

// takings are a deposit, and what is left of it to be refunded.
type takings struct {
	op   [32]byte
	left coin.Amount
}

func newTown(t *testing.T) *town {
	h := issuertest.NewHouse(t)
	w := &town{t: t, purse: h.NewPurse(t), log: &issuertest.Log{}}
	w.bank = h.NewBank(t, func(c *issuer.Config) { c.Logger = w.log.Logger() })
	w.till = w.bank.NewTill(t)
	w.holder, _ = w.bank.Funded(t, 0)
	return w
}

// insist repeats a request, through failures that are drawn for it, until it
// is answered.
func (w *town) insist(r *rapid.T, request func() ([][]byte, error)) [][]byte {
	for _, fail := range rapid.SliceOfN(rapid.Int64Range(1, 3), 0, 2).Draw(r, "failures") {
		w.bank.Signer.FailNext.Store(fail)
		if answer, err := request(); err == nil {
			w.bank.Signer.FailNext.Store(0)
			return answer // nothing was to be signed
		} else if !errors.Is(err, issuer.ErrUnavailable) {
			r.Fatalf("a failing token gave %v", err)
		}
		w.check(r, false) // an unanswered request may have moved value, and lost none
	}
	w.bank.Signer.FailNext.Store(0)
	answer, err := request()
	if err != nil {
		r.Fatal(err)
	}
	w.replays = append(w.replays, func() [][]byte {
		again, err := request()
		if err != nil {
			r.Fatalf("repetition: %v", err)
		}
		return again
	})
	w.answers = append(w.answers, answer)
	return answer
}

// values draws values of coins that add up to at most the limit.
func values(r *rapid.T, limit coin.Amount) []coin.Amount {
	var out []coin.Amount
	for _, v := range rapid.SliceOfN(rapid.SampledFrom([]coin.Amount{1, 2, 4, 8, 16}), 1, 6).Draw(r, "values") {
		if v <= limit {
			out, limit = append(out, v), limit-v
		}
	}
	return out
}

// split is an amount in as few coins as possible.
func split(amount coin.Amount) []coin.Amount {
	var out []coin.Amount
	for _, v := range []coin.Amount{16, 8, 4, 2, 1} {
		for ; amount >= v; amount -= v {
			out = append(out, v)
		}
	}
	return out
}

func (w *town) value(coins []coin.Coin) (sum coin.Amount) {
	for i := range coins {
		d, err := w.bank.House.Keyset.Find(coins[i].KeyID)
		expect(w.t, err, nil)
		sum += d.Value
	}
	return sum
}

// take draws coins out of the purse.
func (w *town) take(r *rapid.T) []coin.Coin {
	if len(w.coins) == 0 {
		r.Skip("no coins")
	}
	n := rapid.IntRange(1, min(4, len(w.coins))).Draw(r, "coins")
	taken := slices.Clone(w.coins[:n])
	w.coins = slices.Clone(w.coins[n:])
	w.spent = append(w.spent, taken...)
	return taken
}

func (w *town) fund(r *rapid.T) {
	amount := rapid.Custom(func(r *rapid.T) coin.Amount { return coin.Amount(rapid.IntRange(1, 64).Draw(r, "n")) }).Draw(r, "amount")
	w.funded++
	reference := string(rune('a'+w.funded%26)) + string(rune('0'+w.funded/26))
	for range 2 {
		_, err := w.bank.Fund(w.t.Context(), w.holder.ID, amount, reference)
		expect(w.t, err, nil)
	}
	w.balance += amount
}

func (w *town) withdraw(r *rapid.T) {
	want := values(r, w.balance)
	if len(want) == 0 {
		r.Skip("no money")
	}
	batch := w.purse.Prepare(w.t, want...)
	for _, v := range want {
		w.balance -= v
	}
	answer := w.insist(r, func() ([][]byte, error) {
		signed, err := w.bank.Withdraw(context.Background(), w.holder, batch.Outputs)
		if err != nil {
			return nil, err
		}
		return signed.Signatures, nil
	})
	w.coins = append(w.coins, batch.Finalize(w.t, answer)...)
}

func (w *town) overdraw(r *rapid.T) {
	_, err := w.bank.Withdraw(w.t.Context(), w.holder, w.purse.Prepare(w.t, split(w.balance+1)...).Outputs)
	if !errors.Is(err, issuer.ErrInsufficientFunds) {
		r.Fatalf("overdrawn: %v", err)
	}
}

func (w *town) exchange(r *rapid.T) {
	old := w.take(r)
	batch := w.purse.Prepare(w.t, split(w.value(old))...)
	spend, authorisation := w.purse.Exchange(w.t, old, batch.Outputs)
	answer := w.insist(r, func() ([][]byte, error) {
		signed, err := w.bank.Exchange(context.Background(), spend, authorisation)
		if err != nil {
			return nil, err
		}
		return signed.Signatures, nil
	})
	w.coins = append(w.coins, batch.Finalize(w.t, answer)...)
}

func (w *town) pay(r *rapid.T) {
	old := w.take(r)
	amount := coin.Amount(rapid.Int64Range(1, int64(w.value(old))).Draw(r, "price"))
	change := w.purse.Prepare(w.t, split(w.value(old)-amount)...)
	offer := w.till.Offer(w.t, amount, nil)
	spend, authorisation := w.purse.Pay(w.t, offer, old, change.Outputs)
	if rapid.Bool().Draw(r, "held before") {
		w.hold(r, offer, spend, old)
	}
	w.credited += amount
	w.deposits = append(w.deposits, takings{spend.Op(), amount})
	answer := w.insist(r, func() ([][]byte, error) {
		done, err := w.bank.Deposit(context.Background(), w.till.Account, w.till.Deposit(offer, spend, authorisation))
		if err != nil {
			return nil, err
		}
		return append(done.Signatures, done.Receipt), nil
	})
	w.coins = append(w.coins, change.Finalize(w.t, answer[:len(answer)-1])...)
}

// hold has a payment's coins held; nobody else gets them then, the payer neither.
func (w *town) hold(r *rapid.T, offer *coin.SignedOffer, spend *coin.Spend, old []coin.Coin) {
	request := &issuer.HoldRequest{Offer: offer.Public, PayeeSalt: offer.Private.PayeeSalt, Spend: spend}
	if _, err := w.bank.Hold(w.t.Context(), w.till.Account, request); err != nil {
		r.Fatal(err)
	}
	void, authorisation := w.purse.Void(w.t, offer, old, w.purse.Prepare(w.t, split(w.value(old))...).Outputs)
	if _, err := w.bank.Exchange(w.t.Context(), void, authorisation); !errors.Is(err, issuer.ErrHeld) {
		r.Fatalf("a void of held coins: %v", err)
	}
}

// refund gives back a part of a deposit, or asks for more than is left of it.
func (w *town) refund(r *rapid.T) {
	if len(w.deposits) == 0 {
		r.Skip("no deposit")
	}
	d := &w.deposits[rapid.IntRange(0, len(w.deposits)-1).Draw(r, "deposit")]
	amount := coin.Amount(rapid.Int64Range(1, int64(d.left)+2).Draw(r, "back"))
	batch := w.purse.Prepare(w.t, split(amount)...)
	order := coin.RefundOrder{
		Bank: issuertest.BankID, Deposit: d.op, Outputs: coin.OutputsDigest(batch.Outputs), Amount: amount, Currency: "EUR", At: issuertest.Now,
	}
	jws, err := order.Sign(w.till.Key)
	expect(w.t, err, nil)
	request := &issuer.RefundRequest{Order: jws, Outputs: batch.Outputs}
	if amount > d.left {
		if _, err := w.bank.Refund(w.t.Context(), w.till.Account, request); !errors.Is(err, issuer.ErrRefund) {
			r.Fatalf("%d of %d: %v", amount, d.left, err)
		}
		return
	}
	d.left -= amount
	w.credited -= amount
	answer := w.insist(r, func() ([][]byte, error) {
		signed, err := w.bank.Refund(context.Background(), w.till.Account, request)
		if err != nil {
			return nil, err
		}
		return signed.Signatures, nil
	})
	w.coins = append(w.coins, batch.Finalize(w.t, answer)...)
}

// takeBack pays with coins, does not let the merchant have the payment, and
// voids it; or is too late, and finds his change at the bank.
func (w *town) takeBack(r *rapid.T) {
	old := w.take(r)
	amount := coin.Amount(rapid.Int64Range(1, int64(w.value(old))).Draw(r, "price"))
	change := w.purse.Prepare(w.t, split(w.value(old)-amount)...)
	offer := w.till.Offer(w.t, amount, nil)
	payment, consent := w.purse.Pay(w.t, offer, old, change.Outputs)
	deposit := w.till.Deposit(offer, payment, consent)
	batch := w.purse.Prepare(w.t, split(w.value(old))...)
	void, authorisation := w.purse.Void(w.t, offer, old, batch.Outputs)
	ctx := w.t.Context()
	if rapid.Bool().Draw(r, "too late") {
		_, err := w.bank.Deposit(ctx, w.till.Account, deposit)
		expect(w.t, err, nil)
		_, err = w.bank.Exchange(ctx, void, authorisation)
		expect(w.t, err, issuer.ErrConflict)
		op, err := w.bank.Operation(ctx, void.Op())
		expect(w.t, err, nil)
		w.credited += amount
		w.coins = append(w.coins, change.Finalize(w.t, op.Signatures)...)
		return
	}
	answer := w.insist(r, func() ([][]byte, error) {
		signed, err := w.bank.Exchange(context.Background(), void, authorisation)
		if err != nil {
			return nil, err
		}
		return signed.Signatures, nil
	})
	_, err := w.bank.Deposit(ctx, w.till.Account, deposit)
	expect(w.t, err, issuer.ErrConflict)
	w.coins = append(w.coins, batch.Finalize(w.t, answer)...)
}

func (w *town) doubleSpend(r *rapid.T) {
	if len(w.spent) == 0 {
		r.Skip("nothing is spent")
	}
	coins := append([]coin.Coin{rapid.SampledFrom(w.spent).Draw(r, "spent")}, w.coins[:min(1, len(w.coins))]...)
	offer := w.till.Offer(w.t, w.value(coins), nil)
	spend, authorisation := w.purse.Pay(w.t, offer, coins, nil)
	_, err := w.bank.Deposit(w.t.Context(), w.till.Account, w.till.Deposit(offer, spend, authorisation))
	var refusal *issuer.DoubleSpendError
	if !errors.As(err, &refusal) {
		r.Fatalf("double spend: %v", err)
	}
	if err := refusal.Proof.Verify(spend, w.bank.House.Keyset, nil); err != nil {
		r.Fatalf("proof: %v", err)
	}
}

func (w *town) repeat(r *rapid.T) {
	if len(w.replays) == 0 {
		r.Skip("nothing was asked")
	}
	i := rapid.IntRange(0, len(w.replays)-1).Draw(r, "request")
	if !slices.EqualFunc(w.replays[i](), w.answers[i], bytes.Equal) {
		r.Fatal("a repeated request got other bytes")
	}
}

// check compares the books with what the customers believe. While a request
// is unanswered only the sum can be told.
func (w *town) check(r *rapid.T, settled bool) {
	books, err := w.bank.Books(w.t.Context())
	if err != nil {
		r.Fatal(err)
	}
	if !books.Balanced {
		r.Fatalf("the books do not balance: %+v", books)
	}
	if alarms := w.log.Lines("ALARM"); len(alarms) != 0 {
		r.Fatalf("a false alarm: %s", alarms[0])
	}
	if !settled {
		return
	}
	circulation := int64(w.value(w.coins))
	want := map[string]int64{
		"holder": int64(w.balance), "merchant": int64(w.credited), "circulation": circulation,
		"reserve": -int64(w.balance+w.credited) - circulation,
	}
	for _, c := range books.Classes {
		if c.Balance != want[c.Class] {
			r.Fatalf("%s hold %d, customers believe %d", c.Class, c.Balance, want[c.Class])
		}
	}
}

func TestWhateverHappensValueIsConserved(t *testing.T) {
	// Each check is a bank of its own with some thirty operations.
	old := flag.Lookup("rapid.checks").Value.String()
	expect(t, flag.Set("rapid.checks", "5"), nil)
	t.Cleanup(func() { expect(t, flag.Set("rapid.checks", old), nil) })
	rapid.Check(t, func(r *rapid.T) {
		w := newTown(t)
		w.fund(r)
		r.Repeat(map[string]func(*rapid.T){
			"fund": w.fund, "withdraw": w.withdraw, "withdraw more": w.withdraw, "overdraw": w.overdraw,
			"exchange": w.exchange, "pay": w.pay, "pay more": w.pay, "refund": w.refund,
			"take back": w.takeBack, "double spend": w.doubleSpend, "repeat": w.repeat,
			"": func(r *rapid.T) { w.check(r, true) },
		})
		if _, err := w.bank.Ledger.Verify(t.Context(), ledger.Verification{}); err != nil {
			r.Fatal(err)
		}
	})
}
