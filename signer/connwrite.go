package signer

import "time"

// Answers are gathered while many requests of a connection wait: each write
// wakes threads on both sides, which costs as much as some hundredths of a
// signature. The workers have enough to do meanwhile, and the callers in such
// a queue wait far longer. With fewer callers each answer goes out at once.
const (
	gatherMost  = 8                    // answers in one write
	gatherBytes = 4 << 10              // or of them all: what one batch has is enough
	gatherDepth = 24                   // requests that must wait
	gatherTime  = 5 * time.Millisecond // after which what is there goes out
)

// gathering tells whether what is ready waits for more. The caller holds mu.
func (c *conn) gathering() bool {
	return c.ready < gatherMost && len(c.out) < gatherBytes && c.waiting.Load() >= gatherDepth && !c.due
}

// overdue ends the wait of what was gathered.
func (c *conn) overdue() {
	c.mu.Lock()
	c.due = true
	c.mu.Unlock()
	c.poke()
}

// flush writes what is ready, as far as the peer has room for it, and leaves
// the rest to the writer: a worker never waits for a peer. To write here
// rather than there saves waking a thread for each answer.
func (c *conn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing {
		return // he looks again
	}
	c.writing = true
	for c.ready > 0 && !c.gathering() {
		batch, n := c.take()
		c.mu.Unlock()
		written, err := 0, c.ctx.Err()
		if err == nil {
			written, err = tryWrite(c.raw, batch)
		}
		if err != nil {
			c.abort()
			written = len(batch) // nobody is there to read it
		}
		if written == len(batch) {
			c.giveBack(n)
		}
		c.mu.Lock()
		if written < len(batch) {
			c.rest, c.owed = batch[written:], n
			c.poke()
			return // the writer is who writes now
		}
		c.spare = batch
	}
	c.writing = false
}

// take takes what is ready. The caller holds mu.
func (c *conn) take() (batch []byte, answers int) {
	c.late.Stop()
	c.due = false
	batch, answers = c.out, c.ready
	c.out, c.ready, c.spare = c.spare[:0], 0, nil
	return batch, answers
}

// giveBack lets as many more requests in.
func (c *conn) giveBack(slots int) {
	for range slots {
		<-c.slots
	}
}

func (c *conn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write waits for the peer where flush does not, and writes what was gathered
// for too long. After a failure it goes on giving slots back, so that the
// connection comes to its end.
func (c *conn) write() {
	for range c.wake {
		c.mu.Lock()
		if c.rest == nil {
			if c.writing || c.ready == 0 {
				ending := c.ending
				c.mu.Unlock()
				if ending {
					return
				}
				continue
			}
			c.writing = true
			c.rest, c.owed = c.take()
		}
		for c.rest != nil {
			batch, n := c.rest, c.owed
			c.mu.Unlock()
			if c.ctx.Err() == nil {
				_ = c.net.SetWriteDeadline(time.Now().Add(c.srv.limits.write))
				if _, err := c.net.Write(batch); err != nil {
					c.abort()
				}
				_ = c.net.SetWriteDeadline(time.Time{}) // flush has none
			}
			c.giveBack(n)
			c.mu.Lock()
			if c.rest, c.owed = nil, 0; c.ready > 0 {
				c.rest, c.owed = c.take()
			}
		}
		c.writing = false
		ending := c.ending
		c.mu.Unlock()
		if ending {
			return
		}
	}
}
