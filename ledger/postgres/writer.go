package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/batch"
)

// call is one call waiting for the writer.
type call = batch.Call[*tx]

// writer is the one goroutine of this process that writes in batches, on a
// connection of its own, which it makes when it needs it.
type writer struct {
	queue  *batch.Queue[*tx]
	config *pgx.ConnConfig
	opts   Options
	log    *slog.Logger
	batch  func(*tx, []*call) error
	conn   *pgx.Conn // only the goroutine touches it
}

func startWriter(config *pgx.ConnConfig, conn *pgx.Conn, opts Options, run func(*tx, []*call) error) *writer {
	w := &writer{
		queue:  batch.NewQueue[*tx](opts.Queue, opts.Batch),
		config: config, conn: conn, opts: opts, log: opts.Logger, batch: run,
	}
	go w.queue.Run(w.together, w.alone)
	return w
}

func (w *writer) close() {
	if w.queue.Close() && w.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), w.opts.Timeout)
		defer cancel()
		_ = w.conn.Close(ctx) // nothing is under way on it
	}
}

// together commits calls in one transaction or, if that is refused, one by
// one: the cause may be one call's alone, or that there are so many.
func (w *writer) together(calls []*call) {
	err := w.transact(func(t *tx) error { return w.batch(t, calls) })
	if len(calls) > 1 && splits(err) {
		for _, c := range calls {
			w.together([]*call{c})
		}
		return
	}
	for _, c := range calls {
		if err != nil {
			c.Err = err
		}
		c.Finish()
	}
}

// splits reports whether the calls of a batch that failed so may fare better
// alone.
func splits(err error) bool {
	var pg *pgconn.PgError
	return errors.Is(err, errAgain) || !errors.Is(err, errDoubt) && errors.As(err, &pg)
}

// alone runs a task.
func (w *writer) alone(c *call) {
	c.Err = w.transact(c.Task)
	c.Finish()
}

// transact runs body in a transaction until it is not told to do so again.
// Contexts of callers do not reach in here: one caller's impatience must not
// undo the others' work.
func (w *writer) transact(body func(*tx) error) error {
	ctx := context.Background()
	renewed := false
	err := repeat(ctx, func() error {
		for {
			fresh := w.conn == nil
			if err := w.connect(ctx); err != nil {
				return err
			}
			err := transact(ctx, w.conn, w.opts, body)
			if !w.conn.IsClosed() {
				return err
			}
			w.conn = nil
			if errors.Is(err, errDoubt) {
				w.log.Warn("a commit is in doubt", "error", err)
				return err
			}
			// It was lost before the COMMIT, perhaps long ago: nothing was
			// recorded. On a connection just made, something else is wrong.
			if err == nil || fresh || renewed {
				return err
			}
			renewed = true
			w.log.Info("connection lost", "error", err)
		}
	})
	return classify(err)
}

func (w *writer) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.opts.Timeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, w.config.Copy())
	if err != nil {
		return fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
	}
	w.conn = conn
	return nil
}
