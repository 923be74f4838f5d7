package hsm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/hsm"
)

// hold keeps the first call that signs inside the module until release.
func hold(t *testing.T) (held chan struct{}, release func()) {
	t.Helper()
	held, gate := make(chan struct{}), make(chan struct{})
	var once, freed sync.Once
	release = func() { freed.Do(func() { close(gate) }) }
	t.Cleanup(release)
	fault.intercept(t, func(call string, _ []byte) error {
		if call == "C_Sign" {
			once.Do(func() { close(held); <-gate })
		}
		return nil
	})
	return held, release
}

// waiting waits until n calls wait for a session.
func waiting(t *testing.T, tok *hsm.Token, n int) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%d calls that wait", n), func() bool { return tok.Stats().Sessions.Waiting == n })
}

// With a token that takes its time, calls are served in the order in which
// they came, and one that gives up in between holds up nobody.
func TestCallsAreServedInTheOrderOfTheirComing(t *testing.T) {
	p := newPatient(t, func(c *hsm.Config) { c.Sessions = 1 })
	const n = 12
	messages := make([][]byte, n)
	for i := range messages {
		_, messages[i] = known(t, p.key)
	}
	held, gate := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var mu sync.Mutex
	var order []int
	fault.intercept(t, func(call string, data []byte) error {
		if call != "C_Sign" {
			return nil
		}
		once.Do(func() { close(held); <-gate })
		time.Sleep(5 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		for i, m := range messages {
			if bytes.Equal(m, data) {
				order = append(order, i)
			}
		}
		return nil
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.signs(t.Context()); err != nil {
			t.Error(err)
		}
	})
	<-held
	impatient, giveUp := context.WithCancel(t.Context())
	for i := range n {
		ctx := t.Context()
		if i == n/2 {
			ctx = impatient
		}
		wg.Go(func() {
			if _, err := p.key.BlindSign(ctx, messages[i]); (err != nil) != (i == n/2) {
				t.Errorf("call %d: %v", i, err)
			}
		})
		waiting(t, p.tok, i+1)
	}
	giveUp()
	waiting(t, p.tok, n-1)
	close(gate)
	wg.Wait()
	if got, want := fmt.Sprint(order), "[0 1 2 3 4 5 7 8 9 10 11]"; got != want {
		t.Errorf("served in the order %s, want %s", got, want)
	}
	if s := p.tok.Stats(); s.Queue.Count < n || s.Queue.Sum < 100*time.Millisecond || s.Queue.Buckets[0].Count >= s.Queue.Count {
		t.Errorf("queue %+v", s.Queue)
	}
}

func TestMoreCallsThanMayWaitAreRefusedAtOnce(t *testing.T) {
	p := newPatient(t, func(c *hsm.Config) { c.Sessions, c.Queue = 1, 2 })
	held, release := hold(t)
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			if err := p.signs(t.Context()); err != nil {
				t.Error(err)
			}
		})
		<-held
		waiting(t, p.tok, i)
	}
	for range 5 {
		if err := p.signs(t.Context()); !errors.Is(err, hsm.ErrBusy) || !errors.Is(err, hsm.ErrUnavailable) {
			t.Fatalf("got %v, want ErrBusy, which is ErrUnavailable", err)
		}
	}
	if s := p.tok.Stats(); s.Busy != 5 || s.Sessions != (hsm.SessionStats{Open: 1, Busy: 1, Waiting: 2}) {
		t.Errorf("%+v", s)
	}
	release()
	wg.Wait()
	if err := p.signs(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestThoseWhoWaitAreSentHomeWhenTheTokenCloses(t *testing.T) {
	cfg := newConfig(t)
	cfg.Sessions = 1
	tok, err := module.Token(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	key := newRSA(t, tok, "k")
	held, release := hold(t)
	inside, behind := make(chan error, 1), make(chan error, 1)
	go func() { inside <- key.Check(context.WithoutCancel(t.Context())) }()
	<-held
	go func() { behind <- key.Check(context.WithoutCancel(t.Context())) }()
	waiting(t, tok, 1)
	closed := make(chan error, 1)
	go func() { closed <- tok.Close() }()
	if err := <-behind; !errors.Is(err, hsm.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	release()
	if err := <-inside; err != nil {
		t.Errorf("a call in flight: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}

// Sessions are handed on to callers who may give up at any moment; none is
// lost and none is lent twice, whatever the timing.
func TestNoSessionIsLostToThoseWhoGiveUp(t *testing.T) {
	p := newPatient(t, func(c *hsm.Config) { c.Sessions = 2 })
	var inside atomic.Int64
	fault.intercept(t, func(call string, _ []byte) error {
		switch call {
		case "C_SignInit":
			if n := inside.Add(1); n > 2 {
				t.Errorf("%d calls at a time in 2 sessions", n)
			}
		case "C_Sign":
			inside.Add(-1)
		}
		return nil
	})
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 40 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(g*i%50)*100*time.Microsecond)
				if err := p.signs(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	waitFor(t, "free sessions", func() bool { return p.tok.Stats().Sessions.Busy == 0 })
	if s := p.tok.Stats().Sessions; s != (hsm.SessionStats{Open: 2}) {
		t.Errorf("%+v", s)
	}
}
