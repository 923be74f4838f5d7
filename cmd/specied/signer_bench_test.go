package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/signer"
)

const (
	benchCallers  = 64
	benchSessions = 8
	benchRound    = 500 * time.Millisecond
)

// BenchmarkSigner compares blind signatures a second (RSA-2048) on one token:
// the bare C_Sign loop, through issuer.BlindSigner in this process, and
// through the same interface and a signer, which is a process of its own as
// in production. Each b.N is one round of all three, in turns, so that all
// see the same machine; the ratios are the medians of the rounds.
func BenchmarkSigner(b *testing.B) {
	h := newHouse(b, 1, benchSessions)
	worker := h.startSigner().worker()
	remote := remoteKeys(signer.NewClient(signer.ClientConfig{Socket: h.path("signer.sock"), Logger: slog.New(slog.DiscardHandler)}), "")
	defer remote.close()
	local := issuer.NewKeyring(h.token.RSAKeys, h.token.BlindSignBatch)
	d := &h.keyset.Denominations[0]
	check(b, local.Has(b.Context(), d.KeyID))
	check(b, remote.blind.Has(b.Context(), d.KeyID))
	key := must(h.token.RSAKeys(b.Context()))(b)[0]

	ways := []func() float64{
		func() float64 { return must(key.RawSignRate(b.Context(), benchSessions, benchRound))(b) },
		func() float64 { return signRate(b, h, local) },
		func() float64 { return signRate(b, h, remote.blind) },
	}
	var inProcess, through, between, processor []float64
	for n := 0; b.Loop(); n++ {
		var rate, cost [3]float64 // signatures a second, processor seconds a signature
		for i := range ways {
			way := (n + i) % len(ways)
			before, start := processorTime(b, worker), time.Now()
			rate[way] = ways[way]()
			cost[way] = (processorTime(b, worker) - before).Seconds() / (rate[way] * time.Since(start).Seconds())
		}
		inProcess = append(inProcess, rate[1]/rate[0])
		through = append(through, rate[2]/rate[0])
		between = append(between, rate[2]/rate[1])
		processor = append(processor, cost[1]/cost[2])
		b.Logf("a second: C_Sign %.0f, in process %.0f, signer %.0f; signer/in process %.3f; processor time %.0f, %.0f, %.0f µs",
			rate[0], rate[1], rate[2], rate[2]/rate[1], 1e6*cost[0], 1e6*cost[1], 1e6*cost[2])
	}
	b.ReportMetric(median(inProcess), "in-process/C_Sign")
	b.ReportMetric(median(through), "signer/C_Sign")
	b.ReportMetric(median(between), "signer/in-process")
	b.ReportMetric(median(processor), "signer/in-process-by-processor-time")
	b.ReportMetric(0, "ns/op")
}

// processorTime is what this process and another have used.
func processorTime(b *testing.B, other int) time.Duration {
	b.Helper()
	var own syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &own))
	stat := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/stat", other)))(b))
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	ticks := must(strconv.Atoi(fields[11]))(b) + must(strconv.Atoi(fields[12]))(b) // utime, stime: proc(5)
	return time.Duration(own.Utime.Nano()+own.Stime.Nano()) + time.Duration(ticks)*10*time.Millisecond
}

func median(v []float64) float64 {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// signRate is how many signatures a second many callers get together.
func signRate(b *testing.B, h *house, s issuer.BlindSigner) float64 {
	b.Helper()
	d := &h.keyset.Denominations[0]
	m := make([]byte, d.PublicKey.Size())
	m[len(m)-1] = 2
	ctx, cancel := context.WithTimeout(context.Background(), benchRound)
	defer cancel()
	var wait sync.WaitGroup
	var count atomic.Int64
	start := time.Now()
	for range benchCallers {
		wait.Go(func() {
			for ctx.Err() == nil {
				// Not under ctx: what has begun is counted, in both.
				if _, err := s.BlindSign(context.Background(), d.KeyID, m); err != nil {
					b.Error(err)
					return
				}
				count.Add(1)
			}
		})
	}
	wait.Wait()
	return float64(count.Load()) / time.Since(start).Seconds()
}
