package ledgertest

import (
	"context"
	"errors"
	"testing"

	"github.com/speciecash/specie/ledger"
)

func testVerification(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	ctx := context.Background()
	ops := []ledger.Op{move(1, "reserve", "holder/h1", 10), move(2, "holder/h1", "circulation/k1", 8)}
	for i := range 1500 { // more than go by between two words about progress
		ops = append(ops, move(10+i, "reserve", "holder/h2", 1))
	}
	ops = append(ops, deposit(3, "merchant/m1", 1, 2, 3))
	for i := range ops {
		apply(t, l, ops[i], ledger.Applied)
	}
	var seen []ledger.Op
	var steps [][2]int64
	audit, err := l.Verify(ctx, ledger.Verification{
		Op:       func(op *ledger.Op) error { seen = append(seen, *op); return nil },
		Progress: func(done, total int64) { steps = append(steps, [2]int64{done, total}) },
	})
	check(t, err)
	if int64(len(seen)) != audit.Ops {
		t.Fatalf("%d ops were shown of %d", len(seen), audit.Ops)
	}
	for i := range seen {
		seen[i].Lane = "" // the driver's
	}
	if diff := differ(ops, seen); diff != "" {
		t.Fatalf("ops differ (-want +got):\n%s", diff)
	}
	if len(steps) < 3 {
		t.Fatalf("progress told %v", steps)
	}
	for i, s := range steps {
		if s[1] != steps[0][1] || s[0] > s[1] || i > 0 && s[0] < steps[i-1][0] {
			t.Fatalf("progress told %v", steps)
		}
	}
	if last := steps[len(steps)-1]; last[0] != last[1] || last[1] == 0 {
		t.Fatalf("progress ended at %v", last)
	}
	stop := errors.New("seen enough")
	n := 0
	_, err = l.Verify(ctx, ledger.Verification{Op: func(*ledger.Op) error { n++; return stop }})
	if wantErr(t, err, stop); n != 1 {
		t.Fatalf("%d ops were shown after an error", n)
	}
}
