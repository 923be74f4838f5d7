package signer

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// A peer is the process at the other end, as the kernel saw it when it
// connected.
type peer struct {
	pid int32
	uid uint32
}

// peerOf asks the kernel (SO_PEERCRED, unix(7)).
func peerOf(c *net.UnixConn) (peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return peer{}, fmt.Errorf("%w: peer credentials: %w", ErrForbidden, err)
	}
	var cred *syscall.Ucred
	var cerr error
	err = raw.Control(func(fd uintptr) {
		cred, cerr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, cerr); err != nil {
		return peer{}, fmt.Errorf("%w: peer credentials: %w", ErrForbidden, err)
	}
	return peer{pid: cred.Pid, uid: cred.Uid}, nil
}

// tryWrite writes what the peer has room for, and does not wait.
func tryWrite(c syscall.RawConn, b []byte) (n int, err error) {
	var werr error
	err = c.Write(func(fd uintptr) bool {
		n, werr = syscall.Write(int(fd), b)
		return true
	})
	if errors.Is(werr, syscall.EAGAIN) || errors.Is(werr, syscall.EINTR) {
		return 0, err
	}
	return max(n, 0), errors.Join(err, werr)
}

// Listen makes the signer's socket at path, for this process's user alone
// (mode 0600), or for a group too (0660) if gid is not negative. The
// directory must exist, belong to this user or root, and not be writable by
// others. One process has a path: it holds a lock on the file PATH.lock, and a
// socket that a dead one left behind is replaced. Closing the listener does
// not remove the socket: a worker that inherited it goes on; see Remove. All
// refusals are ErrSocket.
func Listen(path string, gid int) (*Socket, error) {
	dir, name := filepath.Split(path)
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	l, err := bind(dir, name, gid)
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("%w: %w", ErrSocket, err)
	}
	return &Socket{UnixListener: l, path: path, lock: lock}, nil
}

// checkDir: who can write to the directory can put a socket of his own there,
// and be asked to sign, or take ours away.
func checkDir(dir string) error {
	info, err := os.Stat(filepath.Clean(dir))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSocket, err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch perm := info.Mode().Perm(); {
	case !info.IsDir() || !ok:
		return fmt.Errorf("%w: %s is not a directory", ErrSocket, dir)
	case perm&0o022 != 0:
		return fmt.Errorf("%w: directory %s has mode %04o; others than its owner may write to it (chmod go-w)", ErrSocket, dir, perm)
	case st.Uid != uint32(os.Geteuid()) && st.Uid != 0:
		return fmt.Errorf("%w: directory %s belongs to user id %d", ErrSocket, dir, st.Uid)
	}
	return nil
}

// lockFile holds the lock until the file is closed or the process ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSocket, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%w: %s: another signer has it: %w", ErrSocket, path, err)
	}
	return f, nil
}

// bind makes the socket in a directory that nobody else can enter, narrows
// it and moves it to its place: at no moment can a stranger open it.
func bind(dir, name string, gid int) (l *net.UnixListener, err error) {
	path := filepath.Join(dir, name)
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != os.ModeSocket {
		return nil, fmt.Errorf("%s exists and is not a socket", path)
	}
	private, err := os.MkdirTemp(filepath.Clean(dir), ".s")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(private)) }()
	// By the directory's descriptor: a socket's name has 107 bytes at most,
	// and the longer one here must not be what limits path.
	d, err := os.Open(private)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	inner := "/proc/self/fd/" + strconv.Itoa(int(d.Fd())) + "/s"
	if l, err = net.ListenUnix("unix", &net.UnixAddr{Name: inner, Net: "unix"}); err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	mode := os.FileMode(0o600)
	if gid >= 0 {
		mode, err = 0o660, os.Chown(inner, -1, gid)
	}
	if err = errors.Join(err, os.Chmod(inner, mode), os.Rename(inner, path)); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// A Socket is a listener with a name in the file system.
type Socket struct {
	*net.UnixListener
	path string
	lock *os.File
}

// Remove closes the listener and removes the socket.
func (s *Socket) Remove() error {
	err := s.UnixListener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, os.Remove(s.path), s.lock.Close())
}
