package server

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/speciecash/specie/issuer"
)

// jobs runs one job of a kind at a time beside the requests: one that takes
// longer than any request may. R is what comes of it.
type jobs[R any] struct {
	what string // for people
	now  func() time.Time

	mu      sync.Mutex
	last    *job[R] // nil before the first
	ended   *job[R] // the last that is over
	stopped bool
}

// job is one that runs or ran.
type job[R any] struct {
	name        string // what tells it from another, may be empty
	started     time.Time
	cancel      context.CancelFunc
	finished    chan struct{}
	done, total atomic.Int64
	// result or err are there once finished is closed.
	result R
	err    error
	ended  time.Time
}

// start returns the job of that name that runs, a new one if none does. While
// another one runs it is issuer.ErrConflict.
func (j *jobs[R]) start(ctx context.Context, name string, run func(ctx context.Context, progress func(done, total int64)) (R, error)) (*job[R], error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stopped {
		return nil, fmt.Errorf("%w: the daemon is about to end", issuer.ErrUnavailable)
	}
	if j.last != nil && !j.last.over() {
		if j.last.name != name {
			return nil, fmt.Errorf("%w: another %s is under way", issuer.ErrConflict, j.what)
		}
		return j.last, nil
	}
	// Not the request's: it ends when this one is answered.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	next := &job[R]{name: name, started: j.now(), cancel: cancel, finished: make(chan struct{})}
	j.last = next
	go func() {
		defer j.settle(next)
		defer cancel()
		next.result, next.err = run(ctx, func(done, total int64) {
			next.total.Store(total)
			next.done.Store(done)
		})
	}()
	return next, nil
}

// get returns the job that runs or the last one, or issuer.ErrNotFound.
func (j *jobs[R]) get() (*job[R], error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.last == nil {
		return nil, fmt.Errorf("%w: no %s was started", issuer.ErrNotFound, j.what)
	}
	return j.last, nil
}

// settle ends a job.
func (j *jobs[R]) settle(done *job[R]) {
	j.mu.Lock()
	defer j.mu.Unlock()
	done.ended = j.now()
	j.ended = done
	close(done.finished)
}

// finished returns the last job that is over, or nil.
func (j *jobs[R]) finished() *job[R] {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ended
}

// stop ends the job under way, if there is one, and lets no other begin.
func (j *jobs[R]) stop() {
	j.mu.Lock()
	j.stopped = true
	last := j.last
	j.mu.Unlock()
	if last != nil {
		last.cancel()
		<-last.finished
	}
}

func (r *job[R]) over() bool {
	select {
	case <-r.finished:
		return true
	default:
		return false
	}
}
