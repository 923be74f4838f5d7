package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/speciecash/specie/ledger"
)

// maxStatements bounds the statements kept prepared: text varies with the
// number of rows and the epoch.
const maxStatements = 512

// tx is the writer's transaction. Its errors are classified.
type tx struct {
	ctx   context.Context
	w     *writer
	heads []*ledger.Head // of the journals that grew
}

func (t *tx) prepare(query string) (*sql.Stmt, error) {
	if s, ok := t.w.statements[query]; ok {
		return s, nil
	}
	if len(t.w.statements) >= maxStatements {
		// A statement that fails to close is lost with the connection.
		_ = t.w.forget()
	}
	s, err := t.w.conn.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, err
	}
	t.w.statements[query] = s
	return s, nil
}

// exec runs a statement that returns no rows.
func (t *tx) exec(query string, args ...any) error {
	_, err := t.change(query, args...)
	return err
}

// change runs a statement and returns how many rows it changed.
func (t *tx) change(query string, args ...any) (int64, error) {
	s, err := t.prepare(query)
	if err != nil {
		return 0, classify(err)
	}
	res, err := s.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, classify(err)
	}
	n, err := res.RowsAffected()
	return n, classify(err)
}

// query calls row for each row.
func (t *tx) query(row func(*sql.Rows) error, query string, args ...any) error {
	s, err := t.prepare(query)
	if err != nil {
		return classify(err)
	}
	rows, err := s.QueryContext(t.ctx, args...)
	if err != nil {
		return classify(err)
	}
	return eachRow(rows, row)
}

// eachRow calls row for each of rows and closes them.
func eachRow(rows *sql.Rows, row func(*sql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return classify(rows.Err())
}

// get reads at most one row, scanning it into into, and tells whether there
// was one.
func (t *tx) get(into []any, query string, args ...any) (found bool, err error) {
	err = t.query(func(rows *sql.Rows) error {
		found = true
		return classify(rows.Scan(into...))
	}, query, args...)
	return found, err
}

// free refuses, naming field, when a query that selects one column finds a
// row.
func free(t *tx, field, query string, args ...any) error {
	var found any
	taken, err := t.get([]any{&found}, query, args...)
	if err == nil && taken {
		err = &ledger.DuplicateError{Field: field}
	}
	return err
}

// insert writes rows with as few statements as it can: head is all of the
// text up to VALUES, tail what follows the rows. args holds the rows one
// after the other.
func (t *tx) insert(head string, columns int, tail string, args []any) error {
	for len(args) > 0 {
		rows := 1
		for _, size := range []int{128, 32, 8} {
			if len(args) >= size*columns {
				rows = size
				break
			}
		}
		tuple := "(?" + strings.Repeat(",?", columns-1) + ")"
		text := head + " VALUES " + tuple + strings.Repeat(","+tuple, rows-1) + tail
		if err := t.exec(text, args[:rows*columns]...); err != nil {
			return err
		}
		args = args[rows*columns:]
	}
	return nil
}

// lookup calls row for what head + "(?,…)" finds for keys.
func (t *tx) lookup(row func(*sql.Rows) error, head string, keys []any) error {
	return inChunks(head, keys, func(query string, args []any) error { return t.query(row, query, args...) })
}

// inChunks runs head + "(?,…)" for all keys, a few hundred at a time. There
// are four texts, to be kept prepared: where one has room for more keys, the
// last is repeated.
func inChunks(head string, keys []any, run func(query string, args []any) error) error {
	for len(keys) > 0 {
		size := 512
		for _, s := range []int{1, 8, 64} {
			if len(keys) <= s {
				size = s
				break
			}
		}
		n := min(size, len(keys))
		args := slices.Clone(keys[:n])
		for len(args) < size {
			args = append(args, keys[n-1])
		}
		if err := run(head+"(?"+strings.Repeat(",?", size-1)+")", args); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
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

// recorder appends to the journals within one transaction.
type recorder struct {
	t     *tx
	heads map[string]*ledger.Head
	args  []any
}

func newRecorder(t *tx) *recorder {
	return &recorder{t: t, heads: make(map[string]*ledger.Head)}
}

// append chains a record of the given content to lane and returns its place.
func (r *recorder) append(lane string, event ledger.Event, subject []byte, rev uint64, digest [32]byte) (uint64, error) {
	head, ok := r.heads[lane]
	if !ok {
		head = &ledger.Head{Lane: lane}
		var hash []byte
		_, err := r.t.get([]any{&head.Seq, &hash}, "SELECT seq, hash FROM journal WHERE lane=? ORDER BY seq DESC LIMIT 1", lane)
		if err != nil {
			return 0, err
		}
		copy(head.Hash[:], hash)
		r.heads[lane] = head
		r.t.heads = append(r.t.heads, head)
	}
	rec := ledger.Record{Event: event, Subject: subject, Rev: rev, Digest: digest}
	head.Append(&rec)
	r.args = append(r.args, rec.Lane, int64(rec.Seq), string(rec.Event), rec.Subject, int64(rec.Rev),
		rec.Digest[:], rec.Prev[:], rec.Hash[:])
	return rec.Seq, nil
}

// flush writes what was appended.
func (r *recorder) flush() error {
	args := r.args
	r.args = nil
	return insertRecords(r.t, args)
}

// flushMany is flush when much has come together.
func (r *recorder) flushMany() error {
	if len(r.args) < 8*1024 {
		return nil
	}
	return r.flush()
}

func insertRecords(t *tx, rows []any) error {
	return t.insert("INSERT INTO journal (lane, seq, event, subject, rev, digest, prev, hash)", 8, "", rows)
}
