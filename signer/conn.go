package signer

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A conn is one client at the server. A slot is taken for every request
// before it is read and given back when its answer is on the wire: that
// bounds what waits for a token and what waits for the peer to read.
type conn struct {
	srv    *Server
	net    *net.UnixConn
	raw    syscall.RawConn // of net
	peer   peer
	user   *load           // of peer's user
	ctx    context.Context // ends with the connection: then nobody waits
	cancel context.CancelFunc
	queues []queue // one for each lane
	slots  chan struct{}

	stopped sync.Once
	stop    chan struct{} // closed by stopReading

	wake    chan struct{} // tells the writer, holds one value
	waiting atomic.Int64  // requests that wait for a token

	mu      sync.Mutex
	out     []byte      // answers in frames
	ready   int         // how many answers are in out
	spare   []byte      // what out becomes next
	late    *time.Timer // makes it due
	due     bool
	writing bool   // somebody writes, and looks for more before he ends
	rest    []byte // what the peer had no room for; the writer's, while writing
	owed    int    // slots to give back when rest is written
	ending  bool   // the writer ends when nothing is left
}

func newConn(ctx context.Context, s *Server, c *net.UnixConn, p peer, user *load) *conn {
	ctx, cancel := context.WithCancel(ctx)
	conn := &conn{
		srv: s, net: c, peer: p, user: user, ctx: ctx, cancel: cancel,
		queues: make([]queue, len(s.lanes)),
		slots:  make(chan struct{}, s.limits.share),
		stop:   make(chan struct{}),
		wake:   make(chan struct{}, 1),
	}
	conn.raw, _ = c.SyscallConn() // fails for no connection that was accepted
	conn.late = time.AfterFunc(time.Hour, conn.overdue)
	conn.late.Stop()
	return conn
}

// serve returns when the connection is over and its last answer written.
func (c *conn) serve() {
	var writer sync.WaitGroup
	writer.Go(c.write)
	err := c.read()
	orderly := errors.Is(err, os.ErrDeadlineExceeded) && c.isStopped()
	if !orderly {
		c.abort()
	}
	// Every slot back: every answer is on the wire, or given up.
	for range cap(c.slots) {
		c.slots <- struct{}{}
	}
	c.mu.Lock()
	c.ending = true
	c.mu.Unlock()
	c.poke()
	writer.Wait()
	c.late.Stop()
	c.abort()
	log := c.srv.log.With("pid", c.peer.pid, "uid", c.peer.uid)
	if orderly || errors.Is(err, io.EOF) {
		log.Info("connection closed")
	} else {
		log.Warn("connection lost", "err", err)
	}
}

// stopReading takes no further request and lets what is asked be answered.
func (c *conn) stopReading() {
	c.stopped.Do(func() { close(c.stop) })
	_ = c.net.SetReadDeadline(time.Unix(1, 0))
}

func (c *conn) isStopped() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// abort ends the connection: what waits is dropped, what runs is not
// answered.
func (c *conn) abort() {
	c.cancel()
	_ = c.net.Close()
}

// read takes requests until the stream ends, breaks or is stopped.
func (c *conn) read() error {
	if err := c.greet(); err != nil {
		return err
	}
	in := bufio.NewReaderSize(c.net, 64<<10)
	for {
		select {
		case c.slots <- struct{}{}:
		case <-c.stop:
			return os.ErrDeadlineExceeded
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
		body, err := readFrame(in, maxRequest)
		if err == nil {
			err = c.request(body)
		}
		if err != nil {
			<-c.slots
			return err
		}
	}
}

func (c *conn) greet() error {
	_ = c.net.SetDeadline(time.Now().Add(c.srv.limits.greet))
	if _, err := c.net.Write([]byte(hello)); err != nil {
		return err
	}
	var theirs [greetSize]byte
	if _, err := io.ReadFull(c.net, theirs[:]); err != nil {
		return err
	}
	if string(theirs[:]) != hello {
		return ErrProtocol
	}
	if err := c.net.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if c.isStopped() { // its deadline was just taken away
		return os.ErrDeadlineExceeded
	}
	return nil
}

// request hands a request on. What has an id gets an answer; what has none
// ends the connection.
func (c *conn) request(body []byte) error {
	r, err := parseRequest(body)
	switch {
	case errors.Is(err, ErrProtocol):
		return err
	case err != nil:
		c.answer(r, nil, err)
	default:
		c.srv.dispatch(c, r)
	}
	return nil
}

// answer queues the answer to a request. It never waits for the peer.
func (c *conn) answer(r *request, payload []byte, err error) {
	s := statusOf(err)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		s = statusUnavailable
	}
	c.srv.stats.answered(r.op, s)
	if s != statusOK {
		text := err.Error()
		if sentinel := sentinels()[s]; err != sentinel {
			text = strings.TrimPrefix(text, sentinel.Error()+": ")
		}
		payload = []byte(text)
		level := slog.LevelDebug // the caller is told
		if s == statusFailed {
			level = slog.LevelError
		}
		c.srv.log.Log(c.ctx, level, "request failed", "op", r.op.String(), "pid", c.peer.pid, "err", err)
	}
	c.mu.Lock()
	c.out = appendResponse(c.out, response{id: r.id, status: s, payload: payload})
	if c.ready++; c.ready == 1 {
		c.late.Reset(gatherTime)
	}
	c.mu.Unlock()
	c.flush()
}
