package ledgertest

import (
	"sync"
	"testing"

	"github.com/speciecash/specie/ledger"
)

// testWriterStats: what is committed together is counted once as a batch, and
// each call of it once.
func testWriterStats(t *testing.T, fresh FreshLedger) {
	l := fresh(t)()
	defer func() { check(t, l.Close()) }()
	check(t, l.OpenEpoch(t.Context(), epoch))
	before := l.WriterStats()
	const n = 40
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			_, err := l.Apply(t.Context(), ledger.Op{ID: id("op", i), Kind: "void", State: ledger.StateDone, At: moment(i)})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	// A caller is answered before his batch is counted.
	check(t, l.SetMeta(t.Context(), "x", []byte("y")))
	after := l.WriterStats()
	if calls := after.Sizes.Sum - before.Sizes.Sum; calls < n || calls > n+1 {
		t.Errorf("%v calls counted, want %d", calls, n)
	}
	if batches := after.Sizes.Count - before.Sizes.Count; batches == 0 || batches > n+1 || after.Times.Count != after.Sizes.Count {
		t.Errorf("%d batches for %d calls, %d times", batches, n, after.Times.Count)
	}
	if last := len(after.Sizes.Bounds) - 1; after.Sizes.Counts[last] != after.Sizes.Count || after.Times.Sum <= 0 || after.Waiting != 0 {
		t.Errorf("%+v", after)
	}
}
