package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
)

// several opens one database three times, as three processes would: two with
// lanes of their own, the third sharing the second's.
func several(t *testing.T) []*Ledger {
	t.Helper()
	url := cluster.Database(t)
	out := make([]*Ledger, 3)
	together(len(out), func(i int) {
		l, err := OpenLedger(context.Background(), url, Options{Lane: []string{"a", "b", "b"}[i]})
		if err != nil {
			t.Error(err)
			return
		}
		out[i] = l
		t.Cleanup(func() { l.Close() })
	})
	if t.Failed() {
		t.FailNow()
	}
	errs := make([]error, len(out))
	together(len(out), func(i int) { errs[i] = out[i].OpenEpoch(context.Background(), "k1") })
	must(t, errors.Join(errs...))
	return out
}

func TestOfManySpendsInThreeProcessesOneWins(t *testing.T) {
	ls := several(t)
	const n, coins = 200, 5
	outcomes := make([]ledger.Outcome, n)
	errs := make([]error, n)
	together(n, func(i int) {
		// Each has a coin of its own besides the contested one.
		outcomes[i], errs[i] = ls[i%3].Apply(context.Background(), deposit(i, "merchant/m1", 1000+i, i%coins))
	})
	must(t, errors.Join(errs...))
	winner := make(map[int]ledger.ID)
	for i, out := range outcomes {
		if out.Status == ledger.Applied {
			if _, twice := winner[i%coins]; twice {
				t.Fatalf("coin %d was spent twice", i%coins)
			}
			winner[i%coins] = hash("op", i)
		}
	}
	for i, out := range outcomes {
		by, ok := winner[i%coins]
		if !ok || out.Status != ledger.Applied &&
			(out.Status != ledger.Conflict || len(out.Conflicts) != 1 || out.Conflicts[0].Op != by) {
			t.Fatalf("op %d got %+v, want a conflict with %x", i, out, by[:4])
		}
	}
	for i := range outcomes { // losers' other coins are free
		if outcomes[i].Status != ledger.Applied {
			apply(t, ls[i%3], deposit(2000+i, "merchant/m2", 1000+i), ledger.Applied)
		}
	}
	wantBalance(t, ls[0], "merchant/m1", 2*coins)
	sound(t, ls[1])
}

func TestOfOneOpInThreeProcessesOneIsApplied(t *testing.T) {
	ls := several(t)
	var applied atomic.Int64
	together(60, func(i int) {
		out, err := ls[i%3].Apply(context.Background(), deposit(i/20, "merchant/m1", i/20))
		switch {
		case err != nil:
			t.Error(err)
		case out.Status == ledger.Applied:
			applied.Add(1)
		case out.Status != ledger.Replayed || out.Existing == nil || out.Existing.ID != hash("op", i/20):
			t.Errorf("got %+v", out)
		}
	})
	if applied.Load() != 3 {
		t.Fatalf("%d applied of 3", applied.Load())
	}
	wantBalance(t, ls[0], "merchant/m1", 3)
	sound(t, ls[2])
}

func TestFloorsAndQuotasHoldInThreeProcesses(t *testing.T) {
	ls := several(t)
	ctx := context.Background()
	apply(t, ls[0], move(0, "reserve", "holder/h", 100), ledger.Applied)
	var taken, counted, full atomic.Int64
	together(48, func(i int) {
		for k := range 4 {
			n := 1 + 4*i + k
			l := ls[n%3]
			out, err := l.Apply(ctx, move(n, "holder/h", "circulation/k1", 3))
			switch {
			case err != nil:
				t.Error(err)
			case out.Status == ledger.Applied:
				taken.Add(3)
			case out.Status != ledger.Insufficient:
				t.Errorf("got %+v", out)
			}
			// Credits and debits of other accounts go on beside it, unlocked.
			if _, err := l.Apply(ctx, move(1000+n, "reserve", "merchant/m", 1)); err != nil {
				t.Error(err)
			}
			op := move(2000+n, "reserve", fmt.Sprintf("holder/q%d", n), 1)
			op.Quotas = []ledger.Quota{{Name: "day/1", Amount: 7, Max: 100}, {Name: "day/2", Amount: 1, Max: 1000}}
			switch out, err = l.Apply(ctx, op); {
			case err != nil:
				t.Error(err)
			case out.Status == ledger.Applied:
				counted.Add(7)
			case out.Status == ledger.Exceeded && len(out.Over) == 1 && out.Over[0] == "day/1":
				full.Add(1)
			default:
				t.Errorf("got %+v", out)
			}
		}
	})
	if taken.Load() != 99 || counted.Load() != 98 || full.Load() != 192-14 {
		t.Fatalf("%d taken of 100 by threes, %d counted of 100 by sevens, %d refused", taken.Load(), counted.Load(), full.Load())
	}
	wantBalance(t, ls[1], "holder/h", 1)
	wantBalance(t, ls[2], "merchant/m", 192)
	if n, err := ls[0].Count(ctx, "day/1"); err != nil || n != 98 {
		t.Fatalf("counted %d, %v", n, err)
	}
	sound(t, ls[0])
}

// TestQuotasAloneHoldInThreeProcesses: nothing else makes the batches wait for
// each other.
func TestQuotasAloneHoldInThreeProcesses(t *testing.T) {
	ls := several(t)
	for round := range 40 {
		counted := func(n int, max int64) ledger.Op {
			op := move(10*round+n, "reserve", "merchant/m", 1)
			op.Lane = fmt.Sprintf("lane%d", n)
			op.Quotas = []ledger.Quota{{Name: fmt.Sprintf("day/%d", round), Amount: 1, Max: max}}
			return op
		}
		apply(t, ls[0], counted(9, 1), ledger.Applied) // the counter is there
		var applied atomic.Int64
		together(3, func(i int) {
			out, err := ls[i].Apply(context.Background(), counted(i, 2))
			switch {
			case err != nil:
				t.Error(err)
			case out.Status == ledger.Applied:
				applied.Add(1)
			case out.Status != ledger.Exceeded:
				t.Errorf("got %+v", out)
			}
		})
		if applied.Load() != 1 {
			t.Fatalf("%d of one were counted", applied.Load())
		}
	}
	sound(t, ls[0])
}

// TestAHoldAndASpendOfOneCoinDoNotBothSucceed: for each coin merchants' holds
// in two processes and another's deposit in the third meet. How far apart they
// begin is found so that each wins sometimes.
func TestAHoldAndASpendOfOneCoinDoNotBothSucceed(t *testing.T) {
	ls := several(t)
	holds, spends := 0, 0
	const step = 200 * time.Microsecond
	var head time.Duration // how much earlier holds begin; below zero, the spend does
	for round := range 100 {
		if meet(t, ls, 10*round, head) {
			spends++
			head += step
		} else {
			holds++
			head -= step
		}
	}
	if holds < 10 || spends < 10 {
		t.Errorf("%d coins held, %d spent: they did not meet", holds, spends)
	}
	sound(t, ls[0])
}

// meet lets two holds and a spend want a coin, and tells whether it was spent.
func meet(t *testing.T, ls []*Ledger, coin int, head time.Duration) (spent bool) {
	t.Helper()
	ctx := context.Background()
	outcomes := make([]ledger.Outcome, 3)
	together(3, func(i int) {
		var err error
		if i < 2 {
			time.Sleep(-head)
			outcomes[i], err = ls[i].PlaceHold(ctx, ledger.Hold{
				ID: hash("op", coin+i), Account: "merchant/m1", Amount: 1, At: moment(1), Until: moment(1000),
				Coins: []ledger.Spend{{Epoch: "k1", ID: hash("coin", coin+1), Value: 1}, {Epoch: "k1", ID: hash("coin", coin), Value: 1}},
			}, ledger.HoldLimits{Open: 1000})
		} else {
			time.Sleep(head)
			outcomes[i], err = ls[2].Apply(ctx, deposit(coin+2, "merchant/m2", coin))
		}
		if err != nil {
			t.Error(err)
		}
	})
	won := 0
	for _, out := range outcomes {
		switch out.Status {
		case ledger.Applied:
			won++
		case ledger.Held, ledger.Conflict:
		default:
			t.Errorf("coin %d: %+v", coin, out)
		}
	}
	if won != 1 {
		t.Errorf("coin %d was given to %d", coin, won)
	}
	return outcomes[2].Status == ledger.Applied
}

func TestAnAccountsHoldsAreCountedInThreeProcesses(t *testing.T) {
	ls := several(t)
	var placed atomic.Int64
	together(60, func(i int) {
		out, err := ls[i%3].PlaceHold(context.Background(), ledger.Hold{
			ID: hash("op", i), Account: "merchant/m1", Amount: 1, At: moment(1), Until: moment(1000),
			Coins: []ledger.Spend{{Epoch: "k1", ID: hash("coin", i), Value: 1}},
		}, ledger.HoldLimits{Open: 10})
		switch {
		case err != nil:
			t.Error(err)
		case out.Status == ledger.Applied:
			placed.Add(1)
		case out.Status != ledger.Exceeded || len(out.Over) != 1 || out.Over[0] != "open":
			t.Errorf("got %+v", out)
		}
	})
	if placed.Load() != 10 {
		t.Fatalf("%d holds placed of 10", placed.Load())
	}
	sound(t, ls[0])
}

func TestStrikesInThreeProcessesAreCountedOnceEach(t *testing.T) {
	ls := several(t)
	ctx := context.Background()
	h := ledger.Hold{ID: hash("op", 1), Account: "merchant/m1", At: moment(1), Until: moment(1000),
		Coins: []ledger.Spend{{Epoch: "k1", ID: hash("coin", 1), Value: 1}}}
	if _, err := ls[0].PlaceHold(ctx, h, ledger.HoldLimits{}); err != nil {
		t.Fatal(err)
	}
	together(60, func(i int) {
		if _, err := ls[i%3].Strike(ctx, h.ID, hash("try", i/6)); err != nil {
			t.Error(err)
		}
	})
	got, err := ls[2].Hold(ctx, h.ID)
	must(t, err)
	if got.Strikes != 10 {
		t.Fatalf("%d strikes of 10", got.Strikes)
	}
	sound(t, ls[0])
}

// TestWhatIsThereOnceIsMadeOnce: answers, accounts, values and epochs.
func TestWhatIsThereOnceIsMadeOnce(t *testing.T) {
	ls := several(t)
	ctx := context.Background()
	op := deposit(1, "merchant/m1", 1)
	op.State = ledger.StatePending
	apply(t, ls[0], op, ledger.Applied)
	var settled, made, updated atomic.Int64
	a := ledger.Account{ID: "holder/h1", Kind: "holder", Currency: "EUR", CreatedAt: moment(1)}
	together(30, func(i int) {
		l := ls[i%3]
		switch err := l.SetAnswer(ctx, op.ID, ledger.StateDone, []byte{byte(i)}); {
		case err == nil:
			settled.Add(1)
		case !errors.Is(err, ledger.ErrAnswered):
			t.Error(err)
		}
		switch err := l.CreateAccount(ctx, a, ledger.AccessToken{Hash: hash("token", i), Account: a.ID, CreatedAt: moment(1)}); {
		case err == nil:
			made.Add(1)
		case !errors.Is(err, ledger.ErrDuplicate):
			t.Error(err)
		}
		if err := l.SetMeta(ctx, "x", []byte{byte(i)}); err != nil {
			t.Error(err)
		}
		if err := l.OpenEpoch(ctx, fmt.Sprintf("e%d", i/3)); err != nil {
			t.Error(err)
		}
		changed := a
		changed.Rev, changed.Suspended = 1, true
		switch err := l.UpdateAccount(ctx, changed); {
		case err == nil:
			updated.Add(1)
		case !errors.Is(err, ledger.ErrStale):
			t.Error(err)
		}
	})
	if settled.Load() != 1 || made.Load() != 1 || updated.Load() != 1 {
		t.Fatalf("%d answers, %d accounts, %d updates of one each", settled.Load(), made.Load(), updated.Load())
	}
	sound(t, ls[0])
}

// TestMoneyIsConservedByThreeProcesses: money goes round in small sums, with
// and without floors, while others look.
func TestMoneyIsConservedByThreeProcesses(t *testing.T) {
	ls := several(t)
	ctx := context.Background()
	const people, each = 6, 50
	for i := range people {
		apply(t, ls[0], move(i, "reserve", fmt.Sprintf("holder/h%d", i), each), ledger.Applied)
	}
	stop, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var n, moved atomic.Int64
	n.Store(people)
	together(25, func(i int) {
		for stop.Err() == nil {
			if i == 24 { // every look is one consistent picture
				totals, err := ls[1].Totals(ctx, "")
				if err != nil {
					t.Error(err)
				}
				var sum int64
				for _, b := range totals {
					sum += b.Amount
				}
				if sum != 0 {
					t.Errorf("all balances come to %d", sum)
				}
				continue
			}
			k := int(n.Add(1))
			from, to := fmt.Sprintf("holder/h%d", k%people), fmt.Sprintf("holder/h%d", (k/people)%people)
			if from == to {
				continue
			}
			out, err := ls[k%3].Apply(ctx, move(k, from, to, int64(1+k%20)))
			switch {
			case err != nil:
				t.Error(err)
			case out.Status == ledger.Applied:
				moved.Add(1)
			case out.Status != ledger.Insufficient:
				t.Errorf("got %+v", out)
			}
		}
	})
	totals, err := ls[2].Totals(ctx, "holder/")
	must(t, err)
	var sum int64
	for _, b := range totals {
		if b.Amount < 0 {
			t.Errorf("%s has %d", b.Account, b.Amount)
		}
		sum += b.Amount
	}
	if sum != people*each || moved.Load() == 0 {
		t.Fatalf("%d after %d moves, want %d", sum, moved.Load(), people*each)
	}
	sound(t, ls[0])
}

// TestAHoldOfTheOpsOwnIdStandsAgainstWhatIsNotIt: an op that is not what the
// coins are held for, under the hold's own id, starts at the same moment.
func TestAHoldOfTheOpsOwnIdStandsAgainstWhatIsNotIt(t *testing.T) {
	ls := several(t)
	ctx := context.Background()
	const n = 200
	held, spent := make([]ledger.Outcome, n), make([]ledger.Outcome, n)
	for from := 0; from < n; from += 40 {
		together(80, func(i int) {
			k := from + i/2
			var err error
			if i%2 == 0 {
				held[k], err = ls[0].PlaceHold(ctx, ledger.Hold{
					ID: hash("op", k), Account: "merchant/m1", Amount: 1, At: moment(0), Until: moment(1000),
					Coins: []ledger.Spend{{Epoch: "k1", ID: hash("coin", k), Value: 1}},
				}, ledger.HoldLimits{})
			} else {
				op := deposit(k, "merchant/m2", k)
				op.Unheld = true
				spent[k], err = ls[1].Apply(ctx, op)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	for k := range n {
		if held[k].Status == ledger.Applied && spent[k].Status != ledger.Held || spent[k].Status == ledger.Applied && held[k].Status != ledger.Conflict {
			t.Errorf("op %d: the hold is %s, the spend %s", k, held[k].Status, spent[k].Status)
		}
	}
	sound(t, ls[0])
}
