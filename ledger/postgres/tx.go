package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/speciecash/specie/fault"
	"github.com/speciecash/specie/ledger"
)

// errAgain is returned by the body of a transaction that finds that what it
// rests on is not true any more.
var errAgain = errors.New("overtaken by another process")

// errDoubt is a COMMIT that may have happened or not.
var errDoubt = fmt.Errorf("%w: the commit may have happened or not", ledger.ErrUnavailable)

// maxTries bounds how often a transaction is run again.
const maxTries = 12

// again reports whether a transaction that failed so changed nothing and may
// fare better when it is run again, whole.
func again(err error) bool {
	if errors.Is(err, errDoubt) {
		return false
	}
	var pg *pgconn.PgError
	return errors.Is(err, errAgain) || errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// pause waits a little before the next try: random, so that those who met do
// not meet again.
func pause(ctx context.Context, try int) {
	most := min(time.Millisecond<<try, 100*time.Millisecond)
	select {
	case <-time.After(rand.N(most)):
	case <-ctx.Done():
	}
}

// repeat runs once until it is not told to do so again.
func repeat(ctx context.Context, once func() error) error {
	for try := 0; ; try++ {
		err := once()
		if !again(err) {
			return err
		}
		if try == maxTries || ctx.Err() != nil {
			return fmt.Errorf("%w: given up after %d tries: %w", ledger.ErrUnavailable, try+1, err)
		}
		pause(ctx, try)
	}
}

// tx is a transaction on a connection.
type tx struct {
	ctx   context.Context
	conn  *pgx.Conn
	wrote bool
	grown []ledger.Head // the new ends of journals
}

// transact runs body between BEGIN and COMMIT, once. A body that ends without
// having written is confirmed by a beat, and so is one that refuses, after its
// rollback. Afterwards the connection is outside a transaction, or closed.
func transact(ctx context.Context, conn *pgx.Conn, opts Options, body func(*tx) error) error {
	bounded, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	t := &tx{ctx: bounded, conn: conn}
	err := t.run(body)
	if err == nil && opts.OnCommit != nil {
		for _, h := range t.grown {
			opts.OnCommit(h)
		}
	}
	if refusal(err) {
		if confirm := (&tx{ctx: bounded, conn: conn}).confirm(); confirm != nil {
			err = confirm
		}
	}
	if err != nil && ctx.Err() == nil && bounded.Err() != nil && !errors.Is(err, ledger.ErrUnavailable) {
		return fmt.Errorf("%w: no answer in %v", ledger.ErrUnavailable, opts.Timeout)
	}
	return err
}

// confirm confirms what a refusal rests on. Where the connection was lost at the
// rollback nothing can be, and who refuses may be no leader any more.
func (t *tx) confirm() error {
	if t.conn.IsClosed() {
		return fmt.Errorf("%w: connection lost before a refusal was confirmed", ledger.ErrUnavailable)
	}
	return t.run(func(*tx) error { return nil })
}

func (t *tx) run(body func(*tx) error) error {
	err := t.exec("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
	if err == nil {
		err = body(t)
	}
	if err == nil && !t.wrote {
		err = t.beat()
	}
	if err != nil {
		var pg *pgconn.PgError
		readOnly := errors.As(err, &pg) && pg.Code == "25006" // it is no leader any more
		if _, rollback := t.conn.Exec(t.ctx, "ROLLBACK"); rollback != nil || readOnly {
			t.close()
		}
		return err
	}
	return t.commit()
}

// close ends the connection, on which nothing more can be said.
func (t *tx) close() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), time.Second)
	defer cancel()
	_ = t.conn.Close(ctx)
}

// commit believes nothing but a plain COMMIT.
func (t *tx) commit() error {
	before := t.notices()
	fault.Point("postgres.commit")
	results, err := t.conn.PgConn().Exec(t.ctx, "COMMIT").ReadAll()
	fault.Point("postgres.committed")
	quiet := t.notices() == before
	if err == nil && quiet && len(results) == 1 && results[0].CommandTag.String() == "COMMIT" {
		return nil
	}
	if quiet && again(err) {
		return err
	}
	t.close()
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errDoubt, err)
	case !quiet:
		return fmt.Errorf("%w: the server gave a warning", errDoubt)
	}
	return fmt.Errorf("%w: the server says %s", errDoubt, results[0].CommandTag)
}

func (t *tx) notices() int64 {
	n, ok := t.conn.PgConn().CustomData()[keyNotices].(*atomic.Int64)
	if !ok {
		return 0
	}
	return n.Load()
}

// beat writes to a row that concerns nobody, so that the commit confirms what
// was read.
func (t *tx) beat() error {
	n, err := t.change("UPDATE beats SET n = n + 1 WHERE slot = $1", t.conn.PgConn().CustomData()[keySlot])
	if err == nil && n != 1 {
		err = fmt.Errorf("%w: a row of beats is gone", ledger.ErrCorrupt)
	}
	return err
}

// exec runs a statement that returns no rows.
func (t *tx) exec(query string, args ...any) error {
	_, err := t.change(query, args...)
	return err
}

// change runs a statement and returns how many rows it changed.
func (t *tx) change(query string, args ...any) (int64, error) {
	tag, err := t.conn.Exec(t.ctx, query, args...)
	t.note(tag)
	return tag.RowsAffected(), err
}

func (t *tx) note(tag pgconn.CommandTag) {
	if tag.RowsAffected() > 0 && !tag.Select() {
		t.wrote = true
	}
}

// query calls row for each row.
func (t *tx) query(row func(pgx.Rows) error, query string, args ...any) error {
	rows, err := t.conn.Query(t.ctx, query, args...)
	if err != nil {
		return err
	}
	err = eachRow(rows, row)
	t.note(rows.CommandTag())
	return err
}

// eachRow calls row for each of rows and closes them.
func eachRow(rows pgx.Rows, row func(pgx.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// get reads at most one row, scanning it into into, and tells whether there
// was one.
func (t *tx) get(into []any, query string, args ...any) (found bool, err error) {
	err = t.query(func(rows pgx.Rows) error {
		found = true
		return rows.Scan(into...)
	}, query, args...)
	return found, err
}

// pipeline is statements sent together, answered in their order.
type pipeline struct {
	t     *tx
	batch pgx.Batch
}

func (t *tx) pipeline() *pipeline { return &pipeline{t: t} }

// query adds a statement, and row to be called for each of its rows.
func (p *pipeline) query(row func(pgx.Rows) error, query string, args ...any) {
	p.batch.Queue(query, args...).Query(func(rows pgx.Rows) error {
		err := eachRow(rows, row)
		p.t.note(rows.CommandTag())
		return err
	})
}

// exec adds a statement that returns no rows.
func (p *pipeline) exec(query string, args ...any) {
	p.batch.Queue(query, args...).Exec(func(tag pgconn.CommandTag) error {
		p.t.note(tag)
		return nil
	})
}

// all adds a statement that must change n rows: if it changes fewer, another
// process was there first.
func (p *pipeline) all(n int, query string, args ...any) {
	if n == 0 {
		return
	}
	p.batch.Queue(query, args...).Exec(func(tag pgconn.CommandTag) error {
		p.t.note(tag)
		if tag.RowsAffected() != int64(n) {
			return errAgain
		}
		return nil
	})
}

// run sends the statements and takes their answers.
func (p *pipeline) run() error {
	if p.batch.Len() == 0 {
		return nil
	}
	return p.t.conn.SendBatch(p.t.ctx, &p.batch).Close()
}

// blob makes b fit a NOT NULL column: the driver stores nil as NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// toID copies an id out of a row. A damaged one may have another length, and
// then equals none.
func toID(b []byte) (id ledger.ID) {
	copy(id[:], b)
	return id
}

func fromMicro(at int64) time.Time { return time.UnixMicro(at).UTC() }
