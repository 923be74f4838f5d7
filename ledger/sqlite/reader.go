package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/speciecash/specie/ledger"
)

// reader is the pool of connections that only read. It keeps statements
// prepared: parsing them costs more than most of them do.
type reader struct {
	db *sql.DB

	mu         sync.RWMutex
	closed     bool
	statements map[string]*sql.Stmt // about maxStatements at most
}

// query runs a statement, prepared if there is room to keep it so.
func (r *reader) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	r.mu.RLock()
	s, ok := r.statements[query]
	full, closed := len(r.statements) >= maxStatements, r.closed
	r.mu.RUnlock()
	if closed {
		return nil, ledger.ErrClosed
	}
	if !ok && full {
		return r.db.QueryContext(ctx, query, args...)
	}
	if !ok {
		// Outside the lock: this may wait for a connection.
		fresh, err := r.db.PrepareContext(ctx, query)
		if err != nil {
			return nil, err
		}
		if s, err = r.keep(query, fresh); err != nil {
			return nil, err
		}
	}
	return s.QueryContext(ctx, args...)
}

// conn takes a connection out of the pool, until it is closed.
func (r *reader) conn(ctx context.Context) (*sql.Conn, error) {
	r.mu.RLock()
	closed := r.closed
	r.mu.RUnlock()
	if closed {
		return nil, ledger.ErrClosed
	}
	return r.db.Conn(ctx)
}

// keep returns the statement to use for query: fresh, or the one that another
// caller kept meanwhile.
func (r *reader) keep(query string, fresh *sql.Stmt) (*sql.Stmt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errors.Join(ledger.ErrClosed, fresh.Close())
	}
	if s, ok := r.statements[query]; ok {
		return s, fresh.Close()
	}
	r.statements[query] = fresh
	return fresh, nil
}

// list calls row for each row of a query.
func (r *reader) list(ctx context.Context, row func(*sql.Rows) error, query string, args ...any) error {
	rows, err := r.query(ctx, query, args...)
	if err != nil {
		return classify(err)
	}
	return eachRow(rows, row)
}

// get returns a function that reads at most one row, as tx.get does.
func (r *reader) get(ctx context.Context) func(into []any, query string, args ...any) (bool, error) {
	return func(into []any, query string, args ...any) (found bool, err error) {
		err = r.list(ctx, func(rows *sql.Rows) error {
			found = true
			return classify(rows.Scan(into...))
		}, query, args...)
		return found, err
	}
}

func (r *reader) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	var errs []error
	for _, s := range r.statements {
		errs = append(errs, s.Close())
	}
	clear(r.statements)
	return errors.Join(append(errs, r.db.Close())...)
}
