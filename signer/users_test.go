package signer_test

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/signer"
)

// A pair is a house that lets two users in, and plays them.
type pair struct {
	*house
	self, other uint32
	now         atomic.Uint32 // who connects
}

func openPair(t *testing.T, change func(*signer.Server), tok signer.Token) *pair {
	t.Helper()
	self := uint32(os.Geteuid())
	p := &pair{house: &house{t: t, path: t.TempDir() + "/s.sock"}, self: self, other: self + 1}
	p.users = []uint32{p.other, self, p.other} // two, however often they are named
	p.listen()
	p.serve(func(s *signer.Server) {
		s.SetPeers(p.now.Load)
		if change != nil {
			change(s)
		}
	}, tok)
	return p
}

// connect returns a client of that user whose connection stands.
func (p *pair) connect(uid uint32) *signer.Client {
	p.t.Helper()
	p.now.Store(uid)
	c := p.client(nil)
	kid, _ := message(p.t, bench.coins[0])
	check(p.t, c.Has(p.t.Context(), kid))
	return c
}

// TestManyConnectionsOfAUserDelayAnotherByOneOperationEach: there is nothing
// to gain by more of them.
func TestManyConnectionsOfAUserDelayAnotherByOneOperationEach(t *testing.T) {
	tok := newToken()
	tok.sessions = 1
	g := newGate()
	tok.before = g.hold
	h := openPair(t, nil, tok)
	kid, m := message(t, bench.coins[0])
	_, mine := message(t, bench.coins[0])
	var wait sync.WaitGroup
	for range 5 {
		flood := h.connect(h.self)
		for range 20 {
			wait.Go(func() { _, _ = flood.BlindSign(t.Context(), kid, m) })
		}
	}
	polite := h.connect(h.other)
	waitFor(t, func() bool { return h.srv.Stats().Waiting == 99 })
	for range 3 {
		wait.Go(func() { _, _ = polite.BlindSign(t.Context(), kid, mine) })
	}
	waitFor(t, func() bool { return h.srv.Stats().Waiting == 102 })
	g.open()
	wait.Wait()
	inTurn(t, g, mine)
}

func TestAUserCannotTakeAnothersPartOfWhatMayWait(t *testing.T) {
	tok := newToken()
	tok.sessions = 1
	g := newGate()
	tok.before = g.hold
	h := openPair(t, func(s *signer.Server) { s.SetWaiting(20) }, tok)
	kid, m := message(t, bench.coins[0])
	var wait sync.WaitGroup
	var busy atomic.Int64
	call := func(c *signer.Client, n int) {
		for range n {
			wait.Go(func() {
				if _, err := c.BlindSign(t.Context(), kid, m); errors.Is(err, signer.ErrBusy) {
					busy.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
	}
	one, two, polite := h.connect(h.self), h.connect(h.self), h.connect(h.other)
	call(one, 1)
	<-g.arrived // it runs, and nothing else does
	call(one, 15)
	call(two, 15)
	waitFor(t, func() bool { return busy.Load() == 20 && h.srv.Stats().Waiting == 10 })
	call(polite, 10)
	waitFor(t, func() bool { return h.srv.Stats().Waiting == 20 })
	call(polite, 1)
	waitFor(t, func() bool { return busy.Load() == 21 })
	g.open()
	wait.Wait()
	// What was served is no burden any more.
	call(one, 10)
	wait.Wait()
	if got := busy.Load(); got != 21 {
		t.Errorf("%d refused", got)
	}
}

func TestAUserCannotTakeAnothersConnections(t *testing.T) {
	h := openPair(t, func(s *signer.Server) { s.SetConns(4) }, newToken())
	let := func(uid uint32) (w *wire, in bool) {
		h.now.Store(uid)
		w = h.dial()
		return w, w.take(len(signer.Hello)) == signer.Hello
	}
	var first *wire
	for i, c := range []struct {
		uid uint32
		in  bool
	}{{h.self, true}, {h.self, true}, {h.self, false}, {h.other, true}, {h.other, true}, {h.other, false}} {
		w, in := let(c.uid)
		if in != c.in {
			t.Errorf("connection %d: let in: %v", i, in)
		}
		if first == nil {
			first = w
		}
	}
	check(t, first.Close())
	within(t, 5*time.Second, fmt.Sprint("a place of user ", h.self), func() {
		for in := false; !in; _, in = let(h.self) {
			time.Sleep(time.Millisecond)
		}
	})
}
