package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	headerSize = 10 // tag 2, size 4, response code 4
	// maxResponse is the largest response that is read, in bytes: the buffer of
	// the Linux driver, and above what any TPM command answers.
	maxResponse = 4096
	// dialTimeout bounds a connection attempt, which no context can end.
	dialTimeout = 10 * time.Second
	// patience bounds the wait for an emulator's answer, which no context ends
	// either: the slowest command makes an RSA key.
	patience = 2 * time.Minute
)

// socketPort sends commands to swtpm as a raw byte stream, one connection for
// each, as tpm2-tools do: swtpm serves one connection at a time, and one that
// is kept shuts out everybody else.
type socketPort struct {
	network, target string
	patience        time.Duration
	life            context.Context // ends with Close
	end             context.CancelFunc

	mu   sync.Mutex
	conn net.Conn // the one in use, for Close to cut
}

func newSocketPort(network, target string) *socketPort {
	p := &socketPort{network: network, target: target, patience: patience}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

// Send implements transport.TPM.
func (p *socketPort) Send(command []byte) ([]byte, error) {
	conn, err := p.dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(p.patience)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if _, err := conn.Write(command); err != nil {
		return nil, fmt.Errorf("%w: send command to %s: %w", ErrUnavailable, p.target, err)
	}
	response, err := readResponse(conn)
	if errors.Is(err, ErrResponse) {
		return nil, fmt.Errorf("read response from %s: %w", p.target, err)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fmt.Errorf("%w: no answer from %s for %v: %w", ErrBusy, p.target, p.patience, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s hung up without an answer: %w", ErrUnavailable, p.target, err)
	}
	return response, nil
}

func (p *socketPort) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(p.life, dialTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, p.network, p.target)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.Err() != nil {
		_ = conn.Close()
		return nil, ErrClosed
	}
	p.conn = conn
	return conn, nil
}

// Close implements io.Closer. It cuts short a Send that is under way.
func (p *socketPort) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
	if p.conn != nil {
		_ = p.conn.Close() // as a rule closed already, by Send
	}
	return nil
}

// readResponse reads one response and believes its length only within bounds.
func readResponse(r io.Reader) ([]byte, error) {
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(header[2:6])
	if size < headerSize || size > maxResponse {
		return nil, fmt.Errorf("%w: length %d", ErrResponse, size)
	}
	response := make([]byte, size)
	copy(response, header)
	if _, err := io.ReadFull(r, response[headerSize:]); err != nil {
		return nil, err
	}
	return response, nil
}

// filePort sends commands through a device file in blocking mode, where the
// Linux driver runs the command within write and hands the whole response over
// in the read that follows.
type filePort struct {
	file *os.File
}

// Send implements transport.TPM.
func (p filePort) Send(command []byte) ([]byte, error) {
	if _, err := p.file.Write(command); err != nil {
		return nil, fmt.Errorf("send command: %w", unavailable(p.file.Name(), err))
	}
	buf := make([]byte, maxResponse)
	n, err := p.file.Read(buf)
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: none from %s", ErrResponse, p.file.Name())
	}
	if err != nil {
		return nil, fmt.Errorf("read response: %w", unavailable(p.file.Name(), err))
	}
	if n < headerSize || binary.BigEndian.Uint32(buf[2:6]) != uint32(n) {
		return nil, fmt.Errorf("%w: %d bytes that announce another length", ErrResponse, n)
	}
	return buf[:n], nil
}

// Close implements io.Closer.
func (p filePort) Close() error { return p.file.Close() }

// unavailable explains why a device file does not open, or takes no command.
func unavailable(path string, err error) error {
	switch {
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%w: write device:/dev/tpmrm0 to share it, or find out who has it (fuser -v %s): %w", ErrBusy, path, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is no %s: no TPM 2.0, or it is switched off in the firmware set-up: %w", ErrUnavailable, path, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: no permission for %s: it belongs to the group tss, see usermod -aG tss: %w", ErrUnavailable, path, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
