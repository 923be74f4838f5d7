package signer_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/speciecash/specie/signer"
)

func TestAStopAnswersWhatIsInFlight(t *testing.T) {
	tok := newToken()
	g := newGate()
	tok.before = g.hold
	h := open(t, tok)
	c := h.client(nil)
	kid, m := message(t, bench.coins[0])
	check(t, c.Has(t.Context(), kid))
	idle := h.greeted()
	results := make(chan error, 3*sessions)
	for range cap(results) { // some run, others wait in the queue
		go func() {
			s, err := c.BlindSign(t.Context(), kid, m)
			if err == nil && !signs(bench.coins[0].Public(), s, m) {
				err = fmt.Errorf("the signature does not verify")
			}
			results <- err
		}()
	}
	waitFor(t, func() bool { return h.srv.Stats().Waiting == 2*sessions })
	stopped := make(chan error)
	go func() { stopped <- h.stop() }()
	select {
	case err := <-stopped:
		t.Fatalf("stopped with requests in flight: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	g.open()
	for range cap(results) {
		check(t, <-results)
	}
	check(t, <-stopped)
	if !idle.ended() {
		t.Error("an idle connection stays open")
	}
	// What comes now waits in the kernel for the next worker.
	go func() {
		_, err := c.BlindSign(t.Context(), kid, m)
		results <- err
	}()
	time.Sleep(20 * time.Millisecond)
	h.serve(nil, newToken())
	check(t, <-results)
}

func TestAStopGivesUpWhatTakesTooLong(t *testing.T) {
	tok := newToken()
	left := make(chan struct{})
	tok.before = func(ctx context.Context, _ []byte) error {
		<-ctx.Done()
		close(left)
		return ctx.Err()
	}
	h := openWith(t, func(s *signer.Server) { s.SetDrainTimeout(50 * time.Millisecond) }, tok)
	c := h.client(func(cfg *signer.ClientConfig) { cfg.Timeout = time.Second })
	kid, m := message(t, bench.coins[0])
	go func() { _, _ = c.BlindSign(t.Context(), kid, m) }()
	waitFor(t, func() bool { return c.Has(t.Context(), kid) == nil && h.srv.Stats().Waited > 0 })
	within(t, 5*time.Second, "a stop", func() { check(t, h.stop()) })
	<-left
}
