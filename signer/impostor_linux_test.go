package signer_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/speciecash/specie/signer"
)

func TestAClientKnowsWhoMayServe(t *testing.T) {
	for _, c := range []struct {
		name         string
		server, self uint32
		users        []uint32
		want         error
	}{
		{"its own user", 1000, 1000, nil, nil},
		{"root", 0, 1000, nil, nil},
		{"the user that is named", 1001, 1000, []uint32{1002, 1001}, nil},
		{"another", 1001, 1000, nil, signer.ErrImpostor},
		{"another than the one that is named", 1003, 1000, []uint32{1001}, signer.ErrImpostor},
		{"another, at root's client", 1001, 0, nil, signer.ErrImpostor},
	} {
		if got := signer.Trusts(signer.ClientConfig{Users: c.users}, c.server, c.self); !errors.Is(got, c.want) {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}

// listenAs makes a listening socket as another user: the kernel notes who
// calls listen(2).
func listenAs(t *testing.T, uid int, path string) *net.UnixListener {
	t.Helper()
	type made struct {
		fd  int
		err error
	}
	done := make(chan made)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its user
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			done <- made{-1, errno}
			return
		}
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err == nil {
			err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: path})
		}
		if err == nil {
			err = syscall.Listen(fd, 8)
		}
		done <- made{fd, err}
	}()
	m := <-done
	check(t, m.err)
	f := os.NewFile(uintptr(m.fd), path)
	defer f.Close()
	l, err := net.FileListener(f)
	check(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.(*net.UnixListener)
}

// TestNothingIsSaidToAnImpostor needs root, as CI has it, to be somebody else.
func TestNothingIsSaidToAnImpostor(t *testing.T) {
	const nobody = 65534
	if os.Geteuid() != 0 {
		t.Log("not root: another user can't be played; the test above has the rule")
		return
	}
	// In /tmp: nobody must get there.
	dir, err := os.MkdirTemp("/tmp", "signer")
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	check(t, os.Chmod(dir, 0o777))
	h := &house{t: t, path: filepath.Join(dir, "s.sock")}
	l := listenAs(t, nobody, h.path)
	heard := make(chan int, 64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte(signer.Hello))
			n, _ := c.Read(make([]byte, 1024))
			heard <- n
			_ = c.Close()
		}
	}()
	kid, m := message(t, bench.coins[0])
	c := h.client(nil)
	within(t, 5*time.Second, "a refusal", func() {
		_, err := c.BlindSign(t.Context(), kid, m)
		expect(t, err, signer.ErrImpostor)
	})
	if n := <-heard; n != 0 {
		t.Errorf("the impostor was told %d bytes", n)
	}
	check(t, c.Close())
	for len(heard) > 0 {
		<-heard
	}
	// The one that is named is spoken to.
	h.client(func(cfg *signer.ClientConfig) { cfg.Users = []uint32{nobody} })
	within(t, 5*time.Second, "a greeting", func() {
		for <-heard != len(signer.Hello) {
		}
	})
}
