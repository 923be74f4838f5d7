package ledgertest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
)

// What a grown ledger is made of: payments of four coins (one has 3.8 with its
// change) under as many keys as a bank has in force, two quarters of thirteen
// values each. It is filled by payments of sixteen, which is four times sooner.
const (
	growthCoins   = 4
	fillCoins     = 16
	growthKeys    = 26
	growthCallers = 64
	fillCallers   = 512
	growthWindow  = 2048 // deposits in a round
	growthRounds  = 5
)

// BenchmarkGrowth measures deposits of four coins, by 64 callers, in a ledger
// that holds so many spent coins: a second, and per second of this process's
// processor time. They carry what a payment with three coins and one coin of
// change does, 3 kB of request and 2.3 kB of receipt. size tells what the store
// takes on disk.
func BenchmarkGrowth(b *testing.B, fresh FreshLedger, size func(testing.TB) int64, spent ...int) {
	for range b.N {
		l := start(b, fresh)
		var epochs []string
		for i := range growthKeys {
			epochs = append(epochs, growthEpoch(i))
			check(b, l.OpenEpoch(context.Background(), growthEpoch(i)))
		}
		var first, firstCost float64
		done := 0
		for _, n := range spent {
			Grow(b, l, n-done, epochs)
			done = n + growthRounds*growthWindow*growthCoins
			rate, cost, bytes := measureGrown(b, l, size, epochs)
			if first == 0 {
				first, firstCost = rate, cost
			}
			b.Logf("%d spent coins: %.0f deposits/s of %d coins, %.2f of the first, by processor time %.2f (%.0f µs each); %.0f bytes each; %d MB on disk",
				n, rate, growthCoins, rate/first, firstCost/cost, 1e6*cost, bytes, size(b)>>20)
			b.ReportMetric(rate, fmt.Sprintf("deposits/s-at-%d", n))
			b.ReportMetric(rate/first, fmt.Sprintf("of-first-at-%d", n))
			b.ReportMetric(bytes, fmt.Sprintf("bytes-each-at-%d", n))
		}
	}
	b.ReportMetric(0, "ns/op")
}

// measureGrown returns the medians of some rounds: deposits a second, and what
// one takes of processor time in seconds and of disk.
func measureGrown(b *testing.B, l ledger.Ledger, size func(testing.TB) int64, epochs []string) (rate, cost, bytes float64) {
	request, answer := make([]byte, 3000), make([]byte, 2300)
	_, _ = rand.Read(request) // signatures do not compress, and PostgreSQL tries
	_, _ = rand.Read(answer)
	before := size(b)
	var rates, costs []float64
	for range growthRounds {
		used, began := processorTime(b), time.Now()
		depositMany(b, l, growthWindow, growthCallers, func(n int) ledger.Op {
			op := randomDeposit(n, growthCoins, epochs)
			op.Request, op.Answer = request, answer
			return op
		})
		rates = append(rates, growthWindow/time.Since(began).Seconds())
		costs = append(costs, (processorTime(b)-used).Seconds()/growthWindow)
	}
	return middle(rates), middle(costs), float64(size(b)-before) / (growthRounds * growthWindow)
}

// Grow records so many spent coins, with random ids and spread over epochs
// that are open.
func Grow(b testing.TB, l ledger.Ledger, coins int, epochs []string) {
	b.Helper()
	began := time.Now()
	depositMany(b, l, coins/fillCoins, fillCallers, func(n int) ledger.Op { return randomDeposit(n, fillCoins, epochs) })
	b.Logf("%d coins filled in within %v", coins/fillCoins*fillCoins, time.Since(began).Round(time.Second))
}

// depositMany applies n ops with so many callers at once.
func depositMany(b testing.TB, l ledger.Ledger, n, callers int, op func(n int) ledger.Op) {
	b.Helper()
	var next atomic.Int64
	var done sync.WaitGroup
	for range callers {
		done.Go(func() {
			for i := next.Add(1); i <= int64(n) && !b.Failed(); i = next.Add(1) {
				if out, err := l.Apply(context.Background(), op(int(i))); err != nil || out.Status != ledger.Applied {
					b.Errorf("%+v %v", out, err)
				}
			}
		})
	}
	done.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

func randomDeposit(n, coins int, epochs []string) ledger.Op {
	op := move(n, fmt.Sprintf("growth/k%d", n%growthKeys), fmt.Sprintf("growth/m%d", n%64), int64(coins))
	_, _ = rand.Read(op.ID[:])
	op.Kind, op.Account, op.At = "deposit", op.Postings[1].Account, time.Now()
	for i := range coins {
		s := ledger.Spend{Epoch: epochs[(n*coins+i)%len(epochs)], Value: 1}
		_, _ = rand.Read(s.ID[:])
		op.Spends = append(op.Spends, s)
	}
	return op
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func growthEpoch(i int) string { return fmt.Sprintf("%038d%02d", 0, i) }

func middle(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
