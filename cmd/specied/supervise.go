package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/speciecash/specie/hsm"
)

// What a worker inherits, as descriptors.
const (
	fdLife   = 3 // ends when the parent ends, or wants the worker to
	fdReady  = 4 // takes one byte when the worker serves
	fdListen = 5 // the listeners, in the order of the configuration
)

const (
	// stopTimeout is how long a worker may take to end; it needs ten seconds
	// at most for what is in flight unless the module hangs.
	stopTimeout = 20 * time.Second
	// longLife is after how long a worker's end is not counted as a failure to
	// start.
	longLife = time.Minute

	minRestart = 50 * time.Millisecond // pauses before a worker is replaced
	maxRestart = 10 * time.Second
)

var errWorker = errors.New("the signer's worker ended")

// supervisor keeps one worker running: a copy of this program, which inherits
// the listeners.
type supervisor struct {
	args   []string
	listen []*os.File
	env    []string
	stdin  *os.File
	stderr *os.File
	log    *slog.Logger
	served bool // one worker has been ready
}

func newSupervisor(args []string, listen []*os.File, a *app) *supervisor {
	return &supervisor{args: args, listen: listen, env: os.Environ(), stdin: os.Stdin, stderr: os.Stderr, log: a.log}
}

// run returns nil when ctx has ended and the worker with it, or why there is
// no use in another worker: the first one did not come up, or a token refused
// the PIN (hsm.ErrPIN).
func (s *supervisor) run(ctx context.Context) error {
	pause := minRestart
	for {
		start := time.Now()
		code, err := s.once(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case code == exitPIN:
			return fmt.Errorf("%w: %w; it is not started again by itself", errWorker, hsm.ErrPIN)
		case !s.served:
			return fmt.Errorf("%w before it served: status %d", errWorker, code)
		}
		if time.Since(start) > longLife {
			pause = minRestart
		}
		s.log.Error("worker ended, starting another", "status", code, "in", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, maxRestart)
	}
}

// once runs one worker to its end and returns its status, -1 after a signal.
func (s *supervisor) once(ctx context.Context) (int, error) {
	lifeR, lifeW, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer lifeW.Close()
	readyR, readyW, err := os.Pipe()
	if err != nil {
		return 0, errors.Join(err, lifeR.Close())
	}
	defer readyR.Close()
	// The program that this process runs, even if its file was replaced.
	cmd := exec.Command("/proc/self/exe", s.args...)
	cmd.Args[0] = "specied"
	cmd.Env, cmd.Stdin, cmd.Stderr = s.env, s.stdin, s.stderr
	cmd.ExtraFiles = append([]*os.File{lifeR, readyW}, s.listen...)
	err = cmd.Start()
	if err = errors.Join(err, lifeR.Close(), readyW.Close()); err != nil {
		return 0, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	ready := make(chan struct{}, 1)
	go func() {
		if n, _ := readyR.Read(make([]byte, 1)); n == 1 {
			ready <- struct{}{}
		}
	}()
	for {
		select {
		case <-ready:
			s.log.Info("worker serves", "pid", cmd.Process.Pid)
			if !s.served {
				s.served = true
				notify("READY=1")
			}
		case <-ended:
			return cmd.ProcessState.ExitCode(), nil
		case <-ctx.Done():
			notify("STOPPING=1")
			_ = lifeW.Close()
			select {
			case <-ended:
			case <-time.After(stopTimeout):
				s.log.Error("the worker does not end; killed", "pid", cmd.Process.Pid)
				_ = cmd.Process.Kill()
				<-ended
			}
			return cmd.ProcessState.ExitCode(), nil
		}
	}
}

// notify tells systemd, if it is there (sd_notify(3)).
func notify(state string) {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: os.Getenv("NOTIFY_SOCKET"), Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Write([]byte(state))
}

// inheritance is what a worker has from its parent.
type inheritance struct{ life, ready *os.File }

func inherited() inheritance {
	return inheritance{life: os.NewFile(fdLife, "life"), ready: os.NewFile(fdReady, "ready")}
}

func (i inheritance) listener(n int) (net.Listener, error) {
	f := os.NewFile(uintptr(fdListen+n), "listener")
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("%w: the worker was not started by a signer: %w", errConfig, err)
	}
	return l, f.Close()
}

// announce says that the worker serves.
func (i inheritance) announce() error {
	_, err := i.ready.Write([]byte{1})
	return errors.Join(err, i.ready.Close())
}
