package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	// watchEvery is how often the files are looked at, watchPatience the
	// longest time between two attempts at what was refused: the token or the
	// ledger may be back, a certificate may have begun.
	watchEvery    = 2 * time.Second
	watchPatience = time.Minute
)

// looker takes up what stands in some files whenever that changes, or the
// daemon gets SIGHUP. What is refused is tried again while it stands there.
type looker struct {
	// state tells what stands there from anything else; take takes it up, and
	// is always called after state.
	state func() [32]byte
	take  func(ctx context.Context) error
	// refused hears of what was not taken, and when it is tried again.
	refused func(err error, pause time.Duration)
	every   time.Duration // watchEvery if zero
}

// startWatch runs a watch until ctx ends. What it returns waits for that.
func startWatch(ctx context.Context, run func(context.Context, <-chan os.Signal)) (wait func()) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer signal.Stop(hup)
		run(ctx, hup)
	}()
	return func() { <-done }
}

func (l *looker) run(ctx context.Context, hup <-chan os.Signal) {
	every := l.every
	if every == 0 {
		every = watchEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var tried [32]byte // what was tried last
	var again time.Time
	var pause time.Duration // zero after success
	for {
		state := l.state()
		if changed := state != tried; changed || pause != 0 && !time.Now().Before(again) {
			if changed {
				tried, pause = state, 0
			}
			err := l.take(ctx)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				pause = min(max(2*pause, every), watchPatience)
				again = time.Now().Add(pause)
				l.refused(err, pause)
			default:
				pause = 0
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-hup:
			tried = [32]byte{}
		case <-tick.C:
		}
	}
}
