package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/speciecash/specie/ledger"
)

// errCut is a list that broke off.
var errCut = errors.New("connection lost in the midst of a list")

// acquire takes a connection out of the pool.
func (l *Ledger) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	if l.closed.Load() {
		return nil, ledger.ErrClosed
	}
	bounded, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	defer cancel()
	conn, err := l.pool.Acquire(bounded)
	switch {
	case err == nil:
		return conn, nil
	case l.closed.Load():
		return nil, ledger.ErrClosed
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
}

// on runs f with a connection. If it fails because the connection is lost, it
// is run once more, on one that was made since: a server that was restarted
// has lost all of them.
func (l *Ledger) on(ctx context.Context, f func(*pgx.Conn) error) error {
	for renewed := false; ; renewed = true {
		conn, err := l.acquire(ctx)
		if err != nil {
			return err
		}
		err = f(conn.Conn())
		lost := conn.Conn().IsClosed()
		conn.Release()
		if !lost || renewed || err == nil || ctx.Err() != nil || errors.Is(err, errDoubt) {
			return err
		}
		l.pool.Reset()
	}
}

// within runs body in a transaction on a connection of the pool, until it is
// not told to do so again.
func (l *Ledger) within(ctx context.Context, body func(*tx) error) error {
	err := repeat(ctx, func() error {
		return l.on(ctx, func(conn *pgx.Conn) error { return transact(ctx, conn, l.opts, body) })
	})
	if errors.Is(err, errDoubt) {
		l.opts.Logger.WarnContext(ctx, "a commit is in doubt", "error", err)
	}
	return classify(err)
}

// list calls row for each row of a query.
func (l *Ledger) list(ctx context.Context, row func(pgx.Rows) error, query string, args ...any) error {
	given := false
	err := l.on(ctx, func(conn *pgx.Conn) error {
		if given {
			return errCut // the first rows would come twice
		}
		rows, err := conn.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		return eachRow(rows, func(rows pgx.Rows) error {
			given = true
			return row(rows)
		})
	})
	return classify(err)
}

// get reads at most one row, as tx.get does.
func (l *Ledger) get(ctx context.Context, into []any, query string, args ...any) (found bool, err error) {
	err = l.list(ctx, func(rows pgx.Rows) error {
		found = true
		return rows.Scan(into...)
	}, query, args...)
	return found, err
}
