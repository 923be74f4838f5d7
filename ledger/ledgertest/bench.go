package ledgertest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/speciecash/specie/ledger"
)

// BenchmarkLedger measures deposits of one coin, two postings and a request
// of 500 bytes, with so many callers at once that each waits for its own.
func BenchmarkLedger(b *testing.B, fresh FreshLedger) {
	for _, callers := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("deposits by %d callers", callers), func(b *testing.B) {
			l := start(b, fresh)
			var next atomic.Int64
			var done sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range callers {
				done.Go(func() {
					for n := int(next.Add(1)); n <= b.N; n = int(next.Add(1)) {
						op := deposit(n, fmt.Sprintf("merchant/m%d", n%16), n)
						op.Request = make([]byte, 500)
						out, err := l.Apply(context.Background(), op)
						if err != nil || out.Status != ledger.Applied {
							b.Errorf("%+v %v", out, err)
						}
					}
				})
			}
			done.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		})
	}
}
