package swtpm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	stateFile = "tpm2-00.permall" // swtpm's name for what survives a power cycle
	logFile   = "swtpm.log"
	// maxSocket is the longest path of a UNIX socket in bytes: sun_path holds 108
	// with its terminating zero. The control socket's has the longer name.
	maxSocket     = 107
	socketName    = "sock"
	controlSuffix = ".ctrl"

	startBudget    = 10 * time.Second
	shutdownBudget = time.Second
	stopBudget     = 5 * time.Second
)

// Emulator is a running swtpm.
type Emulator struct {
	cmd    *exec.Cmd
	log    string
	socket string
	scrap  string        // a directory to remove, if the socket is not in the state directory
	exited chan struct{} // closed when the process has ended

	closing sync.Once
	failed  error
}

// Start runs the TPM whose state is in dir. If there is none yet, one is
// manufactured first, with endorsement keys certified by ca, which takes about a
// second. The context bounds the start only: the emulator runs until Close, or
// until this process ends.
func Start(ctx context.Context, dir string, ca *CA) (*Emulator, error) {
	dir, err := usable(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, stateFile)); errors.Is(err, fs.ErrNotExist) {
		if err := manufacture(ctx, dir, ca); err != nil {
			return nil, fmt.Errorf("manufacture TPM: %w", err)
		}
	}
	program, err := find("swtpm")
	if err != nil {
		return nil, err
	}
	e := &Emulator{log: filepath.Join(dir, logFile), exited: make(chan struct{})}
	if err := e.placeSocket(dir); err != nil {
		return nil, err
	}
	e.cmd = exec.Command(program, "socket", "--tpm2", "--tpmstate", "dir="+dir+",mode=0600",
		"--server", "type=unixio,path="+e.socket+",mode=0600",
		"--ctrl", "type=unixio,path="+e.socket+controlSuffix+",mode=0600",
		"--flags", "not-need-init,startup-clear",
		"--log", "file="+e.log+",truncate")
	dieWithParent(e.cmd)
	if err := e.cmd.Start(); err != nil {
		e.removeSockets()
		return nil, fmt.Errorf("start swtpm: %w", err)
	}
	go func() {
		_ = e.cmd.Wait() // how it ended shows in its log
		close(e.exited)
	}()
	if err := e.awaitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start swtpm: %w", err), e.Close())
	}
	return e, nil
}

// TCTI returns the emulator's address, as package tpm and tpm2-tools take it.
func (e *Emulator) TCTI() string { return "swtpm:path=" + e.socket }

// Close switches the emulated TPM off in an orderly way, as an operating system
// does (a power cut would count towards lock-out), and ends the process. The
// state remains for the next Start.
func (e *Emulator) Close() error {
	e.closing.Do(func() {
		defer e.removeSockets()
		e.shutdown()
		_ = e.cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended
		select {
		case <-e.exited:
			return
		case <-time.After(stopBudget):
		}
		_ = e.cmd.Process.Kill()
		<-e.exited
		e.failed = errors.New("swtpm did not end when asked to and was killed")
	})
	return e.failed
}

// manufacture makes a TPM in a directory of its own and moves the finished state
// into place, so that an interrupted run leaves no half-made TPM.
func manufacture(ctx context.Context, dir string, ca *CA) error {
	scrap, err := os.MkdirTemp(dir, "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scrap)
	if err := run(ctx, ca.environment(), "swtpm_setup", "--tpm2", "--tpmstate", scrap,
		"--config", filepath.Join(ca.dir, configFile),
		"--create-ek-cert", "--create-platform-cert", "--lock-nvram"); err != nil {
		return err
	}
	return os.Rename(filepath.Join(scrap, stateFile), filepath.Join(dir, stateFile))
}

// placeSocket puts the sockets into the state directory, or, where their paths
// would be too long for the kernel, into a new temporary directory.
func (e *Emulator) placeSocket(dir string) error {
	e.socket = filepath.Join(dir, socketName)
	if len(e.socket+controlSuffix) <= maxSocket {
		e.removeSockets() // left by an emulator that was killed
		return nil
	}
	scrap, err := os.MkdirTemp("", "specie-swtpm-")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPath, err)
	}
	e.scrap, e.socket = scrap, filepath.Join(scrap, socketName)
	if n := len(e.socket + controlSuffix); n > maxSocket {
		e.removeSockets()
		return fmt.Errorf("%w: a socket in %s has a path of %d bytes, at most %d are possible: use a shorter directory, or set TMPDIR to one", ErrPath, dir, n, maxSocket)
	}
	return nil
}

func (e *Emulator) removeSockets() {
	for _, name := range []string{e.socket, e.socket + controlSuffix} {
		_ = os.Remove(name) // swtpm removes its sockets itself, as a rule
	}
	if e.scrap != "" {
		_ = os.RemoveAll(e.scrap)
	}
}

// awaitReady waits until the emulator answers.
func (e *Emulator) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startBudget)
	defer cancel()
	for {
		// TPM2_GetCapability(TPM_CAP_TPM_PROPERTIES, TPM_PT_MANUFACTURER, 1)
		_, err := e.exchange(ctx, []byte{0x80, 1, 0, 0, 0, 22, 0, 0, 1, 0x7a, 0, 0, 0, 6, 0, 0, 1, 5, 0, 0, 0, 1})
		if err == nil {
			return nil
		}
		select {
		case <-e.exited:
			out, _ := os.ReadFile(e.log)
			return fmt.Errorf("it ended at once: %s", lastLines(out))
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// shutdown sends TPM2_Shutdown(TPM_SU_CLEAR). It gives up soon: another program
// may hold the connection.
func (e *Emulator) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownBudget)
	defer cancel()
	_, _ = e.exchange(ctx, startStop(0x145)) // the process ends in any case
}

// exchange sends one command and returns the header of its response.
func (e *Emulator) exchange(ctx context.Context, command []byte) ([]byte, error) {
	conn, err := dial(ctx, e.socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write(command); err != nil {
		return nil, err
	}
	header := make([]byte, headerSize)
	_, err = io.ReadFull(conn, header)
	return header, err
}
