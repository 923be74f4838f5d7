package hsm_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/hsm"
)

// BenchmarkBlindSign compares the raw C_Sign loop with BlindSign on the same
// key: blind/raw is what the checks and the pool cost. The two take turns, so
// that whatever else the machine does weighs on both.
func BenchmarkBlindSign(b *testing.B) {
	for _, bits := range []int{2048, 3072} {
		tok := newToken(b)
		key, err := tok.GenerateRSA(b.Context(), "bench", bits)
		if err != nil {
			b.Fatal(err)
		}
		for _, workers := range []int{1, 8} {
			b.Run(fmt.Sprintf("rsa%d/goroutines%d", bits, workers), func(b *testing.B) { compare(b, key, workers) })
		}
	}
}

func compare(b *testing.B, key *hsm.RSAKey, workers int) {
	const turn = 250 * time.Millisecond
	_, m := known(b, key)
	var raw float64
	var signed, turns int
	var busy time.Duration
	for b.StopTimer(); signed < b.N && !b.Failed(); turns++ {
		rate, err := key.RawSignRate(b.Context(), workers, turn)
		if err != nil {
			b.Fatal(err)
		}
		raw += rate
		start := time.Now()
		b.StartTimer()
		signed += blindFor(b, key, m, workers, turn)
		b.StopTimer()
		busy += time.Since(start)
	}
	raw /= float64(turns)
	blind := float64(signed) / busy.Seconds()
	b.ReportMetric(raw, "raw/s")
	b.ReportMetric(blind, "blind/s")
	b.ReportMetric(blind/raw, "blind/raw")
	b.ReportMetric(0, "ns/op") // turns are of fixed length: it would mean nothing
}

// blindFor counts the signatures that workers goroutines make in d.
func blindFor(b *testing.B, key *hsm.RSAKey, m []byte, workers int, d time.Duration) int {
	var count atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for range workers {
		wg.Go(func() {
			for time.Now().Before(end) {
				if _, err := key.BlindSign(b.Context(), m); err != nil {
					b.Error(err)
					return
				}
				count.Add(1)
			}
		})
	}
	wg.Wait()
	return int(count.Load())
}
