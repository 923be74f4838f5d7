package signer_test

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/speciecash/specie/signer"
)

// A wire speaks the protocol by hand, as a client that is broken or worse.
type wire struct {
	*net.UnixConn
	t testing.TB
}

type answer struct {
	id      uint64
	status  string
	payload string
}

// dial connects and says nothing.
func (h *house) dial() *wire {
	h.t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: h.path, Net: "unix"})
	check(h.t, err)
	h.t.Cleanup(func() { _ = c.Close() })
	return &wire{c, h.t}
}

// greeted connects and greets.
func (h *house) greeted() *wire {
	h.t.Helper()
	w := h.dial()
	if got := w.take(len(signer.Hello)); got != signer.Hello {
		h.t.Fatalf("greeted with %q", got)
	}
	_, err := w.Write([]byte(signer.Hello))
	check(h.t, err)
	return w
}

// take reads n bytes, or fewer if the stream ends before.
func (w *wire) take(n int) string {
	w.t.Helper()
	check(w.t, w.SetReadDeadline(time.Now().Add(10*time.Second)))
	b := make([]byte, n)
	got, err := io.ReadFull(w, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		w.t.Fatal(err)
	}
	return string(b[:got])
}

func (w *wire) answer() answer {
	w.t.Helper()
	n := binary.BigEndian.Uint32([]byte(w.take(4)))
	b := w.take(int(n))
	names := []string{"ok", "input", "unknown_key", "sealed", "busy", "unavailable", "failed"}
	return answer{binary.BigEndian.Uint64([]byte(b)), names[b[8]], b[9:]}
}

// ended tells whether the server has closed the connection, with nothing
// more to read.
func (w *wire) ended() bool {
	w.t.Helper()
	check(w.t, w.SetReadDeadline(time.Now().Add(10*time.Second)))
	n, err := w.Read(make([]byte, 1))
	ne, ok := err.(net.Error)
	return n == 0 && err != nil && (!ok || !ne.Timeout())
}
