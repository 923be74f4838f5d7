package signer_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/signer"
)

func TestACallEndsWithItsContext(t *testing.T) {
	tok := newToken()
	g := newGate()
	tok.before = g.hold
	defer g.open()
	h := open(t, tok)
	c := h.client(nil)
	kid, m := message(t, bench.coins[0])
	check(t, c.Has(t.Context(), kid))
	for name, c2 := range map[string]struct {
		ctx  func() (context.Context, context.CancelFunc)
		want error
	}{
		"a deadline": {func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), 20*time.Millisecond)
		}, context.DeadlineExceeded},
		"a caller who goes away": {func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, cancel)
			return ctx, cancel
		}, context.Canceled},
		"a context that has ended": {func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx, cancel
		}, context.Canceled},
	} {
		within(t, 2*time.Second, name, func() {
			ctx, cancel := c2.ctx()
			defer cancel()
			_, err := c.BlindSign(ctx, kid, m)
			if !errors.Is(err, c2.want) || !errors.Is(err, signer.ErrUnavailable) {
				t.Errorf("%s: got %v", name, err)
			}
		})
	}
}

func TestACallWithoutADeadlineEndsWithTheClientsTimeout(t *testing.T) {
	tok := newToken()
	g := newGate()
	tok.before = g.hold
	defer g.open()
	c := open(t, tok).client(func(cfg *signer.ClientConfig) { cfg.Timeout = 100 * time.Millisecond })
	kid, m := message(t, bench.coins[0])
	within(t, 2*time.Second, "a call", func() {
		_, err := c.BlindSign(t.Context(), kid, m)
		if !errors.Is(err, signer.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCallsInFlightAreBounded(t *testing.T) {
	tok := newToken()
	g := newGate()
	tok.before = g.hold
	c := open(t, tok).client(func(cfg *signer.ClientConfig) { cfg.InFlight = 3 })
	kid, m := message(t, bench.coins[0])
	check(t, c.Has(t.Context(), kid))
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() { _, _ = c.BlindSign(t.Context(), kid, m) })
	}
	for range 3 {
		<-g.arrived
	}
	_, err := c.BlindSign(t.Context(), kid, m)
	expect(t, err, signer.ErrBusy)
	g.open()
	wait.Wait()
	_, err = c.BlindSign(t.Context(), kid, m)
	check(t, err)
}

func TestWhileTheSignerIsDownCallsWaitAndThenFail(t *testing.T) {
	h := &house{t: t, path: filepath.Join(t.TempDir(), "s.sock")}
	c := h.client(func(cfg *signer.ClientConfig) { cfg.Timeout = 200 * time.Millisecond })
	kid, m := message(t, bench.coins[0])
	start := time.Now()
	_, err := c.BlindSign(t.Context(), kid, m)
	expect(t, err, signer.ErrUnavailable, os.ErrNotExist) // and says why
	if took := time.Since(start); took < 200*time.Millisecond || took > 5*time.Second {
		t.Errorf("after %v", took)
	}
}

func TestACallSucceedsIfTheSignerComesInTime(t *testing.T) {
	for name, before := range map[string]func(h *house){
		"nothing stands at the path": func(*house) {},
		"a dead process's socket stands at the path": func(h *house) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: h.path, Net: "unix"})
			check(h.t, err)
			l.SetUnlinkOnClose(false)
			check(h.t, l.Close())
		},
		"a parent holds the socket and its worker is not there yet": func(h *house) { h.listen() },
	} {
		t.Run(name, func(t *testing.T) {
			h := &house{t: t, path: filepath.Join(t.TempDir(), "s.sock")}
			check(t, os.Chmod(filepath.Dir(h.path), 0o700))
			before(h)
			c := h.client(nil)
			kid, m := message(t, bench.coins[0])
			done := make(chan error, 1)
			go func() {
				_, err := c.BlindSign(t.Context(), kid, m)
				done <- err
			}()
			time.Sleep(50 * time.Millisecond)
			if h.socket == nil {
				h.listen()
			}
			h.serve(nil, newToken())
			check(t, <-done)
		})
	}
}

// TestNothingIsLostWhenConnectionsBreak breaks every connection again and
// again while many callers want signatures.
func TestNothingIsLostWhenConnectionsBreak(t *testing.T) {
	h := open(t, newToken())
	c := h.client(nil)
	receipts, err := c.Signer(t.Context(), bench.receipts.Public())
	check(t, err)
	const callers, each = 32, 20
	var wait sync.WaitGroup
	var left atomic.Int64
	left.Store(callers)
	for i := range callers {
		wait.Go(func() {
			defer left.Add(-1)
			key := bench.coins[i%2]
			for range each {
				kid, m := message(t, key)
				s, err := c.BlindSign(t.Context(), kid, m)
				if err != nil || !signs(key.Public(), s, m) {
					t.Errorf("caller %d: %v", i, err)
					return
				}
				digest := sha256.Sum256(m)
				if _, err := receipts.Sign(nil, digest[:], crypto.SHA256); err != nil {
					t.Errorf("caller %d: %v", i, err)
					return
				}
			}
		})
	}
	breaks := 0
	for left.Load() > 0 {
		time.Sleep(60 * time.Millisecond)
		h.srv.Drop()
		breaks++
	}
	wait.Wait()
	if breaks < 3 {
		t.Errorf("broken %d times only", breaks)
	}
}

// TestARequestThatKillsTheSignerIsNotSentForEver: its fellow travellers get
// through, and it is given up.
func TestARequestThatKillsTheSignerIsNotSentForEver(t *testing.T) {
	tok := newToken()
	h := open(t, tok)
	c := h.client(nil)
	kid, poison := message(t, bench.coins[0])
	_, m := message(t, bench.coins[0])
	var sent atomic.Int64
	tok.set(func(t *token) {
		t.before = func(_ context.Context, m []byte) error {
			if bytes.Equal(m, poison) {
				sent.Add(1)
				h.srv.Drop()
			}
			return nil
		}
	})
	done := make(chan error, 1)
	go func() {
		_, err := c.BlindSign(t.Context(), kid, poison)
		done <- err
	}()
	expect(t, <-done, signer.ErrUnavailable)
	if got := sent.Load(); got != signer.MaxSends {
		t.Errorf("sent %d times", got)
	}
	_, err := c.BlindSign(t.Context(), kid, m)
	check(t, err)
}

func TestSomethingElseAtTheSocketIsToldAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", path)
	check(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.2p1 Debian\r\n"))
		}
	}()
	c := signer.NewClient(signer.ClientConfig{Socket: path})
	defer c.Close()
	kid, m := message(t, bench.coins[0])
	within(t, 5*time.Second, "a refusal", func() {
		_, err := c.BlindSign(t.Context(), kid, m)
		if !errors.Is(err, signer.ErrProtocol) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCloseEndsCallsInFlightAndLaterOnes(t *testing.T) {
	tok := newToken()
	g := newGate()
	tok.before = g.hold
	defer g.open()
	c := open(t, tok).client(nil)
	kid, m := message(t, bench.coins[0])
	done := make(chan error, 1)
	go func() {
		_, err := c.BlindSign(t.Context(), kid, m)
		done <- err
	}()
	<-g.arrived
	check(t, c.Close())
	expect(t, <-done, signer.ErrClosed, signer.ErrUnavailable)
	_, err := c.BlindSign(t.Context(), kid, m)
	expect(t, err, signer.ErrClosed)
	check(t, c.Close())
}

// TestManyWhoMissAKeyAskOnce: a look at the token audits every key.
func TestManyWhoMissAKeyAskOnce(t *testing.T) {
	h := open(t, newToken())
	c := h.client(nil)
	kid, m := message(t, bench.coins[0])
	var wait sync.WaitGroup
	for range 32 {
		wait.Go(func() {
			if _, err := c.BlindSign(t.Context(), kid, m); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, r := range h.srv.Stats().Requests {
		if r.Op == "list" && r.Count > 2 {
			t.Errorf("asked %d times", r.Count)
		}
	}
}
