package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// socketDir is short enough for a socket's path wherever tests run.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestAdminSocketIsTheOwnersOnlyAndGoesAway(t *testing.T) {
	dir := socketDir(t)
	path := filepath.Join(dir, "admin.sock")
	l, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode().Type() != os.ModeSocket || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", fi.Mode())
	}
	if _, err := ListenUnix(path); !errors.Is(err, ErrSocketInUse) {
		t.Errorf("second listener on a live socket: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestASocketThatADeadProcessLeftIsReplaced(t *testing.T) {
	path := filepath.Join(socketDir(t), "admin.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestAFileInTheSocketsPlaceIsLeftAlone(t *testing.T) {
	path := filepath.Join(socketDir(t), "admin.sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := ListenUnix(path); err == nil {
		_ = l.Close()
		t.Fatal("listened over a file")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "precious" {
		t.Errorf("the file is %q, %v", got, err)
	}
}

func TestServeLetsRunningRequestsFinish(t *testing.T) {
	path := filepath.Join(socketDir(t), "s")
	unix, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	release := make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(started)
		<-release
		_, _ = io.WriteString(w, "done")
	})
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, slog.New(slog.DiscardHandler), Endpoint{tcp, h}, Endpoint{unix, http.NotFoundHandler()})
	}()
	answered := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + tcp.Addr().String())
		if err != nil {
			answered <- err.Error()
			return
		}
		defer func() { _ = resp.Body.Close() }()
		body, _ := io.ReadAll(resp.Body)
		answered <- string(body)
	}()
	<-started
	stop()
	select {
	case err := <-served:
		t.Fatalf("Serve returned %v before the request was answered", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if got := <-answered; got != "done" {
		t.Errorf("answer %q", got)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// TestServeRefusesNewRequestsOnAllListenersWhileOneFinishes: what runs on one
// listener neither keeps another open nor is cut off by it.
func TestServeRefusesNewRequestsOnAllListenersWhileOneFinishes(t *testing.T) {
	started, release := make(chan struct{}, 2), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		started <- struct{}{}
		<-release
		_, _ = io.WriteString(w, "done")
	})
	var endpoints []Endpoint
	answered := make(chan string, 2)
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		endpoints = append(endpoints, Endpoint{l, h})
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, slog.New(slog.DiscardHandler), endpoints...) }()
	for _, e := range endpoints {
		go func() {
			resp, err := http.Get("http://" + e.Listener.Addr().String())
			if err != nil {
				answered <- err.Error()
				return
			}
			defer func() { _ = resp.Body.Close() }()
			body, _ := io.ReadAll(resp.Body)
			answered <- string(body)
		}()
	}
	<-started
	<-started
	stop()
	for _, e := range endpoints {
		refused := false
		for range 200 {
			conn, err := net.Dial("tcp", e.Listener.Addr().String())
			if refused = err != nil; refused {
				break
			}
			_ = conn.Close()
			time.Sleep(5 * time.Millisecond)
		}
		if !refused {
			t.Errorf("%s still takes connections", e.Listener.Addr())
		}
	}
	close(release)
	for range endpoints {
		if got := <-answered; got != "done" {
			t.Errorf("a request that ran was answered %q", got)
		}
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestServeDoesNotWaitForEver(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started, ended := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
		close(ended)
	})
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, slog.New(slog.DiscardHandler), 50*time.Millisecond, Endpoint{l, h}) }()
	go func() { _, _ = http.Get("http://" + l.Addr().String()) }()
	<-started
	stop()
	if err := <-served; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Serve: %v", err)
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the request that was cut off does not know")
	}
}

func TestServeEndsWhenOneListenerFails(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	h := http.NotFoundHandler()
	if err := Serve(t.Context(), slog.New(slog.DiscardHandler), Endpoint{tcp, h}, Endpoint{other, h}); err == nil {
		t.Error("Serve returned nil although a listener failed")
	}
}
