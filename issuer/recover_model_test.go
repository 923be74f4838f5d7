package issuer_test

import (
	"bytes"
	"errors"
	"flag"
	"slices"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"pgregory.net/rapid"
)

// self is a person in one of her memberships: as she was when she made coins,
// and as she is now.
type self struct{ then, now *issuertest.Member }

// owned is a coin, and which of its owner's memberships it was made in.
type owned struct {
	coin.Coin
	self int
}

// attrition is a bank, and a holder whose TPMs break one after the other while
// she keeps account of what is hers. A thief has a copy of her purse, and has
// had a TPM broken himself.
type attrition struct {
	*wreck
	t        *testing.T
	selves   []self
	words    [][]byte // from each to the next
	coins    []owned
	spent    []owned
	balance  coin.Amount
	paid     coin.Amount
	answers  map[*request][][]byte
	thief    [2]self
	thiefsOf []byte
}

func (w *attrition) newSelf() self {
	now := w.House.AdmitKnown(w.t)
	return self{then: w.House.Renew(w.t, now, w.House.Contents.Current.Number-1), now: now}
}

func (w *attrition) word(old, heir self) []byte {
	return w.House.Succession(w.t, old.now, heir.now, w.House.Contents.Current.Starts)
}

func (w *attrition) me() int { return len(w.selves) - 1 }

// breaks ends a membership and begins the next.
func (w *attrition) breaks(r *rapid.T) {
	if len(w.selves) >= coin.MaxSuccessions {
		r.Skip("often enough")
	}
	next := w.newSelf()
	w.words = append(w.words, w.word(w.selves[w.me()], next))
	w.selves = append(w.selves, next)
}

func (w *attrition) keep(op [32]byte, b *issuertest.Batch, signatures [][]byte) {
	w.learn(op, b)
	for _, c := range b.Finalize(w.t, signatures) {
		w.coins = append(w.coins, owned{c, w.me()})
	}
}

func (w *attrition) prepare(values ...coin.Amount) *issuertest.Batch {
	return w.purse.PrepareHeld(w.t, w.selves[w.me()].then, values...)
}

func (w *attrition) value(c coin.Coin) coin.Amount {
	d, err := w.keyset.Find(c.KeyID)
	expect(w.t, err, nil)
	return d.Value
}

func (w *attrition) draw(r *rapid.T) {
	if w.balance < 12 {
		r.Skip("no money")
	}
	b := w.prepare(8, 4)
	w.balance -= 12
	signed, err := w.Withdraw(w.t.Context(), w.holder, b.Outputs)
	expect(w.t, err, nil)
	w.keep(signed.Op, b, signed.Signatures)
}

// take draws coins of memberships that are gone, or of the present one.
func (w *attrition) take(r *rapid.T, gone bool) (out []owned) {
	most := rapid.IntRange(1, 4).Draw(r, "coins")
	w.coins = slices.DeleteFunc(slices.Clone(w.coins), func(c owned) bool {
		if len(out) == most || (c.self < w.me()) != gone {
			return false
		}
		out = append(out, c)
		return true
	})
	if len(out) == 0 {
		r.Skip("no such coins")
	}
	w.spent = append(w.spent, out...)
	return out
}

func plain(coins []owned) (out []coin.Coin) {
	for _, c := range coins {
		out = append(out, c.Coin)
	}
	return out
}

// ask authorises a recover as whoever she is now.
func (w *attrition) ask(coins []owned, s coin.Spend) *request {
	first := len(w.words)
	for _, c := range coins {
		first = min(first, c.self)
	}
	s.Coins = plain(coins)
	return w.with(w.purse.AuthoriseRecover(w.t, w.selves[w.me()].now, w.words[first:], s))
}

func (w *attrition) recoverSome(r *rapid.T) {
	coins := w.take(r, true)
	if w.withdrawn(coins) && rapid.Bool().Draw(r, "as money") {
		var sum coin.Amount
		unsigned := slices.Clone(coins)
		for i := range unsigned {
			sum += w.value(unsigned[i].Coin)
			unsigned[i].Signature = nil
		}
		_, err := w.recover(w.ask(unsigned, coin.Spend{Amount: sum}))
		expect(w.t, err, nil)
		w.balance += sum
		return
	}
	var values []coin.Amount
	for _, c := range coins {
		values = append(values, w.value(c.Coin))
	}
	b := w.prepare(values...)
	q := w.ask(coins, coin.Spend{ToIssuer: b.Outputs})
	signed, err := w.recover(q)
	expect(w.t, err, nil)
	w.keep(signed.Op, b, signed.Signatures)
	w.answers[q] = signed.Signatures
}

// withdrawn says whether all of the coins were, and none came back from a recover.
func (w *attrition) withdrawn(coins []owned) bool {
	return !slices.ContainsFunc(coins, func(c owned) bool {
		op, err := w.Operation(w.t.Context(), w.claims[c.ID()].Op)
		expect(w.t, err, nil)
		return op.Kind != issuer.KindWithdrawal
	})
}

func (w *attrition) pay(r *rapid.T) {
	coins := w.take(r, false)
	var sum coin.Amount
	for _, c := range coins {
		sum += w.value(c.Coin)
	}
	offer := w.till.Offer(w.t, sum, nil)
	spend, a := w.purse.AuthoriseBound(w.t, w.selves[w.me()].now, issuertest.Payment(offer, plain(coins), nil))
	_, err := w.Deposit(w.t.Context(), w.till.Account, w.till.Deposit(offer, spend, a))
	expect(w.t, err, nil)
	w.paid += sum
}

// steal is what the thief tries, with her purse and his own TPM; and she, with
// what is spent.
func (w *attrition) steal(r *rapid.T) {
	if len(w.coins)+len(w.spent) == 0 {
		r.Skip("nothing to steal")
	}
	c := rapid.SampledFrom(slices.Concat(w.coins, w.spent)).Draw(r, "coin")
	outputs := w.purse.Prepare(w.t, w.value(c.Coin)).Outputs
	spend, a := w.purse.AuthoriseRecover(w.t, w.thief[1].now, [][]byte{w.thiefsOf}, coin.Spend{Coins: []coin.Coin{c.Coin}, ToIssuer: outputs})
	var double *issuer.DoubleSpendError
	if _, err := w.Recover(w.t.Context(), spend, a, nil); !errors.Is(err, coin.ErrHolding) {
		// Alone, it is the op of a recover that happened: the answer is hers.
		if op, lookup := w.Operation(w.t.Context(), spend.Op()); err != nil || lookup != nil || op.Kind != issuer.KindRecover {
			r.Fatalf("the thief's recover: %v", err)
		}
	}
	if c.self == w.me() {
		return // she has that TPM
	}
	if !slices.ContainsFunc(w.spent, func(o owned) bool { return o.ID() == c.ID() }) {
		return // hers to take
	}
	q := w.ask([]owned{c}, coin.Spend{ToIssuer: outputs})
	if _, err := w.recover(q); !errors.As(err, &double) {
		if op, lookup := w.Operation(w.t.Context(), q.spend.Op()); err != nil || lookup != nil || op.Kind != issuer.KindRecover {
			r.Fatalf("a spent coin was recovered: %v", err)
		}
	}
}

func (w *attrition) repeat(r *rapid.T) {
	for q, answer := range w.answers {
		signed, err := w.recover(q)
		if err != nil || !slices.EqualFunc(signed.Signatures, answer, bytes.Equal) {
			r.Fatalf("a repeated recover got another answer: %v", err)
		}
	}
}

func (w *attrition) check(r *rapid.T) {
	books, err := w.Books(w.t.Context())
	expect(w.t, err, nil)
	var circulation coin.Amount
	for _, c := range w.coins {
		circulation += w.value(c.Coin)
	}
	want := map[string]coin.Amount{
		"holder": w.balance, "merchant": w.paid, "circulation": circulation, "reserve": -w.balance - w.paid - circulation,
	}
	for _, c := range books.Classes {
		if coin.Amount(c.Balance) != want[c.Class] {
			r.Fatalf("%s hold %d, the holder knows of %d", c.Class, c.Balance, want[c.Class])
		}
	}
	if !books.Balanced {
		r.Fatalf("the books do not balance: %+v", books)
	}
}

func TestHoweverManyTPMsBreakValueIsConserved(t *testing.T) {
	old := flag.Lookup("rapid.checks").Value.String()
	expect(t, flag.Set("rapid.checks", "6"), nil)
	t.Cleanup(func() { expect(t, flag.Set("rapid.checks", old), nil) })
	rapid.Check(t, func(r *rapid.T) {
		w := &attrition{wreck: newWreck(t, nil), t: t, balance: 100, answers: map[*request][][]byte{}}
		w.selves = []self{w.newSelf()}
		w.thief = [2]self{w.newSelf(), w.newSelf()}
		w.thiefsOf = w.word(w.thief[0], w.thief[1])
		for range 3 { // a step that can't be taken ends a short run early
			w.draw(r)
		}
		w.breaks(r)
		r.Repeat(map[string]func(*rapid.T){
			"draw": w.draw, "break": w.breaks, "recover": w.recoverSome, "recover more": w.recoverSome, "pay": w.pay,
			"steal": w.steal, "repeat": w.repeat, "": w.check,
		})
		// In the end nothing is stuck.
		w.breaks(r)
		for slices.ContainsFunc(w.coins, func(c owned) bool { return c.self < w.me() }) {
			w.recoverSome(r)
		}
		w.check(r)
		audit(t, w.Bank)
	})
}
