package ledgertest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
)

// together runs n calls at once and waits for them.
func together(n int, call func(i int)) {
	var ready, done sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-gate
			call(i)
		})
	}
	ready.Wait()
	close(gate)
	done.Wait()
}

func testDoubleSpend(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	const n = 200
	outcomes := make([]ledger.Outcome, n)
	errs := make([]error, n)
	together(n, func(i int) {
		// Each has a coin of its own besides the contested one.
		outcomes[i], errs[i] = l.Apply(context.Background(), deposit(i, "merchant/m1", 10000+i, 1))
	})
	winner := -1
	for i := range n {
		check(t, errs[i])
		if outcomes[i].Status == ledger.Applied {
			if winner >= 0 {
				t.Fatalf("ops %d and %d both spent the coin", winner, i)
			}
			winner = i
		}
	}
	if winner < 0 {
		t.Fatal("nobody spent the coin")
	}
	for i, out := range outcomes {
		if i == winner {
			continue
		}
		if out.Status != ledger.Conflict || len(out.Conflicts) != 1 || out.Conflicts[0].Op != id("op", winner) ||
			out.Conflicts[0].ID != id("coin", 1) {
			t.Fatalf("op %d got %+v, want a conflict with op %d", i, out, winner)
		}
		// The loser's other coin is free.
		apply(t, l, deposit(1000+i, "merchant/m2", 10000+i), ledger.Applied)
	}
	wantBalance(t, l, "merchant/m1", 2)
	verify(t, l)
}

func testConcurrentReplay(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	var applied atomic.Int64
	together(100, func(i int) {
		op := deposit(1, "merchant/m1", 1)
		op.Request = []byte{byte(i)}
		out, err := l.Apply(context.Background(), op)
		switch {
		case err != nil:
			t.Error(err)
		case out.Status == ledger.Applied:
			applied.Add(1)
		case out.Status != ledger.Replayed || out.Existing.ID != op.ID:
			t.Errorf("got %+v", out)
		}
	})
	if applied.Load() != 1 {
		t.Fatalf("applied %d times", applied.Load())
	}
	wantBalance(t, l, "merchant/m1", 1)
	verify(t, l)
}

func testConcurrentFloors(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	apply(t, l, move(0, "reserve", "holder/h", 100), ledger.Applied)
	var taken atomic.Int64
	together(64, func(i int) {
		for k := range 4 {
			out, err := l.Apply(context.Background(), withdraw(1+4*i+k, "holder/h", "circulation/k1", 3))
			switch {
			case err != nil:
				t.Error(err)
			case out.Status == ledger.Applied:
				taken.Add(3)
			case out.Status != ledger.Insufficient:
				t.Errorf("got %+v", out)
			}
		}
	})
	if taken.Load() != 99 {
		t.Fatalf("%d of 100 taken by threes, want 99", taken.Load())
	}
	wantBalance(t, l, "holder/h", 1)
	verify(t, l)
}

// testContext lets impatient callers leave in every phase; whatever became
// of their ops, a replay tells.
func testContext(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := l.Apply(ended, deposit(0, "merchant/m1", 0))
	wantErr(t, err, context.Canceled)
	_, err = l.Op(context.Background(), id("op", 0))
	wantErr(t, err, ledger.ErrNotFound)

	const n = 200
	together(n, func(i int) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*20*time.Microsecond)
		defer cancel()
		op := deposit(1+i, "merchant/m1", 1+i)
		l.Apply(ctx, op)
		clear(op.Request) // the caller's buffers are his again
	})
	for i := range n {
		out, err := l.Apply(context.Background(), deposit(1+i, "merchant/m1", 1+i))
		check(t, err)
		if out.Status != ledger.Applied && (out.Status != ledger.Replayed || out.Existing.Request[0] != byte(1+i)) {
			t.Fatalf("op %d: %+v", i, out)
		}
	}
	wantBalance(t, l, "merchant/m1", n)
	verify(t, l)
}

func testClosed(t *testing.T, fresh FreshLedger) {
	open := fresh(t)
	l := open()
	ctx := context.Background()
	check(t, l.OpenEpoch(ctx, epoch))
	var recorded [100]atomic.Bool
	together(100, func(i int) {
		if i == 50 {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			return
		}
		out, err := l.Apply(ctx, deposit(i, "merchant/m1", i))
		if err == nil && out.Status == ledger.Applied {
			recorded[i].Store(true)
		} else if err == nil {
			t.Errorf("got %+v", out)
		} else if !errors.Is(err, ledger.ErrClosed) {
			t.Error(err)
		}
	})
	_, err := l.Apply(ctx, deposit(1000, "merchant/m1", 1000))
	wantErr(t, err, ledger.ErrClosed)
	_, err = l.Op(ctx, id("op", 1))
	wantErr(t, err, ledger.ErrClosed)
	_, err = l.Verify(ctx, ledger.Verification{})
	wantErr(t, err, ledger.ErrClosed)
	check(t, l.Close())

	l = open()
	defer l.Close()
	for i := range recorded {
		if _, err := l.Op(ctx, id("op", i)); (err == nil) != recorded[i].Load() {
			t.Fatalf("op %d: applied is %v, read back: %v", i, recorded[i].Load(), err)
		}
	}
	verify(t, l)
}
