package sqlitefile

import (
	"context"
	"database/sql/driver"

	"github.com/ncruces/go-sqlite3"
	ncruces "github.com/ncruces/go-sqlite3/driver"
)

// connector opens connections to which a nil []byte is NULL, as it is to other
// drivers of SQLite. To this one it is an empty BLOB, which coalesce() keeps.
type connector struct {
	driver.Connector
	prepare func(*sqlite3.Conn) error
}

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	raw, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := raw.(conn)
	if !ok {
		_ = raw.Close()
		return nil, driver.ErrSkip // another version of the driver
	}
	if err := c.prepare(full.Raw()); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return nullConn{full}, nil
}

// conn is what the driver's connections are.
type conn interface {
	ncruces.Conn
	driver.ExecerContext
	driver.NamedValueChecker
}

type nullConn struct{ conn }

// PrepareContext implements driver.ConnPrepareContext.
func (c nullConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	raw, err := c.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	full, ok := raw.(stmt)
	if !ok {
		_ = raw.Close()
		return nil, driver.ErrSkip
	}
	return nullStmt{full}, nil
}

// stmt is what the driver's statements are.
type stmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
	driver.NamedValueChecker
}

type nullStmt struct{ stmt }

// ExecContext implements driver.StmtExecContext.
func (s nullStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.stmt.ExecContext(ctx, withNulls(args))
}

// QueryContext implements driver.StmtQueryContext.
func (s nullStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.stmt.QueryContext(ctx, withNulls(args))
}

func withNulls(args []driver.NamedValue) []driver.NamedValue {
	for i := range args {
		if b, ok := args[i].Value.([]byte); ok && b == nil {
			args[i].Value = nil
		}
	}
	return args
}
