package hsm

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
)

// RawSignRate measures how many raw signatures a second the token makes with
// this key when nothing of ours stands between: workers goroutines (1 to 256)
// each call C_SignInit and C_Sign in a loop, in a session of their own, for
// about d. It is what a benchmark compares BlindSign and everything above it
// with. The messages are r^e for random r, so the signatures are worthless.
func (k *RSAKey) RawSignRate(ctx context.Context, workers int, d time.Duration) (perSecond float64, err error) {
	if workers < 1 || workers > maxSessions || d <= 0 {
		return 0, fmt.Errorf("%w: %d workers for %v", ErrInput, workers, d)
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var (
		wg    sync.WaitGroup
		count atomic.Int64
		errs  = make(chan error, workers)
	)
	start := time.Now()
	for range workers {
		wg.Go(func() {
			errs <- k.tok.withTemporary(0, func(s pkcs11.SessionHandle) error { return k.rawLoop(ctx, s, &count) })
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	for range workers {
		if err := <-errs; err != nil {
			return 0, err
		}
	}
	return float64(count.Load()) / elapsed.Seconds(), nil
}

// rawLoop signs until ctx ends, which is no error: that is how the
// measurement stops. It signs once whatever the time, or a token that is
// slower than the measurement is long would have no rate.
func (k *RSAKey) rawLoop(ctx context.Context, s pkcs11.SessionHandle, count *atomic.Int64) error {
	h, err := k.handle(s)
	if err != nil {
		return err
	}
	_, m, err := k.known()
	if err != nil {
		return err
	}
	for {
		if _, err := k.raw(s, h, m); err != nil {
			return err
		}
		count.Add(1)
		if ctx.Err() != nil {
			return nil
		}
	}
}
