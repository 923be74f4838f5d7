package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/speciecash/specie/issuer"
)

// The figures are ratios of ways that take turns within one run, in short
// rounds: each round sees one machine, and the median of the rounds' ratios
// forgets the ones that something else disturbed. Beside the ratio of times
// stands that of processor times, which another program's load weighs on less.

// serveBench serves a bank over loopback as a daemon does, and returns the
// address.
func serveBench(b *testing.B, bank *issuer.Bank) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, slog.New(slog.DiscardHandler), Endpoint{l, NewIssuer(bank, IssuerOptions{}).Public})
	}()
	b.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return l.Addr().String()
}

// guns are connections that stay open, over which whole requests are sent
// that were made before the clock ran. What a client costs is not the bank's,
// so they do no more than HTTP needs.
type guns []*gun

type gun struct {
	conn   net.Conn
	reader *bufio.Reader
}

func dial(b *testing.B, address string, n int) guns {
	b.Helper()
	all := make(guns, n)
	for i := range all {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		all[i] = &gun{conn, bufio.NewReaderSize(conn, 16<<10)}
	}
	return all
}

// request is a POST as it goes over the wire.
func request(path string, token issuer.Token, body []byte) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "POST %s HTTP/1.1\r\nHost: bank\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", path, len(body))
	if token != "" {
		fmt.Fprintf(&out, "Authorization: Bearer %s\r\n", string(token))
	}
	out.WriteString("\r\n")
	out.Write(body)
	return out.Bytes()
}

// send sends a request and reads the answer to its end.
func (c *gun) send(request []byte) error {
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// fire sends all requests, each client one after the other.
func (all guns) fire(b *testing.B, requests [][]byte) {
	b.Helper()
	var next, failed atomic.Int64
	var wait sync.WaitGroup
	for _, c := range all {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(requests)); i = next.Add(1) - 1 {
				if err := c.send(requests[i]); err != nil {
					if failed.Add(1) == 1 {
						b.Error(err)
					}
					return
				}
			}
		})
	}
	wait.Wait()
	if failed.Load() > 0 {
		b.FailNow()
	}
}

// A lap is what so many units of work took.
type lap struct {
	units     int
	took      time.Duration
	processor time.Duration // of this process, all threads
}

// measure runs work, which says how many units it did.
func measure(b *testing.B, work func() int) lap {
	b.Helper()
	used, start := processorTime(b), time.Now()
	units := work()
	return lap{units, time.Since(start), processorTime(b) - used}
}

func (l lap) rate() float64 { return float64(l.units) / l.took.Seconds() }

// cost is processor time a unit, in seconds.
func (l lap) cost() float64 { return l.processor.Seconds() / float64(l.units) }

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// medianOf is the median of what f makes of each.
func medianOf[T any](all []T, f func(T) float64) float64 {
	v := make([]float64, len(all))
	for i := range all {
		v[i] = f(all[i])
	}
	return median(v)
}
