package server

import (
	"fmt"
	"testing"

	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/ledgertest"
)

// grownKeys is how many keys' coins are in a grown ledger, beside the one that
// is paid with: two quarters of thirteen values.
const grownKeys = 25

// BenchmarkDepositGrown measures deposits of one bearer coin over the whole
// path, 64 clients, at a bank that has so many spent coins. Each b.N is one
// round at each size.
func BenchmarkDepositGrown(b *testing.B) {
	h := issuertest.NewHouse(b)
	for _, store := range benchStores(b) {
		b.Run(store.name, func(b *testing.B) {
			var l ledger.Ledger
			bank := h.NewBank(b, func(c *issuer.Config) {
				l = store.open(b)
				c.Ledger = l
			})
			till := bank.NewTill(b)
			address := serveBench(b, bank.Bank)
			one := payments(b, h, bank, till, 1)
			dial(b, address, 1).fire(b, requestsOf(one))
			epochs := grownEpochs(b, l, &one[0])
			var first, firstCost float64
			spent := 0
			for _, size := range []int{10_000, 1_000_000, 5_000_000} {
				ledgertest.Grow(b, l, size-spent, epochs)
				spent = size
				warm := payments(b, h, bank, till, 64)
				all := dial(b, address, 64) // anew: a server closes what is idle for long
				all.fire(b, requestsOf(warm))
				var laps []lap
				for range b.N {
					requests := requestsOf(payments(b, h, bank, till, depositRound))
					laps = append(laps, measure(b, func() int {
						all.fire(b, requests)
						return len(requests)
					}))
				}
				rate, cost := medianOf(laps, lap.rate), medianOf(laps, lap.cost)
				if first == 0 {
					first, firstCost = rate, cost
				}
				b.Logf("%d spent coins: %.0f deposits/s, %.2f of the first; by processor time %.2f (%.0f µs each)",
					size, rate, rate/first, firstCost/cost, 1e6*cost)
				b.ReportMetric(rate, fmt.Sprintf("deposits/s-at-%d", size))
				b.ReportMetric(rate/first, fmt.Sprintf("of-first-at-%d", size))
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// grownEpochs are the spent set of a deposit's key and those of others.
func grownEpochs(b *testing.B, l ledger.Ledger, p *paid) []string {
	b.Helper()
	op, err := l.Op(b.Context(), p.spend.Op())
	if err != nil {
		b.Fatal(err)
	}
	epochs := []string{op.Spends[0].Epoch}
	for i := range grownKeys {
		epoch := fmt.Sprintf("%038d%02d", 0, i)
		if err := l.OpenEpoch(b.Context(), epoch); err != nil {
			b.Fatal(err)
		}
		epochs = append(epochs, epoch)
	}
	return epochs
}
