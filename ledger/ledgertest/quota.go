package ledgertest

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
)

func wantCount(f fataler, l ledger.Ledger, name string, want int64) {
	f.Helper()
	got, err := l.Count(context.Background(), name)
	check(f, err)
	if got != want {
		f.Fatalf("count of %s is %d, want %d", name, got, want)
	}
}

// counting returns op n, which counts toward quotas.
func counting(n int, quotas ...ledger.Quota) ledger.Op {
	op := move(n, "reserve", "holder/h", 1)
	op.Quotas = quotas
	return op
}

func testQuotas(t *testing.T, fresh FreshLedger) {
	open := fresh(t)
	l := open()
	ctx := context.Background()
	day := func(amount, most int64) ledger.Quota {
		return ledger.Quota{Name: "withdraw/h/2026-01-02", Amount: amount, Max: most}
	}
	settled := func(amount, most int64) ledger.Quota {
		return ledger.Quota{Name: "settled/h", Amount: amount, Max: most}
	}
	wantCount(t, l, day(0, 0).Name, 0)
	apply(t, l, counting(1, day(6, 10)), ledger.Applied)
	out := apply(t, l, counting(2, day(5, 10)), ledger.Exceeded)
	if diff := differ([]string{day(0, 0).Name}, out.Over); diff != "" {
		t.Fatalf("quotas differ (-want +got):\n%s", diff)
	}
	apply(t, l, counting(3, settled(1, ledger.MaxAmount), day(4, 10)), ledger.Applied)
	out = apply(t, l, counting(4, settled(1, 1), day(1, 10)), ledger.Exceeded)
	if diff := differ([]string{settled(0, 0).Name, day(0, 0).Name}, out.Over); diff != "" {
		t.Fatalf("quotas differ (-want +got):\n%s", diff)
	}
	// Zero asks whether the counter stands higher, and counts nothing.
	apply(t, l, counting(5, settled(0, 0)), ledger.Exceeded)
	apply(t, l, counting(5, day(0, 10), settled(0, 1), ledger.Quota{Name: "never/counted"}), ledger.Applied)
	// The largest counter and amount do not wrap.
	apply(t, l, counting(6, settled(ledger.MaxAmount, ledger.MaxAmount)), ledger.Exceeded)
	// What was refused counted nothing; what is replayed counts once.
	apply(t, l, counting(1, day(6, 100)), ledger.Replayed)
	for range 2 {
		wantCount(t, l, day(0, 0).Name, 10)
		wantCount(t, l, settled(0, 0).Name, 1)
		got, err := l.Op(ctx, id("op", 3))
		check(t, err)
		want := []ledger.Quota{settled(1, 0), day(4, 0)}
		if diff := differ(want, got.Quotas); diff != "" {
			t.Fatalf("quotas read back differ (-want +got):\n%s", diff)
		}
		got, err = l.Op(ctx, id("op", 5))
		check(t, err)
		if len(got.Quotas) != 0 {
			t.Fatalf("what was asked is recorded: %v", got.Quotas)
		}
		verify(t, l)
		check(t, l.Close())
		l = open()
	}
	defer l.Close()
	for name, quotas := range map[string][]ledger.Quota{
		"no name":           {{Amount: 1, Max: 1}},
		"a negative amount": {{Name: "a", Amount: -1, Max: 1}},
		"two of a name":     {{Name: "a", Amount: 1, Max: 1}, {Name: "a", Amount: 1, Max: 1}},
		"a large maximum":   {{Name: "a", Amount: 1, Max: ledger.MaxAmount + 1}},
	} {
		_, err := l.Apply(ctx, counting(9, quotas...))
		if wantErr(t, err, ledger.ErrMalformed); t.Failed() {
			t.Fatal(name)
		}
	}
}

func testConcurrentQuotas(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	var counted, asked atomic.Int64
	together(64, func(i int) {
		for k := range 4 {
			n := 4*i + k
			op := counting(n, ledger.Quota{Name: "day/h", Amount: 3, Max: 100})
			if n%8 == 7 {
				op.Quotas[0].Amount = 0
			}
			out, err := l.Apply(context.Background(), op)
			switch {
			case err != nil:
				t.Error(err)
			case out.Status == ledger.Applied:
				counted.Add(op.Quotas[0].Amount)
				asked.Add(1)
			case out.Status != ledger.Exceeded || op.Quotas[0].Amount == 0:
				t.Errorf("got %+v", out)
			}
		}
	})
	if counted.Load() != 99 || asked.Load() != 33+32 {
		t.Fatalf("%d of 100 counted by threes in %d ops", counted.Load(), asked.Load())
	}
	wantCount(t, l, "day/h", 99)
	verify(t, l)
}

func testPeriods(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	ctx := context.Background()
	const n = 20 // op i is at moment i/2, and worth 2^i
	for i := range n {
		op := at(move(i, "reserve", "holder/h", 1<<i), i/2)
		op.Account = "holder/h"
		apply(t, l, op, ledger.Applied)
	}
	sum := func(from, until int) int64 { return 1<<(2*until) - 1<<(2*from) }
	for _, c := range []struct {
		name        string
		from, until time.Time
		a, z        int // moments of the entries wanted: from a to before z
	}{
		{"always", time.Time{}, time.Time{}, 0, 10},
		{"from an instant, which is in", moment(3), time.Time{}, 3, 10},
		{"until an instant, which is not", time.Time{}, moment(7), 0, 7},
		{"a span", moment(3), moment(7), 3, 7},
		{"a microsecond later", moment(3).Add(time.Microsecond), moment(7).Add(time.Microsecond), 4, 8},
		{"an empty span", moment(5), moment(5), 5, 5},
		{"a span turned round", moment(7), moment(3), 3, 3},
		{"the future", moment(100), moment(200), 10, 10},
	} {
		for _, limit := range []int{1, 3, 100} {
			page := ledger.Page{Limit: limit, From: c.from, Until: c.until}
			var entries, ops int64
			for {
				es, next, err := l.Entries(ctx, "holder/h", page)
				check(t, err)
				for _, e := range es {
					entries += e.Amount
				}
				if page.After = next; next == "" {
					break
				}
			}
			for {
				os, next, err := l.OpsByAccount(ctx, "holder/h", page)
				check(t, err)
				for _, op := range os {
					ops += op.Postings[1].Amount
				}
				if page.After = next; next == "" {
					break
				}
			}
			if want := sum(c.a, c.z); entries != want || ops != want {
				t.Errorf("%s by %d: entries come to %b, ops to %b, want %b", c.name, limit, entries, ops, want)
			}
		}
	}
	for i := range n/2 + 1 {
		got, err := l.BalanceAt(ctx, "holder/h", "EUR", moment(i))
		check(t, err)
		if got != sum(0, i) {
			t.Errorf("at %d the balance is %b, want %b", i, got, sum(0, i))
		}
	}
	for _, c := range []struct {
		account, currency string
		at                time.Time
	}{
		{"holder/h", "EUR", time.Time{}}, {"holder/h", "USD", moment(100)}, {"holder/nobody", "EUR", moment(100)},
	} {
		if got, err := l.BalanceAt(ctx, c.account, c.currency, c.at); err != nil || got != 0 {
			t.Errorf("%+v: %d, %v", c, got, err)
		}
	}
}
