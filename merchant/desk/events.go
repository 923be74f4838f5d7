package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/speciecash/specie/merchant"
)

// Bounds of the streams.
const (
	maxStreams = 32
	heartbeat  = 15 * time.Second
)

// stream is one reader's.
type stream struct {
	d    *Desk
	r    *http.Request // who listens: he may sign out, or lose his key
	w    http.ResponseWriter
	c    *http.ResponseController
	last []byte // the till as it was told last
}

// events sends sales as they go on, from Last-Event-ID or from now, and the till as
// it changes (Server-Sent Events, WHATWG HTML §9.2).
func (d *Desk) events(w http.ResponseWriter, r *http.Request) {
	select {
	case d.streams <- struct{}{}:
		defer func() { <-d.streams }()
	default:
		d.problem(w, fail(http.StatusServiceUnavailable, "unavailable", "too many pages are open; close some"))
		return
	}
	after, err := d.startAt(r)
	if err != nil {
		d.problem(w, err)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s := &stream{d: d, r: r, w: w, c: http.NewResponseController(w)}
	_ = s.c.SetReadDeadline(time.Time{}) // the request is read; the stream has no end
	if err := s.run(ctx, after); err != nil && ctx.Err() == nil {
		d.Log.Info("desk: a stream of events ended", "err", err)
	}
}

// startAt is the event after which a stream begins. A number that this till has not
// come to is of another till's file.
func (d *Desk) startAt(r *http.Request) (int64, error) {
	newest, err := d.Till.LastEvent(r.Context())
	if err != nil {
		return 0, err
	}
	if text := r.Header.Get("Last-Event-ID"); text != "" {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 && n <= newest {
			return n, nil
		}
	}
	return newest, nil
}

func (s *stream) run(ctx context.Context, after int64) error {
	events := s.d.Till.Watch(ctx, after)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	changed := s.d.Till.Changed()
	if err := s.till(ctx, after); err != nil {
		return err
	}
	for {
		var err error
		select {
		case e, ok := <-events:
			if !ok {
				return ctx.Err()
			}
			after = e.Seq
			err = s.sale(ctx, e)
		case <-changed:
			changed = s.d.Till.Changed()
			err = s.till(ctx, after)
		case <-beat.C:
			if err = s.till(ctx, after); err == nil {
				err = s.send([]byte(": \n\n"))
			}
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// sale sends the sale of an event as it is now.
func (s *stream) sale(ctx context.Context, e merchant.Event) error {
	found, err := s.d.Till.Sale(ctx, [32]byte(e.Offer))
	if err != nil {
		return err
	}
	shown, err := s.d.offered(found)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(shown)
	if err != nil {
		return err
	}
	return s.event("sale", e.Seq, raw)
}

// till sends the till, if it is not as it was told last.
func (s *stream) till(ctx context.Context, seq int64) error {
	info, err := s.d.Till.Info(ctx)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(info)
	if err != nil || bytes.Equal(raw, s.last) {
		return err
	}
	s.last = raw
	return s.event("till", seq, raw)
}

func (s *stream) event(name string, seq int64, data []byte) error {
	return s.send(fmt.Appendf(nil, "id: %d\nevent: %s\ndata: %s\n\n", seq, name, data))
}

// send writes to who still may listen, and waits for him so long and no longer.
func (s *stream) send(b []byte) error {
	if err := s.d.mayAsk(s.r); err != nil {
		return err
	}
	if err := s.c.SetWriteDeadline(time.Now().Add(s.d.Patience)); err != nil {
		return err
	}
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	if err := s.c.Flush(); err != nil {
		return err
	}
	// HTTP/2 ends a stream at its deadline, whether anything is being written or not.
	return s.c.SetWriteDeadline(time.Time{})
}
