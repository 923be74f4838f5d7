package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"

	"github.com/speciecash/specie/fault"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/batch"
)

// errNothing is returned by the body of a transaction that wrote nothing: it
// is rolled back, which costs no fsync, and is a success.
var errNothing = errors.New("nothing written")

// job is one call waiting for the writer.
type job = batch.Call[*tx]

// batchFunc decides and writes all jobs given, none of which is a task,
// within one transaction. It sets their results; an error it returns is the
// whole batch's.
type batchFunc func(*tx, []*job) error

// writer is the one goroutine that writes to a file.
type writer struct {
	db       *sql.DB
	conn     *sql.Conn
	log      *slog.Logger
	together batchFunc
	onCommit func(ledger.Head)
	queue    *batch.Queue[*tx]

	// Only the goroutine touches these.
	statements map[string]*sql.Stmt
	failed     error // why the store takes no more writes
}

func startWriter(db *sql.DB, conn *sql.Conn, opts Options, together batchFunc) *writer {
	w := &writer{
		db: db, conn: conn, log: opts.Logger, together: together, onCommit: opts.OnCommit,
		queue:      batch.NewQueue[*tx](opts.Queue, opts.Batch),
		statements: make(map[string]*sql.Stmt),
	}
	go w.queue.Run(w.runGroup, func(j *job) {
		j.Err = w.transact(j.Task)
		j.Finish()
	})
	return w
}

// submit queues j and waits for its outcome.
func (w *writer) submit(ctx context.Context, j *job) error { return w.queue.Submit(ctx, j) }

// do runs task in a transaction of its own.
func (w *writer) do(ctx context.Context, task func(*tx) error) error { return w.queue.Do(ctx, task) }

// join runs body in a transaction that it shares with others. What body
// refuses it must refuse before it writes anything; it may run twice.
func (w *writer) join(ctx context.Context, body func(*tx) error) error {
	return w.submit(ctx, &job{Joint: body})
}

// runJoint runs the bodies of jobs and tells whether one wrote something. Its
// error is the whole batch's.
func runJoint(t *tx, jobs []*job) (wrote bool, err error) {
	for _, j := range jobs {
		switch err := j.Joint(t); {
		case err == nil:
			j.Err, wrote = nil, true
		case errors.Is(err, errNothing):
			j.Err = nil
		case errors.Is(err, ledger.ErrUnavailable), errors.Is(err, ledger.ErrCorrupt):
			return false, err
		default:
			j.Err = err
		}
	}
	return wrote, nil
}

// close lets what is queued finish.
func (w *writer) close() error {
	if !w.queue.Close() {
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

// runGroup commits jobs together or, if that fails, one by one: the failure
// may be one job's alone. Trying again is safe even where a failed commit
// did reach the disk, since the jobs are idempotent.
func (w *writer) runGroup(jobs []*job) {
	err := w.transact(func(t *tx) error { return w.together(t, jobs) })
	if err != nil && len(jobs) > 1 && w.failed == nil {
		for _, j := range jobs {
			w.runGroup([]*job{j})
		}
		return
	}
	for _, j := range jobs {
		if err != nil {
			j.Err = err
		}
		j.Finish()
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
