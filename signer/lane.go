package signer

import (
	"sync"
	"time"
)

// A job is a request on its way through a lane.
type job struct {
	conn     *conn
	req      *request
	do       action
	deadline time.Time // after which nobody waits for the answer
	since    time.Time // it waits
}

// A lane is one token's queue. Connections are served in turn, each in the
// order of its own requests: one that sends a thousand delays another's
// single request by one operation, not by a thousand.
type lane struct {
	token Token

	mu     sync.Mutex
	filled sync.Cond
	ring   []*queue // those that hold something, the next one first
	closed bool
}

// A queue is what one connection has waiting in one lane. It is guarded by
// the lane's mutex.
type queue struct{ jobs []job }

func newLane(t Token) *lane {
	l := &lane{token: t}
	l.filled.L = &l.mu
	return l
}

func (l *lane) push(q *queue, j job) {
	l.mu.Lock()
	q.jobs = append(q.jobs, j)
	if len(q.jobs) == 1 {
		l.ring = append(l.ring, q)
	}
	l.mu.Unlock()
	l.filled.Signal()
}

// pop waits for the next job. It returns false once the lane is closed and
// empty.
func (l *lane) pop() (job, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.ring) == 0 {
		if l.closed {
			return job{}, false
		}
		l.filled.Wait()
	}
	q := l.ring[0]
	l.ring = l.ring[1:]
	j := q.jobs[0]
	q.jobs[0] = job{}
	if q.jobs = q.jobs[1:]; len(q.jobs) > 0 {
		l.ring = append(l.ring, q)
	} else {
		q.jobs = nil
	}
	return j, true
}

// close lets the workers go once the lane is empty.
func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.filled.Broadcast()
}
