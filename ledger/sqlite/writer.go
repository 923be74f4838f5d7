package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/speciecash/specie/fault"
	"github.com/speciecash/specie/ledger"
)

// maxBatchBytes bounds what the calls of one batch carry, besides their
// number, so that a few large requests do not make a transaction that
// everybody waits for.
const maxBatchBytes = 8 << 20

// errNothing is returned by the body of a transaction that wrote nothing: it
// is rolled back, which costs no fsync, and is a success.
var errNothing = errors.New("nothing written")

// job is one call waiting for the writer. Exactly one of op, answer, joint and
// task is set. The writer owns a job from the moment it is queued until done is
// closed; a caller that stops waiting never looks at it again.
type job struct {
	ctx    context.Context
	op     *opJob
	answer *answerJob
	joint  func(*tx) error // runs in the transaction of a batch, see join
	task   func(*tx) error // runs in a transaction of its own
	size   int             // bytes it carries, roughly
	err    error
	done   chan struct{}
}

// batchFunc decides and writes all jobs given, none of which is a task,
// within one transaction. It sets their results; an error it returns is the
// whole batch's.
type batchFunc func(*tx, []*job) error

// writer is the one goroutine that writes to a file.
type writer struct {
	db       *sql.DB
	conn     *sql.Conn
	log      *slog.Logger
	batch    batchFunc
	max      int
	onCommit func(ledger.Head)
	queue    chan *job
	done     chan struct{} // closed when the goroutine has ended

	mu     sync.RWMutex // held for reading while sending to queue
	closed bool

	// Only the goroutine touches these.
	statements map[string]*sql.Stmt
	failed     error // why the store takes no more writes
}

func startWriter(db *sql.DB, conn *sql.Conn, opts Options, batch batchFunc) *writer {
	w := &writer{
		db: db, conn: conn, log: opts.Logger, batch: batch, max: opts.Batch, onCommit: opts.OnCommit,
		queue:      make(chan *job, opts.Queue),
		done:       make(chan struct{}),
		statements: make(map[string]*sql.Stmt),
	}
	go w.loop()
	return w
}

// submit queues j and waits for its outcome. When ctx ends first the job is
// left behind: whether it will be done is not known.
func (w *writer) submit(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.ctx, j.done = ctx, make(chan struct{})
	if err := w.enqueue(ctx, j); err != nil {
		return err
	}
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
		return fmt.Errorf("outcome unknown: %w", ctx.Err())
	}
}

func (w *writer) enqueue(ctx context.Context, j *job) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return ledger.ErrClosed
	}
	select {
	case w.queue <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// do runs task in a transaction of its own.
func (w *writer) do(ctx context.Context, task func(*tx) error) error {
	return w.submit(ctx, &job{task: task})
}

// join runs body in a transaction that it shares with others. What body
// refuses it must refuse before it writes anything; it may run twice.
func (w *writer) join(ctx context.Context, body func(*tx) error) error {
	return w.submit(ctx, &job{joint: body})
}

// runJoint runs the bodies of jobs and tells whether one wrote something. Its
// error is the whole batch's.
func runJoint(t *tx, jobs []*job) (wrote bool, err error) {
	for _, j := range jobs {
		switch err := j.joint(t); {
		case err == nil:
			j.err, wrote = nil, true
		case errors.Is(err, errNothing):
			j.err = nil
		case errors.Is(err, ledger.ErrUnavailable), errors.Is(err, ledger.ErrCorrupt):
			return false, err
		default:
			j.err = err
		}
	}
	return wrote, nil
}

// close lets what is queued finish. Senders hold the lock for reading, so
// none is left sending when the queue is closed.
func (w *writer) close() error {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	if first {
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.done
	if !first {
		return nil
	}
	return errors.Join(w.forget(), w.conn.Close(), w.db.Close())
}

// forget closes the prepared statements.
func (w *writer) forget() error {
	var errs []error
	for _, s := range w.statements {
		errs = append(errs, s.Close())
	}
	clear(w.statements)
	return errors.Join(errs...)
}

func (w *writer) loop() {
	defer close(w.done)
	for first := range w.queue {
		var group, tasks []*job
		for _, j := range w.collect(first) {
			switch {
			case j.ctx.Err() != nil:
				j.err = j.ctx.Err()
			case j.task != nil:
				tasks = append(tasks, j)
				continue
			default:
				group = append(group, j)
				continue
			}
			close(j.done)
		}
		w.runGroup(group)
		for _, j := range tasks {
			j.err = w.transact(j.task)
			close(j.done)
		}
	}
}

// collect returns first and whatever else is waiting, within bounds.
func (w *writer) collect(first *job) []*job {
	jobs, size := []*job{first}, first.size
	for len(jobs) < w.max && size < maxBatchBytes {
		select {
		case j, ok := <-w.queue:
			if !ok {
				return jobs
			}
			jobs, size = append(jobs, j), size+j.size
		default:
			return jobs
		}
	}
	return jobs
}

// runGroup commits jobs together or, if that fails, one by one: the failure
// may be one job's alone. Trying again is safe even where a failed commit
// did reach the disk, since the jobs are idempotent.
func (w *writer) runGroup(jobs []*job) {
	if len(jobs) == 0 {
		return
	}
	err := w.transact(func(t *tx) error { return w.batch(t, jobs) })
	if err != nil && len(jobs) > 1 && w.failed == nil {
		for _, j := range jobs {
			w.runGroup([]*job{j})
		}
		return
	}
	for _, j := range jobs {
		if err != nil {
			j.err = err
		}
		close(j.done)
	}
}

// transact runs body between BEGIN and COMMIT. Contexts of callers do not
// reach in here: one caller's impatience must not undo the others' work.
func (w *writer) transact(body func(*tx) error) error {
	if w.failed != nil {
		return w.failed
	}
	t := &tx{ctx: context.Background(), w: w}
	err := t.exec("BEGIN IMMEDIATE")
	if err == nil {
		if err = body(t); err == nil {
			fault.Point("sqlite.commit")
			err = t.exec("COMMIT")
			fault.Point("sqlite.committed")
		}
		if err != nil {
			// SQLite may have rolled back by itself and then finds no
			// transaction here. One that stayed open would make every
			// later BEGIN fail, so nothing can be added to it unseen.
			_ = t.exec("ROLLBACK")
		}
	}
	if errors.Is(err, errNothing) {
		return nil
	}
	if err == nil && w.onCommit != nil {
		for _, h := range t.heads {
			w.onCommit(*h)
		}
	}
	if broken(err) {
		w.failed = fmt.Errorf("%w: writing stopped until the store is opened anew: %w", ledger.ErrUnavailable, err)
		w.log.Error("store takes no more writes", "error", err)
	}
	return err
}
