package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Times and sizes of every listener: a client that is slow on purpose holds a
// connection for seconds, not for ever.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 10 * time.Second
	maxHeaderBytes    = 16 << 10
)

// Endpoint is a listener and what it serves.
type Endpoint struct {
	Listener net.Listener
	Handler  http.Handler
}

// Serve serves all endpoints until ctx ends, then takes no new request on any
// of them and lets those that run finish for up to ten seconds; what is not
// done then is cut off. It closes the listeners in every case and returns nil
// after an orderly end.
func Serve(ctx context.Context, log *slog.Logger, endpoints ...Endpoint) error {
	return serve(ctx, log, shutdownTimeout, endpoints...)
}

func serve(ctx context.Context, log *slog.Logger, patience time.Duration, endpoints ...Endpoint) error {
	failed := make(chan error, len(endpoints))
	servers := make([]*http.Server, len(endpoints))
	for i, e := range endpoints {
		srv := newHTTPServer(e.Handler, log)
		servers[i] = srv
		go func() { failed <- srv.Serve(e.Listener) }()
	}
	var errs []error
	stopped := 0
	select {
	case <-ctx.Done():
	case err := <-failed:
		stopped++
		errs = append(errs, fmt.Errorf("serve: %w", err))
	}
	log.Info("shutting down", "patience", patience)
	errs = append(errs, shutDown(context.WithoutCancel(ctx), patience, servers)...)
	for ; stopped < len(endpoints); stopped++ {
		if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, fmt.Errorf("serve: %w", err))
		}
	}
	return errors.Join(errs...)
}

// shutDown ends all servers at the same time: one that has a long request to
// finish must not keep another one open, nor use up its time.
func shutDown(ctx context.Context, patience time.Duration, servers []*http.Server) []error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	errs := make([]error, len(servers))
	var all sync.WaitGroup
	for i, srv := range servers {
		all.Go(func() {
			if err := srv.Shutdown(ctx); err != nil {
				errs[i] = fmt.Errorf("shut down: %w", err)
				_ = srv.Close()
			}
		})
	}
	all.Wait()
	return errs
}

func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// ErrSocketInUse means that another process answers on the UNIX socket.
var ErrSocketInUse = errors.New("server: another process listens on this socket")

// ListenUnix listens on a UNIX socket with mode 0600: who can open it is the
// daemon's own user. A socket that a dead process left behind is replaced; a
// live one gives [ErrSocketInUse]. Closing the listener removes the socket.
func ListenUnix(path string) (net.Listener, error) {
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%w: %s", ErrSocketInUse, path)
	}
	if fi, err := os.Lstat(path); err == nil && fi.Mode().Type() != os.ModeSocket {
		return nil, fmt.Errorf("server: %s exists and is not a socket", path)
	}
	// Bound inside a directory that nobody else can enter, narrowed, then
	// moved: at no moment can a stranger open it.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, fmt.Errorf("server: admin socket: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	inner := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: inner, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("server: admin socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(inner, 0o600), os.Rename(inner, path)); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("server: admin socket: %w", err)
	}
	return &unixListener{Listener: l, path: path}, nil
}

// unixListener removes the socket under the name it was moved to.
type unixListener struct {
	net.Listener
	path string
}

// Close stops listening and removes the socket.
func (l *unixListener) Close() error {
	err := l.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	return errors.Join(err, os.Remove(l.path))
}
