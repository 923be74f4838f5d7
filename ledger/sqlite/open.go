package sqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	moderncsqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/speciecash/specie/ledger"
)

// Options of a store. The zero value is good.
type Options struct {
	// Lane names the journal of this process; "main" if empty. Two
	// processes may share a lane, since SQLite makes them take turns.
	Lane string
	// Batch is the most calls committed together; 512 if zero.
	Batch int
	// Queue is the most calls waiting for the writer before further callers
	// wait to get into the queue; 1024 if zero.
	Queue int
	// Readers is the most connections reading at once; if zero, the number
	// of processors, but at least 4.
	Readers int
	// OnCommit, if not nil, is told after each commit where a journal ends that
	// grew. The writer waits for it: it must return at once and call no store.
	OnCommit func(ledger.Head)
	// Logger hears of new files and of failures that close the store; none
	// if nil.
	Logger *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	if o.Lane == "" {
		o.Lane = "main"
	}
	if !ledger.ValidLane(o.Lane) {
		return o, fmt.Errorf("%w: lane %q", ledger.ErrMalformed, o.Lane)
	}
	if o.Batch <= 0 {
		o.Batch = 512
	}
	if o.Queue <= 0 {
		o.Queue = 1024
	}
	if o.Readers <= 0 {
		o.Readers = max(4, runtime.GOMAXPROCS(0))
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

//go:embed schema/ledger.sql
var ledgerSQL string

//go:embed schema/ledger-2.sql
var ledger2SQL string

//go:embed schema/register.sql
var registerSQL string

//go:embed schema/register-2.sql
var register2SQL string

//go:embed schema/register-3.sql
var register3SQL string

// schema is one kind of store. application is SQLite's application_id, four
// letters: it keeps a register from being opened as a ledger.
type schema struct {
	kind        string
	application int64
	version     int64
	create      string
	upgrades    []step // upgrades[i] leads from version i+1 to the next
}

// step is one upgrade: a script and then, if not nil, what SQL cannot say.
type step struct {
	script string
	then   func(t *tx, lane string) error
}

func ledgerSchema() schema {
	return schema{"ledger", 0x53504c47, 2, ledgerSQL, []step{{ledger2SQL, upgradeAccounts}}}
}

func registerSchema() schema {
	return schema{"register", 0x53505247, 3, registerSQL, []step{{script: register2SQL}, {script: register3SQL}}}
}

// store is an open file: what ledger and register have in common.
type store struct {
	writer *writer
	*reader
	opts Options
}

func open(ctx context.Context, path string, s schema, opts Options, together batchFunc) (*store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: path of %s: %w", s.kind, err)
	}
	db, conn, err := openWriter(ctx, abs, s, opts)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s %s: %w", s.kind, abs, classify(err))
	}
	reads, err := connect(abs, "query_only(1)", "cache_size(-16384)")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: open %s %s: %w", s.kind, abs, err), conn.Close(), db.Close())
	}
	reads.SetMaxOpenConns(opts.Readers)
	reads.SetMaxIdleConns(opts.Readers)
	return &store{
		writer: startWriter(db, conn, opts, together),
		reader: &reader{db: reads, statements: make(map[string]*sql.Stmt)},
		opts:   opts,
	}, nil
}

// connect returns a pool whose connections have the pragmas set. The path is
// escaped: SQLite reads it as a URI, whose parameters could turn locking off.
func connect(abs string, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)"}, pragmas...)}
	u := url.URL{Scheme: "file", Path: abs, RawQuery: q.Encode()}
	connector, err := moderncsqlite.NewConnector(u.String())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// openWriter opens the one connection that writes. An existing file is only
// looked at until its schema is known to be ours.
func openWriter(ctx context.Context, abs string, s schema, opts Options) (_ *sql.DB, _ *sql.Conn, err error) {
	db, err := connect(abs, "foreign_keys(1)", "synchronous(FULL)", "cache_size(-65536)",
		"wal_autocheckpoint(20000)", "temp_store(MEMORY)")
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, conn.Close(), db.Close())
		}
	}()
	fresh, err := checkSchema(ctx, conn, s)
	if err != nil {
		return nil, nil, err
	}
	if fresh {
		// SQLite has made the file and nothing is in it yet. By name, never
		// through a descriptor: see the package comment.
		if err := os.Chmod(abs, 0o600); err != nil {
			return nil, nil, err
		}
	}
	if err := checkPragmas(ctx, conn); err != nil {
		return nil, nil, err
	}
	if err := settleWAL(ctx, conn); err != nil {
		return nil, nil, err
	}
	if fresh {
		opts.Logger.InfoContext(ctx, "creating store", "kind", s.kind, "path", abs)
		err = within(ctx, conn, func() error { return createSchema(ctx, conn, s) })
	} else {
		err = upgrade(ctx, conn, s, opts)
	}
	if err != nil {
		return nil, nil, err
	}
	return db, conn, nil
}

// checkSchema tells a fresh file from one of ours; anything else is
// ErrSchema.
func checkSchema(ctx context.Context, conn *sql.Conn, s schema) (fresh bool, err error) {
	var application, version, objects int64
	for query, into := range map[string]*int64{
		"PRAGMA application_id":              &application,
		"PRAGMA user_version":                &version,
		"SELECT COUNT(*) FROM sqlite_master": &objects,
	} {
		if err := conn.QueryRowContext(ctx, query).Scan(into); err != nil {
			return false, err
		}
	}
	switch {
	case application == 0 && version == 0 && objects == 0:
		return true, nil
	case application != s.application:
		return false, fmt.Errorf("%w: not a %s", ledger.ErrSchema, s.kind)
	case version > s.version:
		return false, fmt.Errorf("%w: version %d, this program knows %d", ledger.ErrSchema, version, s.version)
	case version < 1:
		return false, fmt.Errorf("%w: version %d", ledger.ErrSchema, version)
	}
	return false, nil
}

// checkPragmas reads back what durability rests on.
func checkPragmas(ctx context.Context, conn *sql.Conn) error {
	var mode string
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode=WAL").Scan(&mode); err != nil {
		return err
	}
	var synchronous, foreignKeys int
	if err := conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return err
	}
	if err := conn.QueryRowContext(ctx, "PRAGMA foreign_keys").Scan(&foreignKeys); err != nil {
		return err
	}
	if mode != "wal" || synchronous != 2 || foreignKeys != 1 {
		return fmt.Errorf("%w: journal_mode=%s synchronous=%d foreign_keys=%d",
			ledger.ErrUnavailable, mode, synchronous, foreignKeys)
	}
	return nil
}

// settleWAL folds what is in the WAL into the file. A process that was killed
// between writing a commit and its fsync, or whose fsync failed, leaves a WAL
// that reads well and may be in memory only: what is answered from it now would
// be lost with the power. A checkpoint syncs both files. Another process that is
// reading may keep it from the newest end, but it would have found that end
// already, and so whole.
func settleWAL(ctx context.Context, conn *sql.Conn) error {
	var busy, log, folded int64
	return conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &log, &folded)
}

// within runs f in one transaction.
func within(ctx context.Context, conn *sql.Conn, f func() error) (err error) {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, rollback := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			err = errors.Join(err, rollback)
		}
	}()
	if err := f(); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// createSchema looks again in its transaction: another process may have come
// first.
func createSchema(ctx context.Context, conn *sql.Conn, s schema) error {
	fresh, err := checkSchema(ctx, conn, s)
	if err != nil || !fresh {
		return err
	}
	script := fmt.Sprintf("%s\nPRAGMA application_id=%d;\nPRAGMA user_version=%d;", s.create, s.application, s.version)
	_, err = conn.ExecContext(ctx, script)
	return err
}

// upgrade brings a file of an older version to this one, in one transaction.
func upgrade(ctx context.Context, conn *sql.Conn, s schema, opts Options) error {
	version := func() (v int64, err error) {
		err = conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v)
		return v, err
	}
	if v, err := version(); err != nil || v == s.version {
		return err
	}
	return within(ctx, conn, func() error {
		v, err := version() // again: another process may have come first
		for ; err == nil && v < s.version; v++ {
			opts.Logger.InfoContext(ctx, "upgrading store", "kind", s.kind, "from", v, "to", v+1)
			err = s.upgrades[v-1].run(ctx, conn, opts.Lane, v+1)
		}
		return err
	})
}

func (s step) run(ctx context.Context, conn *sql.Conn, lane string, version int64) error {
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("%s\nPRAGMA user_version=%d;", s.script, version)); err != nil || s.then == nil {
		return err
	}
	w := &writer{conn: conn, statements: make(map[string]*sql.Stmt)}
	err := s.then(&tx{ctx: ctx, w: w}, lane)
	return errors.Join(err, w.forget())
}

// Close waits for the writes under way and closes the file.
func (s *store) Close() error {
	return errors.Join(s.writer.close(), s.reader.close())
}

// classify gives an error of SQLite the ledger error that it amounts to.
func classify(err error) error {
	var code int
	var e *moderncsqlite.Error
	if errors.As(err, &e) {
		code = e.Code() & 0xff
	}
	switch {
	case err == nil, errors.Is(err, ledger.ErrSchema), errors.Is(err, ledger.ErrCorrupt), errors.Is(err, ledger.ErrUnavailable),
		errors.Is(err, ledger.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case code == sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ledger.ErrSchema, err)
	case code == sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%w: %w", ledger.ErrCorrupt, err)
	}
	return fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
}

// broken reports whether err leaves it unknown what is on the disk.
func broken(err error) bool {
	var e *moderncsqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	}
	return false
}
