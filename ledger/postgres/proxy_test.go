package postgres

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a driver and the real server and does one thing wrong,
// once.
type proxy struct {
	server string // the real socket
	url    string // of the same database, through the proxy
	made   atomic.Int64
	fault  atomic.Pointer[injury]
	always atomic.Bool                       // the fault stays
	alter  atomic.Pointer[func([]byte) bool] // changes what the server says
	done   sync.WaitGroup
}

// injury is what becomes of a COMMIT, or of what else is asked in one simple
// query.
type injury struct {
	at       string // the statement that it waits for, COMMIT if empty
	instead  string // what the server is told; nothing if empty
	answer   []byte // what the client hears; nil: the connection is lost
	asWell   bool   // the server's own answer comes after
	happened bool   // whether the transaction was committed
}

func (f *injury) statement() string {
	if f.at == "" {
		return "COMMIT"
	}
	return f.at
}

// through starts a proxy to the database at dsn.
func through(t *testing.T, dsn string) *proxy {
	t.Helper()
	u, err := url.Parse(dsn)
	must(t, err)
	q := u.Query()
	// Not t.TempDir: a socket's path is short.
	dir, err := os.MkdirTemp("", "specie-proxy")
	must(t, err)
	p := &proxy{server: filepath.Join(q.Get("host"), ".s.PGSQL.5432")}
	q.Set("host", dir)
	u.RawQuery = q.Encode()
	p.url = u.String()
	listener, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	must(t, err)
	p.done.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", p.server)
			if err != nil {
				client.Close()
				continue
			}
			p.made.Add(1)
			p.done.Go(func() { p.serve(client, server) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.done.Wait()
		os.RemoveAll(dir)
	})
	return p
}

// frame reads one message; the first of a client has no type.
func frame(r io.Reader, typed bool) (kind byte, whole []byte, err error) {
	head := make([]byte, 5)
	if !typed {
		head = head[:4]
	}
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint32(head[len(head)-4:])) - 4
	whole = append(head, make([]byte, n)...)
	_, err = io.ReadFull(r, whole[len(head):])
	return whole[0], whole, err
}

func message(kind byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)), body...)
}

// complaint is an ErrorResponse ('E') or a NoticeResponse ('N').
func complaint(kind byte, severity, code string) []byte {
	return message(kind, "S"+severity+"\x00V"+severity+"\x00C"+code+"\x00Minjected\x00\x00")
}

func (p *proxy) serve(client, server net.Conn) {
	defer client.Close()
	defer server.Close()
	var swallow atomic.Pointer[injury]
	p.done.Go(func() {
		defer client.Close()
		for {
			kind, whole, err := frame(server, true)
			if err != nil {
				return
			}
			if alter := p.alter.Load(); alter != nil {
				(*alter)(whole)
			}
			if f := swallow.Load(); f != nil {
				if f.asWell {
					client.Write(f.answer)
					swallow.Store(nil)
				} else if kind != 'Z' {
					continue
				} else if f.answer == nil {
					return
				} else {
					client.Write(f.answer)
					swallow.Store(nil)
				}
			}
			client.Write(whole)
		}
	})
	for typed := false; ; typed = true {
		kind, whole, err := frame(client, typed)
		if err != nil {
			return
		}
		if f := p.fault.Load(); f != nil && typed && kind == 'Q' && strings.HasPrefix(string(whole[5:]), f.statement()) &&
			(p.always.Load() || p.fault.CompareAndSwap(f, nil)) {
			if f.instead == "" {
				return
			}
			swallow.Store(f)
			whole = message('Q', f.instead+"\x00")
		}
		server.Write(whole)
	}
}

// replace lets the server say new where it says old, of the same length.
func (p *proxy) replace(old, new string) {
	f := func(b []byte) bool {
		i := bytes.Index(b, []byte(old))
		if i >= 0 {
			copy(b[i:], new)
		}
		return i >= 0
	}
	p.alter.Store(&f)
}
