package signer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// limits of a server. Of conns and waiting each user who is let in has an
// equal part, which the others can't take from him.
type limits struct {
	conns   int           // at a time; a process needs one
	share   int           // requests of one connection that are not answered yet
	waiting int           // requests of all connections that wait for a token
	greet   time.Duration // for a peer that does not greet
	write   time.Duration // for a peer that does not read its answers
	drain   time.Duration // for what is in flight when the server stops
}

func defaultLimits() limits {
	return limits{
		conns: 64, share: 256, waiting: 1024,
		greet: 5 * time.Second, write: 30 * time.Second, drain: 10 * time.Second,
	}
}

// acceptPause is between two attempts to accept, if one has failed.
const acceptPause = 50 * time.Millisecond

// ServerConfig is what a server is made of.
type ServerConfig struct {
	// Tokens are served from; at least one. No key and no AES label may be on
	// two of them.
	Tokens []Token
	// Users are the numeric user ids that are let in besides the server's own.
	Users []uint32
	// Logger is silent if nil.
	Logger *slog.Logger
}

// Server answers requests with the keys of its tokens.
type Server struct {
	limits limits
	self   uint32 // the user id that is always let in
	users  []uint32
	parts  int // how many users there are
	who    func(*net.UnixConn) (peer, error)
	log    *slog.Logger
	lanes  []*lane
	ring   *keyring
	stats  stats

	connMu sync.Mutex
	conns  map[*conn]struct{}
	loads  map[uint32]*load // of each user who came, by id
	wait   sync.WaitGroup   // for connections

	waiting atomic.Int64
}

// A load is what one user has at the server.
type load struct {
	conns   int          // guarded by Server.connMu
	waiting atomic.Int64 // requests that wait for a token
}

// NewServer audits the keys of all tokens. It returns the errors of
// Token.Keys, and ErrInput for a configuration without tokens or with one key
// on two of them.
func NewServer(ctx context.Context, cfg ServerConfig) (*Server, error) {
	if len(cfg.Tokens) == 0 {
		return nil, fmt.Errorf("%w: no token", ErrInput)
	}
	s := &Server{
		limits: defaultLimits(), self: uint32(os.Geteuid()), users: cfg.Users,
		log: cfg.Logger, conns: make(map[*conn]struct{}), loads: make(map[uint32]*load),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	named := append(slices.Clone(cfg.Users), s.self)
	slices.Sort(named)
	s.parts, s.who = len(slices.Compact(named)), peerOf
	for _, t := range cfg.Tokens {
		s.lanes = append(s.lanes, newLane(t))
	}
	s.ring = newKeyring(s.lanes, s.log)
	if err := s.ring.load(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Serve serves the connections of l until ctx ends. Then it takes no more
// requests, answers those that it has, for up to ten seconds, and returns
// nil. It closes l in every case, and may be called once.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	var workers sync.WaitGroup
	for _, lane := range s.lanes {
		for range lane.token.Sessions() {
			workers.Go(func() { s.work(lane) })
		}
	}
	workers.Go(func() { s.ring.run(work) })

	unblock := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer unblock()
	err := s.accept(ctx, work, l)
	_ = l.Close()

	s.drain()
	stopWork() // only now: what was in flight is answered, or out of time
	for _, lane := range s.lanes {
		lane.close()
	}
	workers.Wait()
	return err
}

// accept lets connections in until the listener closes. work outlives ctx: it
// is what requests run under.
func (s *Server) accept(ctx, work context.Context, l *net.UnixListener) error {
	for {
		c, err := l.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = c.Close() // its client comes again
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("%w: listener closed", ErrSocket)
		case err != nil: // out of file descriptors, or the peer has gone already
			s.log.Warn("connection not accepted", "err", err)
			time.Sleep(acceptPause)
			continue
		}
		s.admit(work, c)
	}
}

// admit starts serving a connection, unless its peer is a stranger or there
// are too many. Nothing of a stranger is read.
func (s *Server) admit(ctx context.Context, c *net.UnixConn) {
	peer, err := s.who(c)
	if err == nil && peer.uid != s.self && !slices.Contains(s.users, peer.uid) {
		err = ErrForbidden // root too, unless it is named
	}
	if err != nil {
		s.stats.refused.Add(1)
		s.log.Warn("connection refused", "pid", peer.pid, "uid", peer.uid, "err", err)
		_ = c.SetWriteDeadline(time.Now().Add(s.limits.greet))
		_, _ = c.Write([]byte(goodbye))
		_ = c.Close()
		return
	}
	s.connMu.Lock()
	user := s.loads[peer.uid]
	if user == nil {
		user = new(load)
		s.loads[peer.uid] = user
	}
	conn := newConn(ctx, s, c, peer, user)
	full := len(s.conns) >= s.limits.conns || user.conns >= s.part(s.limits.conns)
	if !full {
		s.conns[conn] = struct{}{}
		user.conns++
		s.wait.Add(1)
	}
	s.connMu.Unlock()
	if full {
		s.stats.refused.Add(1)
		s.log.Warn("connection refused: too many", "pid", peer.pid, "uid", peer.uid)
		conn.abort()
		return
	}
	s.log.Info("connection", "pid", peer.pid, "uid", peer.uid)
	go func() {
		defer s.wait.Done()
		conn.serve()
		s.connMu.Lock()
		delete(s.conns, conn)
		user.conns--
		s.connMu.Unlock()
	}()
}

// part is what one user may take of all there is.
func (s *Server) part(all int) int { return max(1, all/s.parts) }

// drain ends all connections: each when what it has asked is answered, all
// when time is up.
func (s *Server) drain() {
	s.connMu.Lock()
	for c := range s.conns {
		c.stopReading()
	}
	s.connMu.Unlock()
	late := time.AfterFunc(s.limits.drain, func() {
		s.connMu.Lock()
		defer s.connMu.Unlock()
		for c := range s.conns {
			s.log.Warn("requests given up at stop", "pid", c.peer.pid)
			c.abort()
		}
	})
	s.wait.Wait()
	late.Stop()
}

// work is one session's worth of one token.
func (s *Server) work(l *lane) {
	for {
		j, ok := l.pop()
		if !ok {
			return
		}
		s.waiting.Add(-1)
		j.conn.user.waiting.Add(-1)
		j.conn.waiting.Add(-1)
		now := time.Now()
		s.stats.waited(now.Sub(j.since))
		if j.conn.ctx.Err() != nil || now.After(j.deadline) {
			// Nobody waits for it any more.
			j.conn.answer(j.req, nil, context.DeadlineExceeded)
			continue
		}
		ctx, cancel := context.WithDeadline(j.conn.ctx, j.deadline)
		payload, err := j.do(ctx)
		cancel()
		j.conn.answer(j.req, payload, err)
	}
}

// dispatch puts a request where it will be answered.
func (s *Server) dispatch(c *conn, r *request) {
	if r.op == opList {
		s.ring.list(c, r)
		return
	}
	lane, do, err := s.ring.find(r)
	if err != nil {
		c.answer(r, nil, err)
		return
	}
	all, own := s.waiting.Add(1), c.user.waiting.Add(1)
	if all > int64(s.limits.waiting) || own > int64(s.part(s.limits.waiting)) {
		s.waiting.Add(-1)
		c.user.waiting.Add(-1)
		c.answer(r, nil, ErrBusy)
		return
	}
	c.waiting.Add(1)
	now := time.Now()
	s.lanes[lane].push(&c.queues[lane], job{conn: c, req: r, do: do, deadline: now.Add(r.wait), since: now})
}

// Check lets one key of every token that has one do a real operation.
func (s *Server) Check(ctx context.Context) error {
	checked := make(map[int]bool)
	for _, e := range s.ring.table.Load().keys {
		if checked[e.lane] {
			continue
		}
		checked[e.lane] = true
		var err error
		if e.digest != nil {
			err = e.digest.Check(ctx)
		} else {
			err = e.blind.Check(ctx)
		}
		if err != nil {
			return fmt.Errorf("token %s: %w", s.lanes[e.lane].token.Name(), err)
		}
	}
	return nil
}
