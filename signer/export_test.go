package signer

import (
	"net"
	"time"
)

// The server's limits, for tests that reach them.

func (s *Server) SetSelf(uid uint32)              { s.self = uid }
func (s *Server) SetWriteTimeout(d time.Duration) { s.limits.write = d }
func (s *Server) SetGreetTimeout(d time.Duration) { s.limits.greet = d }
func (s *Server) SetShare(n int)                  { s.limits.share = n }
func (s *Server) SetWaiting(n int)                { s.limits.waiting = n }
func (s *Server) SetConns(n int)                  { s.limits.conns = n }
func (s *Server) SetDrainTimeout(d time.Duration) { s.limits.drain = d }
func (s *Server) SetPause(d time.Duration)        { s.ring.pause = d }

// SetPeers has the server see connections of other users.
func (s *Server) SetPeers(uid func() uint32) {
	s.who = func(*net.UnixConn) (peer, error) { return peer{uid: uid()}, nil }
}

// Drop breaks all connections, as a crash does.
func (s *Server) Drop() {
	s.connMu.Lock()
	defer s.connMu.Unlock()
	for c := range s.conns {
		c.abort()
	}
}

// Trusts tells whether a client of user self talks to a server.
func Trusts(cfg ClientConfig, server, self uint32) error { return cfg.trusts(server, self) }

const (
	Hello       = hello
	HelloBefore = helloBefore
	Goodbye     = goodbye
	MaxSends    = maxSends
)

// BatchRequest is the frame of a batch under one key.
func BatchRequest(id uint64, key ID, wait time.Duration, messages ...[]byte) []byte {
	r := &request{id: id, op: opBatch, wait: wait}
	for _, m := range messages {
		r.batch = append(r.batch, blinded{key, m})
	}
	return appendRequest(nil, r)
}

// BlindRequest is a request's frame, for tests that speak by themselves.
func BlindRequest(id uint64, key ID, wait time.Duration, m []byte) []byte {
	return appendRequest(nil, &request{id: id, op: opBlind, wait: wait, key: key, body: m})
}
