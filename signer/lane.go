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

// A lane is one token's queue. Users are served in turn, each user's
// connections in turn, and each connection in the order of its own requests:
// one that sends a thousand delays another's single request by one operation,
// not by a thousand, and to open many connections gains nothing.
type lane struct {
	token Token

	mu     sync.Mutex
	filled sync.Cond
	turns  []*turn // of users who have something waiting, the next one first
	closed bool
}

// A turn is one user's connections.
type turn struct {
	uid  uint32
	ring []*queue // those that hold something, the next one first
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
		t := l.turn(j.conn.peer.uid)
		t.ring = append(t.ring, q)
	}
	l.mu.Unlock()
	l.filled.Signal()
}

// turn finds a user's, or adds it as the last. Users are few. The caller holds
// mu.
func (l *lane) turn(uid uint32) *turn {
	for _, t := range l.turns {
		if t.uid == uid {
			return t
		}
	}
	t := &turn{uid: uid}
	l.turns = append(l.turns, t)
	return t
}

// pop waits for the next job. It returns false once the lane is closed and
// empty.
func (l *lane) pop() (job, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.turns) == 0 {
		if l.closed {
			return job{}, false
		}
		l.filled.Wait()
	}
	t := l.turns[0]
	l.turns = l.turns[1:]
	q := t.ring[0]
	t.ring = t.ring[1:]
	j := q.jobs[0]
	q.jobs[0] = job{}
	if q.jobs = q.jobs[1:]; len(q.jobs) > 0 {
		t.ring = append(t.ring, q)
	} else {
		q.jobs = nil
	}
	if len(t.ring) > 0 {
		l.turns = append(l.turns, t)
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
