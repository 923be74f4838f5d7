package issuer_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

// BenchmarkFigures measures what the operator's figures cost in a ledger of
// SPECIE_BENCH_OPS withdrawals and deposits, 20 000 if unset, of which each moves
// four coins and carries what a real one does, spread over 30 days: the first
// answer of a process, how long all is read that is kept, and an answer after
// that.
func BenchmarkFigures(b *testing.B) {
	ops := 20_000
	if text := os.Getenv("SPECIE_BENCH_OPS"); text != "" {
		var err error
		if ops, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	bank := issuertest.NewHouse(b).NewBank(b, nil)
	fillFlows(b, bank, ops)
	for range b.N {
		fresh, err := issuer.New(b.Context(), bank.Config)
		if err != nil {
			b.Fatal(err)
		}
		ask := func() (*issuer.Figures, time.Duration) {
			began := time.Now()
			f, err := fresh.Figures(b.Context(), hours(fresh.Now(), 24))
			if err != nil {
				b.Fatal(err)
			}
			return f, time.Since(began)
		}
		f, first := ask()
		b.ReportMetric(float64(first.Milliseconds()), "ms-first")
		whole := first
		for !f.Since.IsZero() {
			var took time.Duration
			f, took = ask()
			whole += took
		}
		b.ReportMetric(float64(whole.Milliseconds()), "ms-until-whole")
		var steady time.Duration
		for range 20 {
			_, took := ask()
			steady += took
		}
		b.ReportMetric(float64(steady.Microseconds())/20, "µs-after")
	}
	b.ReportMetric(0, "ns/op")
}

// fillFlows records ops as the bank would.
func fillFlows(b *testing.B, bank *issuertest.Bank, ops int) {
	b.Helper()
	request := make([]byte, 3000)
	_, _ = rand.Read(request)
	values := []coin.Amount{1, 2, 4, 8}
	var next atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range 256 {
		all.Go(func() {
			for n := next.Add(1); n <= int64(ops); n = next.Add(1) {
				op := ledger.Op{Kind: issuer.KindWithdrawal, State: ledger.StateDone, Request: request, Issuer: issuertest.BankID,
					At: bank.Now().Add(-30 * 24 * time.Hour).Add(time.Duration(n) * (30 * 24 * time.Hour) / time.Duration(ops))}
				binary.BigEndian.PutUint64(op.ID[:], uint64(n))
				account, half, sign := fmt.Sprintf("holder/%d", n%1000), "/issued", int64(1)
				if n%2 == 1 {
					op.Kind, account, half, sign = issuer.KindDeposit, fmt.Sprintf("merchant/%d", n%100), "/redeemed", -1
				}
				for _, v := range values {
					kid := bank.House.Key(b, coin.Bearer, v).KeyID
					op.Postings = append(op.Postings, ledger.Posting{Account: "circulation/" + kid.String() + half, Amount: sign * int64(v), Currency: issuertest.Currency})
				}
				op.Postings = append(op.Postings, ledger.Posting{Account: account, Amount: -sign * 15, Currency: issuertest.Currency})
				if out, err := bank.Ledger.Apply(context.Background(), op); err != nil || out.Status != ledger.Applied {
					b.Errorf("%v %v", out.Status, err)
					return
				}
			}
		})
	}
	all.Wait()
	b.Logf("%d operations recorded within %v", ops, time.Since(began).Round(time.Second))
}
