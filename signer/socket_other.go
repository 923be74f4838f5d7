//go:build !linux

package signer

import (
	"fmt"
	"net"
	"runtime"
	"syscall"
)

type peer struct {
	pid int32
	uid uint32
}

// peerOf knows nobody here, so nobody is let in.
func peerOf(*net.UnixConn) (peer, error) {
	return peer{}, fmt.Errorf("%w: no peer credentials on %s", ErrForbidden, runtime.GOOS)
}

// tryWrite leaves everything to the writer.
func tryWrite(syscall.RawConn, []byte) (int, error) { return 0, nil }

// Socket is a listener with a name in the file system. There is none here.
type Socket struct{ *net.UnixListener }

// Listen refuses with ErrSocket: without peer credentials anybody who opens
// the socket could sign.
func Listen(string, int) (*Socket, error) {
	return nil, fmt.Errorf("%w: a signer needs peer credentials, which %s lacks", ErrSocket, runtime.GOOS)
}

// Remove does nothing.
func (*Socket) Remove() error { return nil }
