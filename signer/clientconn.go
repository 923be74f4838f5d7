package signer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"
)

// connectTimeout bounds the wait for a greeting. A signer whose worker starts
// again answers late, and a connection waits in the kernel until then.
const connectTimeout = 10 * time.Second

// connect reaches the signer and exchanges greetings.
func (c *Client) connect() (net.Conn, error) {
	conn, err := c.dial()
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(c.ctx, func() { _ = conn.Close() })
	batches, err := greetServer(conn)
	c.batches.Store(batches)
	if !stop() || err != nil {
		_ = conn.Close()
	}
	if err != nil && !final(err) {
		err = fmt.Errorf("no greeting: %w", err)
	}
	return conn, err
}

// final tells whether connecting again is no use until somebody has changed
// something.
func final(err error) bool {
	return errors.Is(err, ErrForbidden) || errors.Is(err, ErrProtocol) || errors.Is(err, ErrImpostor)
}

// greetServer greets, in the server's version, and tells whether that has
// batches.
func greetServer(conn net.Conn) (batches bool, err error) {
	_ = conn.SetDeadline(time.Now().Add(connectTimeout))
	var theirs [greetSize]byte
	if _, err := io.ReadFull(conn, theirs[:]); err != nil {
		return false, err
	}
	switch string(theirs[:]) {
	case hello, helloBefore:
	case goodbye:
		return false, ErrForbidden
	default:
		return false, fmt.Errorf("%w: it greets with %q", ErrProtocol, theirs[:])
	}
	if _, err := conn.Write(theirs[:]); err != nil {
		return false, err
	}
	return string(theirs[:]) == hello, conn.SetDeadline(time.Time{})
}

// converse uses a connection until it breaks, and returns why.
func (c *Client) converse(conn net.Conn) error {
	stop := context.AfterFunc(c.ctx, func() { _ = conn.Close() })
	defer stop()
	c.begin()
	broken := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { c.write(conn, broken) })
	err := c.read(conn)
	_ = conn.Close()
	c.mu.Lock()
	c.up, c.out = false, nil
	c.mu.Unlock()
	close(broken)
	writer.Wait()
	return err
}

// begin puts all calls that wait for an answer into the new connection, in
// their order.
func (c *Client) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for _, id := range slices.Sorted(maps.Keys(c.pending)) {
		k := c.pending[id]
		if k.sends >= maxSends {
			delete(c.pending, id)
			k.done <- result{err: fmt.Errorf("%w: the connection was lost %d times over this request", ErrUnavailable, k.sends)}
			continue
		}
		c.frame(k, now)
	}
	c.up, c.why = true, nil
	c.poke()
}

// write writes all that is there at once, again and again.
func (c *Client) write(conn net.Conn, broken <-chan struct{}) {
	var spare []byte
	for {
		select {
		case <-broken:
			return
		case <-c.wake:
		}
		runtime.Gosched() // callers who run next add their requests first
		c.mu.Lock()
		batch := c.out
		c.out = spare[:0]
		c.mu.Unlock()
		if len(batch) > 0 {
			if _, err := conn.Write(batch); err != nil {
				_ = conn.Close() // the reader ends it
				return
			}
		}
		spare = batch
	}
}

// read delivers answers until the connection breaks.
func (c *Client) read(conn net.Conn) error {
	in := bufio.NewReaderSize(conn, 64<<10)
	for {
		body, err := readFrame(in, maxResponse)
		if err != nil {
			return fmt.Errorf("connection lost: %w", err)
		}
		r, err := parseResponse(body)
		if err != nil {
			return err
		}
		c.deliver(r)
	}
}
