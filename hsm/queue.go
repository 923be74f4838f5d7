package hsm

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// A queue lends out the sessions of a Token, first come, first served. Those
// who wait are served in the order of their coming whatever they want of the
// token, so a slow kind of call can't starve a quick one.
type queue struct {
	limit   int // of those who wait
	refused atomic.Uint64

	mu      sync.Mutex
	all     int
	free    []*session
	waiting list.List // of chan grant
	closed  bool
}

// A grant is what somebody who waited gets: a session, or why there is none.
type grant struct {
	s   *session
	err error
}

func newQueue(sessions []*session, limit int) *queue {
	return &queue{limit: limit, all: len(sessions), free: append([]*session(nil), sessions...)}
}

// take returns a session that is the caller's until put. Errors: ErrBusy if
// too many wait already, ErrUnavailable, or that of ctx.
func (q *queue) take(ctx context.Context) (*session, error) {
	q.mu.Lock()
	switch n := len(q.free); {
	case q.closed:
		q.mu.Unlock()
		return nil, errClosed()
	case n > 0:
		// A session is free only while nobody waits: nobody is overtaken.
		s := q.free[n-1]
		q.free = q.free[:n-1]
		q.mu.Unlock()
		return s, nil
	case q.waiting.Len() >= q.limit:
		q.mu.Unlock()
		q.refused.Add(1)
		return nil, ErrBusy
	}
	turn := make(chan grant, 1)
	place := q.waiting.PushBack(turn)
	q.mu.Unlock()

	select {
	case g := <-turn:
		return g.s, g.err
	case <-ctx.Done():
		q.leave(place, turn)
		return nil, fmt.Errorf("hsm: waiting for a session: %w", ctx.Err())
	}
}

// leave gives up a place, and passes on what came to it in the last moment.
func (q *queue) leave(place *list.Element, turn chan grant) {
	q.mu.Lock()
	q.waiting.Remove(place)
	q.mu.Unlock()
	select {
	case g := <-turn:
		if g.s != nil {
			q.put(g.s)
		}
	default:
	}
}

// put gives a session to whoever waits longest.
func (q *queue) put(s *session) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if first := q.waiting.Front(); first != nil {
		q.waiting.Remove(first).(chan grant) <- grant{s: s} // never blocks: one value, one place
		return
	}
	q.free = append(q.free, s)
}

// close sends home all who wait and all who come later.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for e := q.waiting.Front(); e != nil; e = q.waiting.Front() {
		q.waiting.Remove(e).(chan grant) <- grant{err: errClosed()}
	}
}

// counts tells how many sessions are lent out and how many calls wait.
func (q *queue) counts() (busy, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.all - len(q.free), q.waiting.Len()
}
