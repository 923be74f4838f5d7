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
	"pgregory.net/rapid"
)

// ruin is a bank whose keys are revoked and lost one after the other, and a
// holder who keeps account of what is his.
type ruin struct {
	*rescue
	t        *testing.T
	balance  coin.Amount
	credited coin.Amount
	coins    []coin.Coin // unspent, some without a signature
	spent    []coin.Coin
	gone     map[coin.Amount]bool // keys revoked or lost
	answers  map[*request][][]byte
}

// values that issue.
func (w *ruin) values() (out []coin.Amount) {
	for _, v := range []coin.Amount{16, 8, 4, 2, 1} {
		if !w.gone[v] {
			out = append(out, v)
		}
	}
	return out
}

func (w *ruin) prepare(amount coin.Amount) *issuertest.Batch {
	var values []coin.Amount
	for _, v := range w.values() {
		for ; amount >= v; amount -= v {
			values = append(values, v)
		}
	}
	return w.purse.Prepare(w.t, values...)
}

func (w *ruin) valueOf(coins ...coin.Coin) (sum coin.Amount) {
	for _, c := range coins {
		d, err := w.keyset.Find(c.KeyID)
		expect(w.t, err, nil)
		sum += d.Value
	}
	return sum
}

// claimed says whether a coin can only be recouped.
func (w *ruin) claimed(c coin.Coin) bool {
	d, err := w.keyset.Find(c.KeyID)
	expect(w.t, err, nil)
	return d.Revoked || !c.Signed()
}

// take draws coins out of the purse, claimable ones or others.
func (w *ruin) take(r *rapid.T, claimed bool) (out []coin.Coin) {
	most := rapid.IntRange(1, 4).Draw(r, "coins")
	w.coins = slices.DeleteFunc(slices.Clone(w.coins), func(c coin.Coin) bool {
		if len(out) == most || w.claimed(c) != claimed {
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

// keep stores what the bank signed, and what it could not sign.
func (w *ruin) keep(op [32]byte, b *issuertest.Batch, signatures [][]byte) {
	w.learn(op, b)
	if len(signatures) != len(b.Planchets) {
		w.t.Fatalf("%d signatures for %d outputs", len(signatures), len(b.Planchets))
	}
	for i, p := range b.Planchets {
		if len(signatures[i]) == 0 {
			w.coins = append(w.coins, *p.Unsigned())
			continue
		}
		c, err := p.Finalize(signatures[i])
		expect(w.t, err, nil)
		w.coins = append(w.coins, *c)
	}
}

func (w *ruin) draw(r *rapid.T) {
	if w.balance == 0 {
		r.Skip("no money")
	}
	amount := coin.Amount(rapid.Int64Range(1, min(40, int64(w.balance))).Draw(r, "amount"))
	b := w.prepare(amount)
	w.balance -= amount
	if len(w.values()) > 1 && rapid.IntRange(0, 3).Draw(r, "dies") == 0 {
		// The key dies between the debit and the signature.
		v := w.values()[0]
		kid := w.House.Key(w.t, coin.Bearer, v).KeyID
		w.token.lose(kid)
		_, err := w.Withdraw(w.t.Context(), w.holder, b.Outputs)
		if err != nil && !errors.Is(err, issuer.ErrUnavailable) {
			r.Fatal(err)
		}
		w.gone[v] = true
		w.lost(w.t, kid)
	}
	signed, err := w.Withdraw(w.t.Context(), w.holder, b.Outputs)
	expect(w.t, err, nil)
	w.keep(signed.Op, b, signed.Signatures)
}

func (w *ruin) exchange(r *rapid.T) {
	old := w.take(r, false)
	b := w.prepare(w.valueOf(old...))
	spend, authorisation := w.purse.Exchange(w.t, old, b.Outputs)
	signed, err := w.Exchange(w.t.Context(), spend, authorisation)
	expect(w.t, err, nil)
	w.keep(signed.Op, b, signed.Signatures)
}

func (w *ruin) pay(r *rapid.T) {
	old := w.take(r, false)
	amount := coin.Amount(rapid.Int64Range(1, int64(w.valueOf(old...))).Draw(r, "price"))
	b := w.prepare(w.valueOf(old...) - amount)
	offer := w.till.Offer(w.t, amount, nil)
	spend, authorisation := w.purse.Pay(w.t, offer, old, b.Outputs)
	done, err := w.Deposit(w.t.Context(), w.till.Account, w.till.Deposit(offer, spend, authorisation))
	expect(w.t, err, nil)
	w.credited += amount
	w.keep(done.Op, b, done.Signatures)
}

func (w *ruin) revokeOne(r *rapid.T) {
	v := rapid.SampledFrom(w.values()).Draw(r, "key")
	if v == 1 {
		r.Skip("one key must issue")
	}
	w.gone[v] = true
	w.revoke(w.t, w.House.Key(w.t, coin.Bearer, v).KeyID)
}

// recoup claims coins, good ones among them or not, for coins or for money on
// the account, if the bank gives it.
func (w *ruin) recoup(r *rapid.T) {
	old := w.take(r, true)
	money := rapid.Bool().Draw(r, "to the account")
	if !money && rapid.Bool().Draw(r, "with good coins") {
		w.coins = slices.DeleteFunc(slices.Clone(w.coins), func(c coin.Coin) bool {
			if w.claimed(c) || w.spendable(c) != nil || len(old) > 5 {
				return false
			}
			old, w.spent = append(old, c), append(w.spent, c)
			return true
		})
	}
	if money {
		d := w.draftOf(old)
		d.Amount = w.valueOf(old...)
		q := w.claim(w.t, d)
		signed, err := w.send(q)
		if err == nil {
			w.balance += d.Amount
			w.answers[q] = signed.Signatures
			return
		}
		expect(w.t, err, coin.ErrClaim) // some are change
	}
	b := w.prepare(w.valueOf(old...))
	q := w.claim(w.t, w.draftOf(old, b.Outputs...))
	signed, err := w.send(q)
	if err != nil {
		r.Fatal(err)
	}
	w.answers[q] = signed.Signatures
	w.keep(signed.Op, b, signed.Signatures)
}

// spendable says whether the coin's key lets it be spent.
func (w *ruin) spendable(c coin.Coin) error {
	d, err := w.keyset.Find(c.KeyID)
	if err != nil {
		return err
	}
	return d.CheckSpend(issuertest.Now)
}

// draftOf claims those coins only that can't be spent.
func (w *ruin) draftOf(coins []coin.Coin, outputs ...coin.Output) coin.Spend {
	d := w.draft(w.t, nil, outputs...)
	for _, c := range coins {
		if w.claimed(c) {
			c.Signature = nil
		}
		d.Coins = append(d.Coins, c)
	}
	return d
}

// steal claims what is gone: a spent coin, or a live coin as another's output.
func (w *ruin) steal(r *rapid.T) {
	if len(w.spent) == 0 || len(w.coins) == 0 {
		r.Skip("nothing to steal")
	}
	old := rapid.SampledFrom(w.spent).Draw(r, "spent")
	if d, err := w.keyset.Find(old.KeyID); err != nil || !d.Revoked && !d.Lost {
		r.Skip("its key is good")
	}
	old.Signature = nil
	b := w.prepare(w.valueOf(old))
	draft := w.draft(w.t, nil, b.Outputs...)
	draft.Coins = []coin.Coin{old}
	_, err := w.send(w.claim(w.t, draft))
	var double *issuer.DoubleSpendError
	var same *issuer.VoidError
	if !errors.As(err, &double) && !errors.As(err, &same) {
		// It was recouped alone: the recorded answer, whose outputs are his.
		id := w.claim(w.t, draft).spend.Op()
		if op, lookup := w.Operation(w.t.Context(), id); err != nil || lookup != nil || op.Kind != issuer.KindRecoup {
			r.Fatalf("a spent coin was made good: %v", err)
		}
	}
	other := w.purse.PrepareUnder(w.t, w.find(old.KeyID))
	claim := w.claims[old.ID()]
	w.claims[other.Planchets[0].ID()] = other.Planchets[0].Claim(claim.Op, claim.Index)
	draft.Coins = []coin.Coin{*other.Planchets[0].Unsigned()}
	if _, err := w.send(w.claim(w.t, draft)); !errors.Is(err, coin.ErrClaim) {
		r.Fatalf("an output gave a second coin: %v", err)
	}
}

func (w *ruin) find(kid coin.KeyID) *coin.Denomination {
	d, err := w.keyset.Find(kid)
	expect(w.t, err, nil)
	return d
}

func (w *ruin) repeat(r *rapid.T) {
	for q, answer := range w.answers {
		signed, err := w.Recoup(context.Background(), q.spend, q.authorisation, q.claims)
		if err != nil || !slices.EqualFunc(signed.Signatures, answer, func(now, then []byte) bool {
			return bytes.Equal(now, then) || len(now) == 0 // its key is lost since
		}) {
			r.Fatalf("a repeated recoup got another answer: %v", err)
		}
	}
}

func (w *ruin) check(r *rapid.T) {
	books, err := w.Books(w.t.Context())
	expect(w.t, err, nil)
	circulation := w.valueOf(w.coins...)
	want := map[string]coin.Amount{
		"holder": w.balance, "merchant": w.credited, "circulation": circulation, "reserve": -w.balance - w.credited - circulation,
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

func TestWhateverKeysAreLostValueIsConserved(t *testing.T) {
	old := flag.Lookup("rapid.checks").Value.String()
	expect(t, flag.Set("rapid.checks", "5"), nil)
	t.Cleanup(func() { expect(t, flag.Set("rapid.checks", old), nil) })
	rapid.Check(t, func(r *rapid.T) {
		w := &ruin{rescue: newRescue(t), t: t, balance: 100, gone: map[coin.Amount]bool{}, answers: map[*request][][]byte{}}
		r.Repeat(map[string]func(*rapid.T){
			"draw": w.draw, "draw more": w.draw, "exchange": w.exchange, "pay": w.pay, "revoke": w.revokeOne,
			"recoup": w.recoup, "recoup more": w.recoup, "steal": w.steal, "repeat": w.repeat, "": w.check,
		})
		// In the end nothing is stuck: all that can't be spent comes back.
		for slices.ContainsFunc(w.coins, w.claimed) {
			w.recoup(r)
		}
		w.check(r)
		audit(t, w.Bank)
	})
}
