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

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/signer"
)

const (
	benchCallers  = 64
	benchSessions = 8
	benchRound    = 500 * time.Millisecond
)

// benchBatch is how many blinded messages a call has where it has several: a
// withdrawal's.
const benchBatch = 16

// BenchmarkSigner compares blind signatures a second (RSA-2048) on one token:
// the bare C_Sign loop, through issuer.BatchSigner in this process, and
// through the same interface and a signer, which is a process of its own as
// in production; the latter two one by one and 16 a call. Each b.N is one
// round of all, in turns, so that all see the same machine; the ratios are
// the medians of the rounds.
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

	ways := [...]struct {
		name string
		rate func() float64
	}{
		{"C_Sign", func() float64 { return must(key.RawSignRate(b.Context(), benchSessions, benchRound))(b) }},
		{"in-process", func() float64 { return signRate(b, h, local, 1) }},
		{"signer", func() float64 { return signRate(b, h, remote.blind, 1) }},
		{"in-process-16", func() float64 { return signRate(b, h, local, benchBatch) }},
		{"signer-16", func() float64 { return signRate(b, h, remote.blind, benchBatch) }},
	}
	var rates, costs [len(ways)][]float64 // of each way to C_Sign, by round
	for n := 0; b.Loop(); n++ {
		var rate, cost [len(ways)]float64 // signatures a second, processor seconds a signature
		for i := range ways {
			way := (n + i) % len(ways)
			before, start := processorTime(b, worker), time.Now()
			rate[way] = ways[way].rate()
			cost[way] = (processorTime(b, worker) - before).Seconds() / (rate[way] * time.Since(start).Seconds())
		}
		for i, w := range ways {
			rates[i], costs[i] = append(rates[i], rate[i]/rate[0]), append(costs[i], cost[0]/cost[i])
			b.Logf("%s: %.0f a second, %.0f µs of processor time each", w.name, rate[i], 1e6*cost[i])
		}
	}
	for i, w := range ways[1:] {
		b.ReportMetric(median(rates[i+1]), w.name+"/C_Sign")
		b.ReportMetric(median(costs[i+1]), w.name+"/C_Sign-by-processor-time")
	}
	b.ReportMetric(0, "ns/op")
}

// processorTime is what this process and another have used.
func processorTime(b *testing.B, other int) time.Duration {
	b.Helper()
	var own syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &own))
	return time.Duration(own.Utime.Nano()+own.Stime.Nano()) + usedBy(b, other)
}

// usedBy is the processor time of another process.
func usedBy(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)))(b))
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	ticks := must(strconv.Atoi(fields[11]))(b) + must(strconv.Atoi(fields[12]))(b) // utime, stime: proc(5)
	return time.Duration(ticks) * 10 * time.Millisecond
}

func median(v []float64) float64 {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// signRate is how many signatures a second many callers get together, so many
// a call.
func signRate(b *testing.B, h *house, s issuer.BlindSigner, batch int) float64 {
	b.Helper()
	d := &h.keyset.Denominations[0]
	outputs := make([]coin.Output, batch)
	for i := range outputs {
		m := make([]byte, d.PublicKey.Size())
		m[len(m)-1] = byte(2 + i)
		outputs[i] = coin.Output{KeyID: d.KeyID, Blinded: m}
	}
	// Not under the clock's context: what has begun is counted, in all ways.
	sign := func() error {
		if batch == 1 {
			_, err := s.BlindSign(context.Background(), d.KeyID, outputs[0].Blinded)
			return err
		}
		_, err := s.(issuer.BatchSigner).BlindSignBatch(context.Background(), outputs)
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), benchRound)
	defer cancel()
	var wait sync.WaitGroup
	var count atomic.Int64
	start := time.Now()
	for range benchCallers {
		wait.Go(func() {
			for ctx.Err() == nil {
				if err := sign(); err != nil {
					b.Error(err)
					return
				}
				count.Add(int64(batch))
			}
		})
	}
	wait.Wait()
	return float64(count.Load()) / time.Since(start).Seconds()
}
