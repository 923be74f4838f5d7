package signer

import (
	"sync/atomic"
	"time"
)

// Stats are a server's counters since it was made.
type Stats struct {
	Connections int           // open now
	Refused     uint64        // connections of strangers, and those too many
	Waiting     int           // requests that wait for a session now
	Waited      uint64        // requests that have waited
	WaitTime    time.Duration // of all of them together
	Requests    []RequestCount
}

// RequestCount is how many requests for one operation had one outcome.
type RequestCount struct {
	Op      string // "blind_sign", "sign", "open", "check", "list", "unknown"
	Outcome string // "ok", "input", "unknown_key", "sealed", "busy", "unavailable", "failed"
	Count   uint64
}

type stats struct {
	refused  atomic.Uint64
	waits    atomic.Uint64
	waitTime atomic.Int64
	requests [ops][statuses]atomic.Uint64
}

func (s *stats) waited(d time.Duration) {
	s.waits.Add(1)
	s.waitTime.Add(int64(d))
}

func (s *stats) answered(o op, st status) {
	if o >= ops {
		o = 0
	}
	s.requests[o][st].Add(1)
}

// Stats returns the counters as they are now. Outcomes that did not occur
// are left out.
func (s *Server) Stats() Stats {
	s.connMu.Lock()
	n := len(s.conns)
	s.connMu.Unlock()
	out := Stats{
		Connections: n,
		Refused:     s.stats.refused.Load(),
		Waiting:     int(s.waiting.Load()),
		Waited:      s.stats.waits.Load(),
		WaitTime:    time.Duration(s.stats.waitTime.Load()),
	}
	for o := range s.stats.requests {
		for st := range s.stats.requests[o] {
			if c := s.stats.requests[o][st].Load(); c > 0 {
				out.Requests = append(out.Requests, RequestCount{op(o).String(), status(st).String(), c})
			}
		}
	}
	return out
}
