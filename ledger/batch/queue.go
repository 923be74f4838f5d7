package batch

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/speciecash/specie/ledger"
)

// maxBytes bounds what the calls of one batch carry, besides their number, so
// that a few large requests do not make a transaction that everybody waits
// for.
const maxBytes = 8 << 20

// Call is one call waiting for the writer; T is the driver's transaction.
// Exactly one of Op, Answer, Joint and Task is set, or none: then the caller
// only waits for the next commit. The writer owns a call from the moment it is
// queued until it is answered; a caller that stops waiting never looks at it
// again.
type Call[T any] struct {
	Op     *Op
	Answer *Answer
	Joint  func(T) error // runs in the batch's transaction; what it refuses it refuses before it writes
	Task   func(T) error // runs in a transaction of its own
	Size   int           // bytes it carries, roughly
	Err    error         // what Submit returns

	ctx  context.Context
	done chan struct{}
}

// Finish answers the call.
func (c *Call[T]) Finish() { close(c.done) }

// Op is an op on its way to the writer.
type Op struct {
	ledger.Op
	Digest  [32]byte
	Invalid error // why it cannot be recorded, if its id is not
	Outcome ledger.Outcome
}

// NewOp prepares an op for the queue, with its lane filled in. It copies what
// the op refers to: a caller whose context ends may reuse his buffers while
// the writer is still at it.
func NewOp(op ledger.Op, lane string) *Op {
	op.Request, op.Answer = bytes.Clone(op.Request), bytes.Clone(op.Answer)
	op.Spends, op.Postings = slices.Clone(op.Spends), slices.Clone(op.Postings)
	op.Floors, op.Quotas = slices.Clone(op.Floors), slices.Clone(op.Quotas)
	if op.Lane == "" {
		op.Lane = lane
	}
	prepared := &Op{Op: op, Invalid: op.Validate()}
	if prepared.Invalid == nil {
		prepared.Digest = op.Digest()
	}
	return prepared
}

// Answer is a SetAnswer on its way to the writer.
type Answer struct {
	ID     ledger.ID
	State  string
	Answer []byte
}

// Queue is where calls wait for the writer.
type Queue[T any] struct {
	most  int
	calls chan *Call[T]
	done  chan struct{} // closed when Run has ended

	mu     sync.RWMutex // held for reading while sending to calls
	closed bool

	counting sync.Mutex
	stats    ledger.WriterStats
}

// NewQueue returns a queue in which depth calls may wait, further callers
// waiting to get in, and of which the writer takes at most most at once.
func NewQueue[T any](depth, most int) *Queue[T] {
	q := &Queue[T]{most: most, calls: make(chan *Call[T], depth), done: make(chan struct{})}
	q.stats.Sizes.Bounds, q.stats.Times.Bounds = ledger.BatchBounds(), ledger.CommitBounds()
	return q
}

// Submit queues c and waits for its answer. When ctx ends first the call is
// left behind: whether it will be done is not known. ledger.ErrClosed.
func (q *Queue[T]) Submit(ctx context.Context, c *Call[T]) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.ctx, c.done = ctx, make(chan struct{})
	if err := q.enqueue(ctx, c); err != nil {
		return err
	}
	select {
	case <-c.done:
		return c.Err
	case <-ctx.Done():
		return fmt.Errorf("outcome unknown: %w", ctx.Err())
	}
}

func (q *Queue[T]) enqueue(ctx context.Context, c *Call[T]) error {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.closed {
		return ledger.ErrClosed
	}
	select {
	case q.calls <- c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stats returns what the writer has done so far.
func (q *Queue[T]) Stats() ledger.WriterStats {
	q.counting.Lock()
	defer q.counting.Unlock()
	s := q.stats
	s.Sizes.Counts, s.Times.Counts = slices.Clone(s.Sizes.Counts), slices.Clone(s.Times.Counts)
	s.Waiting = len(q.calls)
	return s
}

func (q *Queue[T]) count(calls int, took time.Duration) {
	q.counting.Lock()
	defer q.counting.Unlock()
	q.stats.AddBatch(calls, took)
}

// Waiting returns how many calls are in the queue.
func (q *Queue[T]) Waiting() int { return len(q.calls) }

// Do submits a task.
func (q *Queue[T]) Do(ctx context.Context, task func(T) error) error {
	return q.Submit(ctx, &Call[T]{Task: task})
}

// Close refuses further calls, waits until what is queued has been answered,
// and tells whether it was the first to close. Senders hold the lock for
// reading, so none is left sending when the channel is closed.
func (q *Queue[T]) Close() bool {
	q.mu.Lock()
	first := !q.closed
	q.closed = true
	if first {
		close(q.calls)
	}
	q.mu.Unlock()
	<-q.done
	return first
}

// Run is the writer's loop, until the queue is closed and empty. It hands
// over what is waiting: tasks one by one, everything else together. Both
// functions answer every call given to them.
func (q *Queue[T]) Run(together func([]*Call[T]), task func(*Call[T])) {
	defer close(q.done)
	for first := range q.calls {
		var group, tasks []*Call[T]
		for _, c := range q.collect(first) {
			switch {
			case c.ctx.Err() != nil: // nobody is waiting any more
				c.Err = c.ctx.Err()
				c.Finish()
			case c.Task != nil:
				tasks = append(tasks, c)
			default:
				group = append(group, c)
			}
		}
		if len(group) > 0 {
			begin := time.Now()
			together(group)
			q.count(len(group), time.Since(begin))
		}
		for _, c := range tasks {
			task(c)
		}
	}
}

// collect returns first and whatever else is waiting, within bounds.
func (q *Queue[T]) collect(first *Call[T]) []*Call[T] {
	calls, size := []*Call[T]{first}, first.Size
	for len(calls) < q.most && size < maxBytes {
		select {
		case c, ok := <-q.calls:
			if !ok {
				return calls
			}
			calls, size = append(calls, c), size+c.Size
		default:
			return calls
		}
	}
	return calls
}
