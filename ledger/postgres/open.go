package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/batch"
)

// Options of a ledger. The zero value is good for the only process on a
// database.
type Options struct {
	// Lane names the journal of this process; "main" if empty. Processes may
	// share a lane, but then their batches take turns: give each its own.
	Lane string
	// Batch is the most calls committed together; 512 if zero.
	Batch int
	// Queue is the most calls waiting for the writer before further callers
	// wait to get into the queue; 1024 if zero.
	Queue int
	// Connections is the most connections beside the writer's; if zero, twice
	// the number of processors, but at least 8.
	Connections int
	// Timeout bounds each transaction and each attempt to connect; 15 s if
	// zero. The server ends a transaction that is idle for twice that long.
	Timeout time.Duration
	// OnCommit, if not nil, is told after each commit where a journal ends that
	// grew. The writer waits for it: it must return at once and call no store.
	OnCommit func(ledger.Head)
	// Logger hears of migrations, lost connections and doubtful commits; none
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
	if o.Connections <= 0 {
		o.Connections = max(8, 2*runtime.GOMAXPROCS(0))
	}
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Ledger is a bank's ledger in a PostgreSQL database. It implements
// ledger.Ledger.
type Ledger struct {
	opts   Options
	pool   *pgxpool.Pool
	writer *writer
	closed atomic.Bool

	fold map[batch.Purse]struct{} // balances to be folded by the next batch; the writer's

	mu     sync.RWMutex
	epochs map[string]struct{} // known to be open; others may be too
}

var _ ledger.Ledger = (*Ledger)(nil)

// OpenLedger opens the ledger at url, postgres://user@host1,host2/database as
// libpq knows it, and makes its tables if the schema is empty.
// ledger.ErrMalformed for a URL that can't be read, ledger.ErrSchema for a
// database that is something else or newer, ledger.ErrUnavailable if the server
// can't be reached or does not keep what it says it has. ctx bounds the
// opening only.
func OpenLedger(ctx context.Context, url string, opts Options) (*Ledger, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	config, err := parse(url, opts)
	if err != nil {
		return nil, err
	}
	l := &Ledger{opts: opts, fold: make(map[batch.Purse]struct{}), epochs: make(map[string]struct{})}
	conn, err := migrate(ctx, config.ConnConfig, migrations(), opts)
	if err != nil {
		return nil, fmt.Errorf("postgres: open ledger: %w", classify(err))
	}
	if l.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), config); err != nil {
		return nil, errors.Join(fmt.Errorf("postgres: open ledger: %w", classify(err)), conn.Close(ctx))
	}
	l.writer = startWriter(config.ConnConfig, conn, opts, l.runBatch)
	return l, nil
}

// parse reads the URL and adds what every connection must be checked for.
func parse(url string, opts Options) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// Not err: it quotes the URL, and what it takes for a password is a
		// guess when the URL is malformed.
		return nil, fmt.Errorf("postgres: %w: the database's URL can't be read; it is like postgres://user@host/database", ledger.ErrMalformed)
	}
	conn := config.ConnConfig
	if conn.ConnectTimeout == 0 || conn.ConnectTimeout > opts.Timeout {
		conn.ConnectTimeout = opts.Timeout
	}
	if conn.ValidateConnect == nil {
		conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "specie " + opts.Lane
	}
	conn.OnNotice = noticed
	conn.AfterConnect = func(ctx context.Context, c *pgconn.PgConn) error { return prepare(ctx, c, opts) }
	config.MaxConns = int32(opts.Connections)
	return config, nil
}

// Keys of what a connection carries along.
const (
	keyNotices = "specie.notices" // *atomic.Int64, counts notices
	keySlot    = "specie.slot"    // int64, its row of beats
)

// noticed counts notices: at a COMMIT one is a doubt.
func noticed(c *pgconn.PgConn, _ *pgconn.Notice) {
	if n, ok := c.CustomData()[keyNotices].(*atomic.Int64); ok {
		n.Add(1)
	}
}

// prepare checks a new connection's server, and sets what commits rest on.
func prepare(ctx context.Context, c *pgconn.PgConn, opts Options) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ledger.ErrUnavailable}, args...)...)
	}
	settings, err := show(ctx, c, "server_version_num", "fsync", "synchronous_commit", "transaction_read_only")
	if err != nil {
		return err
	}
	version, fsync, synchronous, readOnly := settings[0], settings[1], settings[2], settings[3]
	n, err := strconv.Atoi(version)
	switch {
	case err != nil || n < 150000:
		return refuse("PostgreSQL 15 or newer is needed, this is %s", version)
	case fsync != "on":
		return refuse("fsync is %s on the server: what is answered could be lost", fsync)
	case synchronous == "off" || synchronous == "local":
		return refuse("synchronous_commit is %s: what is answered could be lost", synchronous)
	case readOnly != "off":
		return refuse("the server takes no writes: it is a standby, or read-only")
	}
	// A COMMIT that stopped waiting for its standby says so by a WARNING, which a
	// role or a URL may have silenced; below it, every COMMIT might say something.
	set := "SET client_min_messages TO warning"
	// A process that hangs must not keep its locks.
	set += "; SET idle_in_transaction_session_timeout TO " + strconv.FormatInt(2*opts.Timeout.Milliseconds(), 10)
	if synchronous != "remote_apply" { // which says more than on
		set += "; SET synchronous_commit TO on"
	}
	if _, err := c.Exec(ctx, set).ReadAll(); err != nil {
		return err
	}
	c.CustomData()[keyNotices] = new(atomic.Int64)
	c.CustomData()[keySlot] = rand.Int64N(64)
	return nil
}

// show reads settings.
func show(ctx context.Context, c *pgconn.PgConn, names ...string) ([]string, error) {
	results, err := c.Exec(ctx, "SHOW "+strings.Join(names, "; SHOW ")).ReadAll()
	if err != nil {
		return nil, err
	}
	values := make([]string, len(names))
	for i := range names {
		if i >= len(results) || len(results[i].Rows) != 1 || len(results[i].Rows[0]) != 1 {
			return nil, fmt.Errorf("%w: SHOW %s gives no row", ledger.ErrUnavailable, names[i])
		}
		values[i] = string(results[i].Rows[0][0])
	}
	return values, nil
}

// Close implements ledger.Ledger.
func (l *Ledger) Close() error {
	l.writer.close()
	if !l.closed.Swap(true) {
		l.pool.Close()
	}
	return nil
}

// classify gives an error the ledger error that it amounts to.
func classify(err error) error {
	var pg *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), isLedger(err):
		return err
	case errors.As(err, &pg) && len(pg.Code) == 5 && pg.Code[:2] == "XX" && pg.Code != "XX000":
		return fmt.Errorf("%w: %w", ledger.ErrCorrupt, err)
	}
	return fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
}

// isLedger reports whether err says already what it amounts to.
func isLedger(err error) bool {
	return errors.Is(err, ledger.ErrUnavailable) || errors.Is(err, ledger.ErrCorrupt) || errors.Is(err, ledger.ErrSchema) ||
		errors.Is(err, ledger.ErrClosed) || refusal(err)
}

// refusals are errors that are answers: nothing failed, and nothing was
// recorded.
func refusal(err error) bool {
	for _, r := range []error{ledger.ErrNotFound, ledger.ErrMalformed, ledger.ErrUnbalanced, ledger.ErrOverflow,
		ledger.ErrUnknownEpoch, ledger.ErrDuplicate, ledger.ErrStale, ledger.ErrAnswered, ledger.ErrState, ledger.ErrFull} {
		if errors.Is(err, r) {
			return true
		}
	}
	return false
}
