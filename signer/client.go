package signer

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a client that ClientConfig does not name otherwise.
const (
	defaultTimeout  = 15 * time.Second
	defaultInFlight = 1024
)

// maxSends is how often a request is sent before it is given up. A request
// that makes the module crash must not do so for ever.
const maxSends = 5

// Pauses between attempts to connect.
const (
	minPause = 10 * time.Millisecond
	maxPause = 500 * time.Millisecond
)

// ClientConfig says where the signer is.
type ClientConfig struct {
	// Socket is the path of its socket.
	Socket string
	// Users are the numeric ids of the users who may serve it, besides this
	// process's own and root, as the kernel tells who listens.
	Users []uint32
	// Timeout bounds every call beside its context, reconnecting included; 15
	// seconds if zero.
	Timeout time.Duration
	// InFlight is how many calls may wait for an answer at a time; 1024 if
	// zero. Further ones are ErrBusy.
	InFlight int
	// Logger is silent if nil.
	Logger *slog.Logger
}

// Client asks a signer over one connection, which it makes again whenever it
// breaks. A call returns when its answer is there, its context ends (an error
// that matches the context's and ErrUnavailable), or the client's Timeout is
// over (ErrUnavailable).
type Client struct {
	cfg    ClientConfig
	log    *slog.Logger
	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	over   sync.WaitGroup

	slots chan struct{} // one taken for every call in flight
	calls sync.Pool
	wake  chan struct{} // tells the connection's writer, holds one value

	mu      sync.Mutex
	next    uint64
	pending map[uint64]*call
	up      bool   // a connection takes what is in out
	why     error  // there is none, if so
	out     []byte // requests in frames

	batches atomic.Bool // the server of the last connection knows them

	ids idTable
}

// A call is a request in flight. Whoever takes it out of Client.pending
// sends to done, or has nobody else do so.
type call struct {
	req      request
	deadline time.Time
	sends    int
	done     chan result
	timer    *time.Timer
}

type result struct {
	payload []byte
	err     error
}

// NewClient returns a client that begins to connect. It waits for nothing:
// calls do.
func NewClient(cfg ClientConfig) *Client {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.InFlight <= 0 {
		cfg.InFlight = defaultInFlight
	}
	c := &Client{
		cfg: cfg, log: cfg.Logger,
		slots:   make(chan struct{}, cfg.InFlight),
		wake:    make(chan struct{}, 1),
		pending: make(map[uint64]*call),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.calls.New = func() any {
		t := time.NewTimer(time.Hour)
		t.Stop()
		return &call{done: make(chan result, 1), timer: t}
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.over.Go(c.run)
	return c
}

// Close ends the connection. Calls in flight and later ones are ErrClosed.
func (c *Client) Close() error {
	c.cancel()
	c.over.Wait()
	c.failAll(ErrClosed)
	return nil
}

// call sends a request and waits for its answer.
func (c *Client) call(ctx context.Context, r request) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, given(err)
	}
	select {
	case c.slots <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	defer func() { <-c.slots }()

	k := c.calls.Get().(*call)
	defer c.calls.Put(k)
	now := time.Now()
	k.req, k.sends, k.deadline = r, 0, now.Add(c.cfg.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(k.deadline) {
		k.deadline = d
	}
	if err := c.send(k, now); err != nil {
		return nil, err
	}
	// A little later than the deadline that the signer is told: if both are
	// there, its answer is the better one.
	k.timer.Reset(c.cfg.Timeout)
	defer k.timer.Stop()
	select {
	case res := <-k.done:
		return res.payload, res.err
	case <-ctx.Done():
		return c.forget(k, given(ctx.Err()))
	case <-k.timer.C:
		return c.forget(k, c.late())
	}
}

// late is the error of a call whose time is over.
func (c *Client) late() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != nil {
		return fmt.Errorf("%w: no connection within %v: %w", ErrUnavailable, c.cfg.Timeout, c.why)
	}
	return fmt.Errorf("%w: no answer within %v", ErrUnavailable, c.cfg.Timeout)
}

// given is the error of a call that its context ended.
func given(cause error) error { return fmt.Errorf("%w: %w", ErrUnavailable, cause) }

// forget ends a call without an answer, unless the answer is on its way
// already.
func (c *Client) forget(k *call, err error) ([]byte, error) {
	c.mu.Lock()
	_, mine := c.pending[k.req.id]
	delete(c.pending, k.req.id)
	c.mu.Unlock()
	if !mine {
		res := <-k.done
		return res.payload, res.err
	}
	return nil, err
}

// send gives the call an id and hands it to the connection, if there is one;
// if not, the next connection begins with it.
func (c *Client) send(k *call, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	c.next++
	k.req.id = c.next
	c.pending[k.req.id] = k
	if c.up {
		c.frame(k, now)
		c.poke()
	}
	return nil
}

// frame appends a call to what is to be written. The caller holds mu.
func (c *Client) frame(k *call, now time.Time) {
	k.sends++
	k.req.wait = k.deadline.Sub(now)
	c.out = appendRequest(c.out, &k.req)
}

func (c *Client) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// deliver ends the call that an answer belongs to. One that nobody waits for
// any more is dropped.
func (c *Client) deliver(r response) {
	c.mu.Lock()
	k := c.pending[r.id]
	delete(c.pending, r.id)
	c.mu.Unlock()
	if k == nil {
		return
	}
	if r.status == statusOK {
		k.done <- result{payload: r.payload}
	} else {
		k.done <- result{err: r.status.failure(string(r.payload))}
	}
}

// failAll ends all calls with an error.
func (c *Client) failAll(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, k := range c.pending {
		delete(c.pending, id)
		k.done <- result{err: err}
	}
}

// run keeps a connection until Close.
func (c *Client) run() {
	pause := minPause
	told := false // the log knows that there is no connection
	for c.ctx.Err() == nil {
		conn, err := c.connect()
		if err == nil {
			c.log.Info("connected to the signer", "socket", c.cfg.Socket)
			pause, told = minPause, false
			err = c.converse(conn)
		}
		if c.ctx.Err() != nil {
			return
		}
		c.mu.Lock()
		c.why = err
		c.mu.Unlock()
		if !told {
			c.log.Warn("no connection to the signer", "socket", c.cfg.Socket, "err", err)
			told = true
		}
		if final(err) {
			// Time does not mend it. Say so, rather than let callers wait.
			c.failAll(err)
			pause = maxPause
		}
		select {
		case <-c.ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, maxPause)
	}
}

// dial is one attempt to reach the socket and somebody trusted behind it.
func (c *Client) dial() (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(c.ctx, "unix", c.cfg.Socket)
	if err != nil {
		return nil, err
	}
	server, err := peerOf(conn.(*net.UnixConn))
	if err == nil {
		err = c.cfg.trusts(server.uid, uint32(os.Geteuid()))
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// trusts refuses a server of another user: who can put a socket at the path
// would be believed whatever he answers, and be given what is to be opened.
func (cfg *ClientConfig) trusts(server, self uint32) error {
	if server == self || server == 0 || slices.Contains(cfg.Users, server) {
		return nil
	}
	return fmt.Errorf("%w: %s: user id %d", ErrImpostor, cfg.Socket, server)
}
