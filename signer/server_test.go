package signer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/speciecash/specie/signer"
)

func TestAStrangerIsSentAwayBeforeAByteOfHisIsRead(t *testing.T) {
	h := openWith(t, func(s *signer.Server) { s.SetSelf(uint32(os.Geteuid()) + 1) }, newToken())
	w := h.dial()
	_, _ = w.Write([]byte(signer.Hello)) // he may have hung up already
	if got := w.take(len(signer.Goodbye)); got != signer.Goodbye {
		t.Fatalf("greeted with %q", got)
	}
	if !w.ended() {
		t.Error("the connection stays open")
	}
	if got := h.srv.Stats(); got.Refused != 1 || got.Connections != 0 || len(got.Requests) != 0 {
		t.Errorf("stats %+v", got)
	}
	// A client is told at once, rather than kept until its time is up.
	c := h.client(nil)
	kid, m := message(t, bench.coins[0])
	within(t, 5*time.Second, "a refusal", func() {
		_, err := c.BlindSign(t.Context(), kid, m)
		expect(t, err, signer.ErrForbidden)
	})
}

// TestAProcessOfAnotherUserIsAStranger needs root, as CI has it, to be
// somebody else.
func TestAProcessOfAnotherUserIsAStranger(t *testing.T) {
	const nobody = 65534
	if os.Getenv("SIGNER_TEST_STRANGER") != "" {
		beStranger(t)
		return
	}
	if os.Geteuid() != 0 {
		// The same check, from the other side: see the test above.
		t.Log("not root: another user can't be played")
		return
	}
	for _, c := range []struct {
		name  string
		users []uint32
		want  string
	}{
		{"one that is not named", []uint32{1, 2}, signer.Goodbye},
		{"one that is named", []uint32{1, nobody}, signer.Hello},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := openUsers(t, c.users)
			// The file's mode must not be what stops him.
			check(t, os.Chmod(h.path, 0o666))
			f, err := os.Open(os.Args[0])
			check(t, err)
			defer f.Close()
			cmd := exec.Command("/proc/self/fd/3", "-test.run", "^TestAProcessOfAnotherUserIsAStranger$", "-test.v")
			cmd.ExtraFiles = []*os.File{f, h.directory()}
			cmd.Env = []string{"SIGNER_TEST_STRANGER=1"}
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), fmt.Sprintf("greeted with %q", c.want)) {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

// TestAFloodDelaysOthersByOneOperationEach: one connection has as much
// waiting as it may; another's requests go through in their turns.
func TestAFloodDelaysOthersByOneOperationEach(t *testing.T) {
	tok := newToken()
	tok.sessions = 1
	g := newGate()
	tok.before = g.hold
	h := open(t, tok)
	flood, polite := h.client(nil), h.client(nil)
	kid, m := message(t, bench.coins[0])
	_, mine := message(t, bench.coins[0])
	check(t, flood.Has(t.Context(), kid))
	check(t, polite.Has(t.Context(), kid))

	var wait sync.WaitGroup
	for range 200 {
		wait.Go(func() { _, _ = flood.BlindSign(t.Context(), kid, m) })
	}
	waitFor(t, func() bool { return h.srv.Stats().Waiting == 199 })
	for range 3 {
		wait.Go(func() { _, _ = polite.BlindSign(t.Context(), kid, mine) })
	}
	waitFor(t, func() bool { return h.srv.Stats().Waiting == 202 })
	g.open()
	wait.Wait()
	inTurn(t, g, mine)
}

// inTurn demands that the polite one, whose message is mine, is served in turn
// with the flood, from the first eight that get through the gate.
func inTurn(t *testing.T, g *gate, mine []byte) {
	t.Helper()
	var order []string
	for range 8 {
		if got := <-g.arrived; bytes.Equal(got, mine) {
			order = append(order, "polite")
		} else {
			order = append(order, "flood")
		}
	}
	if got := strings.Join(order, " "); got != "flood flood polite flood polite flood polite flood" {
		t.Errorf("order %s", got)
	}
}

func TestWhatMayWaitIsBounded(t *testing.T) {
	tok := newToken()
	g := newGate()
	tok.before = g.hold
	const waiting = 20
	h := openWith(t, func(s *signer.Server) {
		s.SetShare(10)
		s.SetWaiting(waiting)
	}, tok)
	kid, m := message(t, bench.coins[0])
	var wait sync.WaitGroup
	var busy, done atomic.Int64
	for range 5 {
		c := h.client(nil)
		check(t, c.Has(t.Context(), kid))
		for range 12 {
			wait.Go(func() {
				switch _, err := c.BlindSign(t.Context(), kid, m); {
				case err == nil:
					done.Add(1)
				case errors.Is(err, signer.ErrBusy) && errors.Is(err, signer.ErrUnavailable):
					busy.Add(1)
				default:
					t.Error(err)
				}
			})
		}
	}
	waitFor(t, func() bool { return busy.Load() > 0 && h.srv.Stats().Waiting == waiting })
	g.open()
	wait.Wait()
	if busy.Load()+done.Load() != 60 || done.Load() < waiting+sessions {
		t.Errorf("%d refused, %d done", busy.Load(), done.Load())
	}
}

func TestOneConnectionTakesItsShareAndNoMore(t *testing.T) {
	tok := newToken()
	g := newGate()
	tok.before = g.hold
	h := openWith(t, func(s *signer.Server) { s.SetShare(10) }, tok)
	c := h.client(nil)
	kid, m := message(t, bench.coins[0])
	check(t, c.Has(t.Context(), kid))
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if _, err := c.BlindSign(t.Context(), kid, m); err != nil {
				t.Error(err) // later, not never
			}
		})
	}
	for range sessions {
		<-g.arrived
	}
	time.Sleep(50 * time.Millisecond)
	if got := h.srv.Stats().Waiting; got != 10-sessions {
		t.Errorf("%d wait", got)
	}
	g.open()
	wait.Wait()
}

func TestAClientThatDoesNotReadStopsNobodyElse(t *testing.T) {
	h := openWith(t, func(s *signer.Server) { s.SetWriteTimeout(500 * time.Millisecond) }, newToken())
	deaf := h.greeted()
	go func() { // until the server hangs up
		key := idOf(t, bench.coins[0].Public())
		m := randomMessage(bench.coins[0])
		for id := uint64(0); ; id++ {
			if _, err := deaf.Write(signer.BlindRequest(id, key, time.Minute, m)); err != nil {
				return
			}
		}
	}()
	c := h.client(nil)
	kid, m := message(t, bench.coins[0])
	waitFor(t, func() bool { // its answers fill the socket, and it is hung up on
		_, err := c.BlindSign(t.Context(), kid, m)
		check(t, err)
		return h.srv.Stats().Connections == 1
	})
}

// TestAnAnswerDoesNotWaitForATokenThatStalls: answers are gathered while many
// requests wait, but not for long.
func TestAnAnswerDoesNotWaitForATokenThatStalls(t *testing.T) {
	tok := newToken()
	tok.sessions = 1
	g := newGate()
	var first atomic.Bool
	tok.before = func(ctx context.Context, m []byte) error {
		if first.CompareAndSwap(false, true) {
			time.Sleep(100 * time.Millisecond) // until the others wait
			return nil
		}
		return g.hold(ctx, m)
	}
	h := open(t, tok)
	c := h.client(nil)
	kid, m := message(t, bench.coins[0])
	check(t, c.Has(t.Context(), kid))
	answered := make(chan error, 50)
	for range cap(answered) {
		go func() {
			_, err := c.BlindSign(t.Context(), kid, m)
			answered <- err
		}()
	}
	<-g.arrived // the second stalls, 48 wait
	select {
	case err := <-answered:
		check(t, err)
	case <-time.After(5 * time.Second):
		t.Error("the first answer waits for the second")
	}
	g.open()
	for range cap(answered) - 1 {
		check(t, <-answered)
	}
}

func TestABrokenFrameEndsItsConnectionAndNoOther(t *testing.T) {
	h := open(t, newToken())
	c := h.client(nil)
	kid, m := message(t, bench.coins[0])
	check(t, c.Has(t.Context(), kid))
	for name, frame := range map[string][]byte{
		"too long":        {255, 255, 255, 255},
		"without an id":   {0, 0, 0, 1, 7},
		"another's greet": nil,
	} {
		w := h.dial()
		w.take(len(signer.Hello))
		greeting := signer.Hello
		if frame == nil {
			greeting = strings.Repeat("x", len(signer.Hello))
		}
		_, err := w.Write(append([]byte(greeting), frame...))
		check(t, err)
		if !w.ended() {
			t.Errorf("a frame %s: the connection stays open", name)
		}
	}
	w := h.greeted()
	_, err := w.Write([]byte{0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0, 9, 77, 0, 0, 0, 0})
	check(t, err)
	if got := w.answer(); got.id != 9 || got.status != "input" {
		t.Errorf("an operation that is not there: %+v", got)
	}
	_, err = c.BlindSign(t.Context(), kid, m)
	check(t, err)
}

func TestAPeerThatDoesNotGreetIsNotWaitedForLong(t *testing.T) {
	h := openWith(t, func(s *signer.Server) { s.SetGreetTimeout(50 * time.Millisecond) }, newToken())
	w := h.dial()
	w.take(len(signer.Hello))
	if !w.ended() {
		t.Error("the connection stays open")
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	h := openWith(t, func(s *signer.Server) { s.SetConns(2) }, newToken())
	h.greeted()
	h.greeted()
	if w := h.dial(); !w.ended() {
		t.Error("a third connection is let in")
	}
}

func TestWhatNobodyWaitsForAnyMoreIsNotSigned(t *testing.T) {
	tok := newToken()
	tok.sessions = 1
	g := newGate()
	tok.before = g.hold
	h := open(t, tok)
	c := h.client(nil)
	kid, first := message(t, bench.coins[0])
	_, late := message(t, bench.coins[0])
	check(t, c.Has(t.Context(), kid))
	go func() { _, _ = c.BlindSign(t.Context(), kid, first) }()
	<-g.arrived
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.BlindSign(ctx, kid, late)
	expect(t, err, context.DeadlineExceeded, signer.ErrUnavailable)
	// A connection that is gone.
	w := h.greeted()
	_, err = w.Write(signer.BlindRequest(1, idOf(t, bench.coins[0].Public()), time.Minute, late))
	check(t, err)
	waitFor(t, func() bool { return h.srv.Stats().Waiting == 2 })
	check(t, w.Close())
	time.Sleep(20 * time.Millisecond)
	g.open()
	_, err = c.BlindSign(t.Context(), kid, first)
	check(t, err)
	waitFor(t, func() bool { return h.srv.Stats().Waiting == 0 })
	if got := len(g.arrived); got != 1 {
		t.Errorf("%d operations, one was still wanted", got)
	}
}

func TestStatsCountWhatBecameOfRequests(t *testing.T) {
	h := open(t, newToken())
	c := h.client(nil)
	kid, m := message(t, bench.coins[0])
	_, err := c.BlindSign(t.Context(), kid, m)
	check(t, err)
	_, err = c.BlindSign(t.Context(), kid, make([]byte, len(m)))
	expect(t, err, signer.ErrInput)
	got := h.srv.Stats()
	want := []signer.RequestCount{{Op: "list", Outcome: "ok", Count: 1}, {Op: "blind_sign", Outcome: "ok", Count: 1}, {Op: "blind_sign", Outcome: "input", Count: 1}}
	if fmt.Sprint(got.Requests) != fmt.Sprint(want) || got.Connections != 1 || got.Waited != 2 {
		t.Errorf("got %+v", got)
	}
}

func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}

// openUsers serves with users let in besides our own.
func openUsers(t *testing.T, users []uint32) *house {
	t.Helper()
	h := &house{t: t, path: t.TempDir() + "/s.sock", users: users}
	h.listen()
	h.serve(nil, newToken())
	return h
}

// directory lets another user reach the socket whatever stands above it.
func (h *house) directory() *os.File {
	h.t.Helper()
	dir := h.path[:strings.LastIndexByte(h.path, '/')]
	check(h.t, os.Chmod(dir, 0o755))
	f, err := os.Open(dir)
	check(h.t, err)
	h.t.Cleanup(func() { _ = f.Close() })
	return f
}

// beStranger is what runs as another user: descriptor 4 is the socket's
// directory.
func beStranger(t *testing.T) {
	h := &house{t: t, path: "/proc/self/fd/" + strconv.Itoa(4) + "/s.sock"}
	t.Logf("greeted with %q", h.dial().take(len(signer.Hello)))
}
