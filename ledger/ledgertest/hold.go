package ledgertest

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
)

// hold returns a hold for op n by merchant m1, from a moment to 60 seconds
// later.
func hold(n, at int, coins ...int) ledger.Hold {
	return ledger.Hold{ID: id("op", n), Account: "merchant/m1", Coins: deposit(n, "m", coins...).Spends,
		Amount: int64(len(coins)), At: moment(at), Until: moment(at + 60)}
}

// at gives an op another time.
func at(op ledger.Op, second int) ledger.Op {
	op.At = moment(second)
	return op
}

// place places a hold and wants the status.
func place(f fataler, l ledger.Ledger, h ledger.Hold, limits ledger.HoldLimits, want ledger.Status) ledger.Outcome {
	f.Helper()
	out, err := l.PlaceHold(context.Background(), h, limits)
	check(f, err)
	if out.Status != want {
		f.Fatalf("hold %x: got %v (%+v), want %v", h.ID[:4], out.Status, out, want)
	}
	return out
}

func wantHold(f fataler, l ledger.Ledger, want ledger.Hold) {
	f.Helper()
	got, err := l.Hold(context.Background(), want.ID)
	check(f, err)
	if diff := differ(&want, got); diff != "" {
		f.Fatalf("hold differs (-want +got):\n%s", diff)
	}
}

var noLimits ledger.HoldLimits

func testHolds(t *testing.T, fresh FreshLedger) {
	open := fresh(t)
	l := open()
	ctx := context.Background()
	check(t, l.OpenEpoch(ctx, epoch))
	h := hold(1, 0, 1, 2)
	h.At = h.At.In(time.FixedZone("somewhere", 3600))
	h.Strikes, h.Released = 7, true // the store's own
	place(t, l, h, noLimits, ledger.Applied)
	h = hold(1, 0, 1, 2)
	for range 2 {
		wantHold(t, l, h)
		check(t, l.Close())
		l = open()
	}
	t.Cleanup(func() { l.Close() })
	longer := hold(2, 30, 3)
	longer.Until = moment(200)
	place(t, l, longer, noLimits, ledger.Applied)

	t.Run("a held coin is refused to another op until the hold's end, by the op's own time", func(t *testing.T) {
		for _, second := range []int{-1000, 0, 59} {
			out := apply(t, l, at(deposit(10, "merchant/m2", 2, 9), second), ledger.Held)
			if diff := differ(&h, out.Hold); diff != "" {
				t.Fatalf("hold differs (-want +got):\n%s", diff)
			}
		}
		apply(t, l, at(deposit(10, "merchant/m2", 9), 30), ledger.Applied)
		out := apply(t, l, at(deposit(11, "merchant/m2", 2, 3), 59), ledger.Held)
		if diff := differ(&longer, out.Hold); diff != "" {
			t.Fatalf("not the hold that lasts longest (-want +got):\n%s", diff)
		}
		apply(t, l, at(deposit(12, "merchant/m2", 2), 60), ledger.Applied)
		// At an earlier time it is spent all the same.
		apply(t, l, at(deposit(13, "merchant/m2", 2), 30), ledger.Conflict)
	})
	t.Run("a held coin of another epoch is another coin", func(t *testing.T) {
		check(t, l.OpenEpoch(ctx, "k2"))
		op := at(deposit(14, "merchant/m2", 1), 30)
		op.Spends[0].Epoch = "k2"
		apply(t, l, op, ledger.Applied)
	})
	t.Run("the hold's own op passes, and that ends the hold", func(t *testing.T) {
		mine := hold(20, 0, 20, 21)
		place(t, l, mine, noLimits, ledger.Applied)
		apply(t, l, at(deposit(20, "merchant/m1", 20), 30), ledger.Applied)
		mine.Released = true
		wantHold(t, l, mine)
		apply(t, l, at(deposit(21, "merchant/m2", 21), 30), ledger.Applied)
		apply(t, l, at(deposit(20, "merchant/m1", 20), 30), ledger.Replayed)
		apply(t, l, at(deposit(22, "merchant/m2", 20), 30), ledger.Conflict)
	})
	t.Run("a refused op of its own leaves the hold", func(t *testing.T) {
		mine := hold(23, 0, 23)
		place(t, l, mine, noLimits, ledger.Applied)
		op := at(deposit(23, "merchant/m1", 23), 30)
		op.Floors = []string{"circulation/k1"}
		apply(t, l, op, ledger.Insufficient)
		wantHold(t, l, mine)
		apply(t, l, at(deposit(24, "merchant/m2", 23), 30), ledger.Held)
	})
	verify(t, l)
}

func testPlacingHolds(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	ctx := context.Background()
	first := hold(1, 0, 1, 2)
	place(t, l, first, noLimits, ledger.Applied)
	apply(t, l, deposit(90, "merchant/m2", 90), ledger.Applied)

	t.Run("a hold is placed once, whatever it is now", func(t *testing.T) {
		again := hold(1, 500, 90)
		again.Account = "Bad Account"
		for range 2 {
			out := place(t, l, again, ledger.HoldLimits{Open: 1, PerCoin: 1}, ledger.Replayed)
			if diff := differ(&first, out.Hold); diff != "" {
				t.Fatalf("hold differs (-want +got):\n%s", diff)
			}
		}
	})
	t.Run("a spent coin is told before a held one", func(t *testing.T) {
		out := place(t, l, hold(2, 10, 1, 90), ledger.HoldLimits{Open: 1}, ledger.Conflict)
		want := []ledger.Taken{{Epoch: epoch, ID: id("coin", 90), Op: id("op", 90)}}
		if diff := differ(want, out.Conflicts); diff != "" {
			t.Fatalf("conflicts differ (-want +got):\n%s", diff)
		}
	})
	t.Run("a held coin is told before a limit, and is free when its hold ended", func(t *testing.T) {
		out := place(t, l, hold(2, 59, 2), ledger.HoldLimits{Open: 1}, ledger.Held)
		if diff := differ(&first, out.Hold); diff != "" {
			t.Fatalf("hold differs (-want +got):\n%s", diff)
		}
		_, err := l.Hold(ctx, id("op", 2))
		wantErr(t, err, ledger.ErrNotFound)
		place(t, l, hold(2, 60, 2), noLimits, ledger.Applied)
		place(t, l, hold(3, 70, 2), noLimits, ledger.Held)
	})
	t.Run("a released hold keeps nothing", func(t *testing.T) {
		h := hold(4, 0, 4)
		place(t, l, h, noLimits, ledger.Applied)
		check(t, l.ReleaseHold(ctx, h.ID))
		check(t, l.ReleaseHold(ctx, h.ID))
		h.Released = true
		wantHold(t, l, h)
		place(t, l, hold(4, 1, 4), noLimits, ledger.Replayed)
		place(t, l, hold(5, 1, 4), noLimits, ledger.Applied)
		wantErr(t, l.ReleaseHold(ctx, id("op", 99)), ledger.ErrNotFound)
	})
	t.Run("nonsense is refused", func(t *testing.T) {
		for name, change := range map[string]func(*ledger.Hold){
			"a zero id":             func(h *ledger.Hold) { h.ID = ledger.ID{} },
			"no coin":               func(h *ledger.Hold) { h.Coins = nil },
			"one coin twice":        func(h *ledger.Hold) { h.Coins = append(h.Coins, h.Coins[0]) },
			"a malformed epoch":     func(h *ledger.Hold) { h.Coins[0].Epoch = "k1; --" },
			"no account":            func(h *ledger.Hold) { h.Account = "" },
			"a negative amount":     func(h *ledger.Hold) { h.Amount = -1 },
			"an end before its own": func(h *ledger.Hold) { h.Until = h.At },
			"no time":               func(h *ledger.Hold) { h.At = time.Time{} },
		} {
			h := hold(6, 0, 6)
			change(&h)
			if _, err := l.PlaceHold(ctx, h, noLimits); err == nil {
				t.Errorf("%s passes", name)
			} else {
				wantErr(t, err, ledger.ErrMalformed)
			}
		}
		h := hold(6, 0, 6)
		h.Coins[0].Epoch = "nowhere"
		_, err := l.PlaceHold(ctx, h, noLimits)
		wantErr(t, err, ledger.ErrUnknownEpoch)
	})
	verify(t, l)
}

func testHoldLimits(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	ctx := context.Background()
	two := ledger.HoldLimits{Open: 2}
	over := func(t *testing.T, h ledger.Hold, limits ledger.HoldLimits, want ...string) {
		t.Helper()
		if diff := differ(want, place(t, l, h, limits, ledger.Exceeded).Over); diff != "" {
			t.Fatalf("limits differ (-want +got):\n%s", diff)
		}
	}
	place(t, l, hold(1, 0, 1), two, ledger.Applied)
	place(t, l, hold(2, 10, 2), two, ledger.Applied)
	over(t, hold(3, 20, 3), two, "open")
	others := hold(4, 20, 4)
	others.Account = "merchant/m2"
	place(t, l, others, two, ledger.Applied)
	// The first ends at 60, the second is let go.
	place(t, l, hold(3, 60, 3), two, ledger.Applied)
	over(t, hold(5, 60, 5), two, "open")
	check(t, l.ReleaseHold(ctx, id("op", 2)))
	place(t, l, hold(5, 60, 5), two, ledger.Applied)
	over(t, hold(6, 61, 6), two, "open")
	// One whose op is recorded is open no more.
	apply(t, l, at(deposit(5, "merchant/m1", 5), 62), ledger.Applied)
	place(t, l, hold(6, 61, 6), two, ledger.Applied)

	// Coin 1 was held at 0 by m1. Ended or released, it counts.
	once := ledger.HoldLimits{PerCoin: 1, Since: moment(0)}
	over(t, hold(7, 300, 70, 1), once, "per-coin")
	once.Since = moment(1)
	place(t, l, hold(7, 300, 70, 1), once, ledger.Applied)
	check(t, l.ReleaseHold(ctx, id("op", 7)))
	over(t, hold(8, 301, 1), once, "per-coin")
	over(t, hold(8, 301, 1), ledger.HoldLimits{PerCoin: 2}, "per-coin")
	place(t, l, hold(9, 301, 9), ledger.HoldLimits{Open: 2, PerCoin: 1}, ledger.Applied)
	place(t, l, hold(10, 301, 10), ledger.HoldLimits{Open: 2, PerCoin: 1}, ledger.Applied)
	over(t, hold(8, 301, 1), ledger.HoldLimits{Open: 2, PerCoin: 1}, "open", "per-coin")
	others = hold(8, 301, 1) // each account has limits of its own
	others.Account = "merchant/m2"
	place(t, l, others, once, ledger.Applied)
	verify(t, l)
}

func testStrikes(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	ctx := context.Background()
	h := hold(1, 0, 1)
	place(t, l, h, noLimits, ledger.Applied)
	_, err := l.Strike(ctx, id("op", 2), id("try", 1))
	wantErr(t, err, ledger.ErrNotFound)
	for i, want := range []int{1, 1, 2, 2, 3} {
		got, err := l.Strike(ctx, h.ID, id("try", want))
		check(t, err)
		h.Strikes = want
		if diff := differ(&h, got); diff != "" {
			t.Fatalf("after try %d the hold differs (-want +got):\n%s", i, diff)
		}
	}
	wantHold(t, l, h)

	op := at(deposit(1, "merchant/m1", 1), 30)
	op.MaxStrikes = 3
	out := apply(t, l, op, ledger.Held)
	if diff := differ(&h, out.Hold); diff != "" {
		t.Fatalf("hold differs (-want +got):\n%s", diff)
	}
	elsewhere := op // it is about the hold and not about its coins
	elsewhere.Spends = deposit(1, "merchant/m1", 2).Spends
	apply(t, l, elsewhere, ledger.Held)
	unheld := op
	unheld.MaxStrikes, unheld.Unheld = 4, true
	apply(t, l, unheld, ledger.Held)
	op.MaxStrikes = 4
	spent := op
	spent.ID, spent.MaxStrikes = id("op", 3), 0
	apply(t, l, spent, ledger.Held) // others are kept out as before
	apply(t, l, op, ledger.Applied)

	t.Run("strikes end with their hold", func(t *testing.T) {
		for n, end := range map[int]func(h ledger.Hold) int{
			10: func(ledger.Hold) int { return 60 },
			11: func(h ledger.Hold) int { check(t, l.ReleaseHold(ctx, h.ID)); return 30 },
		} {
			h := hold(n, 0, n)
			place(t, l, h, noLimits, ledger.Applied)
			_, err := l.Strike(ctx, h.ID, id("try", n))
			check(t, err)
			second := end(h)
			op := at(deposit(n, "merchant/m1", n), second)
			op.MaxStrikes, op.Unheld = 1, true
			apply(t, l, op, ledger.Applied)
		}
	})
	t.Run("of many equal tries at once one counts", func(t *testing.T) {
		h := hold(20, 0, 20)
		place(t, l, h, noLimits, ledger.Applied)
		together(60, func(i int) {
			if got, err := l.Strike(ctx, h.ID, id("try", i%3)); err != nil || got.Strikes < 1 || got.Strikes > 3 {
				t.Errorf("%+v, %v", got, err)
			}
		})
		h.Strikes = 3
		wantHold(t, l, h)
	})
	verify(t, l)
}

func testHoldLists(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	ctx := context.Background()
	var all []ledger.Hold
	for n := range 6 {
		h := hold(n, n, 2*n, 2*n+1)
		if n%2 == 1 {
			h.Account = "merchant/m2"
		}
		place(t, l, h, noLimits, ledger.Applied)
		all = append(all, h)
	}
	check(t, l.ReleaseHold(ctx, all[4].ID))
	for _, c := range []struct {
		account   string
		at, limit int
		want      []ledger.Hold
	}{
		{"", 10, 0, []ledger.Hold{all[0], all[1], all[2], all[3], all[5]}},
		{"merchant/m1", 10, 0, []ledger.Hold{all[0], all[2]}},
		{"merchant/m2", 61, 0, []ledger.Hold{all[3], all[5]}},
		{"", 62, 2, []ledger.Hold{all[3], all[5]}},
		{"", 10, 2, all[:2]},
		{"", 65, 0, nil},
	} {
		got, err := l.OpenHolds(ctx, c.account, moment(c.at), c.limit)
		check(t, err)
		if diff := differ(c.want, got); diff != "" {
			t.Fatalf("holds of %q at %d differ (-want +got):\n%s", c.account, c.at, diff)
		}
	}
	var ids []ledger.ID
	for n := range 700 {
		ids = append(ids, id("coin", n))
	}
	got, err := l.HeldCoins(ctx, epoch, ids, moment(62))
	check(t, err)
	want := map[ledger.ID]ledger.Hold{}
	for _, n := range []int{3, 5} {
		for _, c := range all[n].Coins {
			want[c.ID] = ledger.Hold{ID: all[n].ID, Until: all[n].Until}
		}
	}
	if diff := differ(want, got); diff != "" {
		t.Fatalf("held coins differ (-want +got):\n%s", diff)
	}
	_, err = l.HeldCoins(ctx, "nowhere", ids, moment(0))
	wantErr(t, err, ledger.ErrUnknownEpoch)

	n, err := l.PruneHolds(ctx, moment(62)) // those that ended at 60 and 61
	check(t, err)
	if n != 2 {
		t.Fatalf("%d holds forgotten", n)
	}
	for i, want := range []error{ledger.ErrNotFound, ledger.ErrNotFound, nil} {
		_, err := l.Hold(ctx, all[i].ID)
		wantErr(t, err, want)
	}
	place(t, l, hold(0, 70, 0), noLimits, ledger.Applied)
	verify(t, l)
	if n, err := l.PruneHolds(ctx, moment(10000)); err != nil || n != 5 {
		t.Fatalf("%d holds forgotten, %v", n, err)
	}
	verify(t, l)
}

// testConcurrentHolds: of many who would have one coin, by holding or by
// spending it, one gets it.
func testConcurrentHolds(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	ctx := context.Background()
	for round := range 5 {
		var got atomic.Int64
		together(60, func(i int) {
			n := 1000*round + i
			var out ledger.Outcome
			var err error
			if i%2 == 0 {
				out, err = l.PlaceHold(ctx, hold(n, 0, round), noLimits)
			} else {
				out, err = l.Apply(ctx, at(deposit(n, "merchant/m1", round), 30))
			}
			switch {
			case err != nil:
				t.Error(err)
			case out.Status == ledger.Applied:
				got.Add(1)
			case out.Status != ledger.Held && out.Status != ledger.Conflict:
				t.Errorf("got %+v", out)
			}
		})
		if got.Load() != 1 {
			t.Fatalf("%d got the coin", got.Load())
		}
	}
	// The limit of open holds is passed by nobody, whatever the rush.
	var open atomic.Int64
	together(60, func(i int) {
		h := hold(9000+i, 500, 9000+i)
		h.Account = "merchant/rush"
		out, err := l.PlaceHold(ctx, h, ledger.HoldLimits{Open: 7})
		switch {
		case err != nil:
			t.Error(err)
		case out.Status == ledger.Applied:
			open.Add(1)
		case out.Status != ledger.Exceeded:
			t.Errorf("got %+v", out)
		}
	})
	if open.Load() != 7 {
		t.Fatalf("%d holds are open, want 7", open.Load())
	}
	verify(t, l)
}

// testOrderOfRefusals takes the reasons against one op away one by one.
func testOrderOfRefusals(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	ctx := context.Background()
	apply(t, l, deposit(1, "merchant/m1", 1), ledger.Applied)
	place(t, l, hold(2, 0, 2), noLimits, ledger.Applied)
	op := at(withdraw(3, "holder/poor", "reserve", 5), 30)
	op.Spends = deposit(3, "m", 1, 2, 3).Spends
	op.Quotas = []ledger.Quota{{Name: "refund/a", Amount: 1, Max: 0}, {Name: "refund/b", Amount: 1, Max: 1}, {Name: "refund/c", Max: 0}}
	apply(t, l, op, ledger.Conflict)
	op.Spends = slices.Clone(op.Spends[1:])
	apply(t, l, op, ledger.Held)
	op.At = moment(60)
	out := apply(t, l, op, ledger.Exceeded)
	if strings.Join(out.Over, " ") != "refund/a" {
		t.Fatalf("over are %q", out.Over)
	}
	op.Quotas[0].Max = 1
	apply(t, l, op, ledger.Insufficient)
	n, err := l.Count(ctx, "refund/a")
	check(t, err)
	if n != 0 {
		t.Fatalf("a refused op counted %d", n)
	}
	op.Floors = nil
	apply(t, l, op, ledger.Applied)
	// Recorded, it is replayed, though everything is against it again.
	op.Spends, op.At, op.Floors = deposit(3, "m", 1, 2, 3).Spends, moment(30), []string{"holder/poor"}
	apply(t, l, op, ledger.Replayed)
	verify(t, l)
}
