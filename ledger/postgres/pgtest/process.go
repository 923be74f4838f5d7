package pgtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// credential is the user who runs servers: PostgreSQL refuses root. Nil stands
// for who we are.
func credential() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("root can't run PostgreSQL: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// Process is a server that dies with us.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// Run starts a program as the user who runs servers, its output going to a
// file. When we end, however that is, the kernel sends it end: when the thread
// that started it ends, to be exact, so that is kept for as long as the program
// runs.
func Run(end syscall.Signal, log, name string, args ...string) (*Process, error) {
	who, err := credential()
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &Process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = out, out, "/"
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who, Pdeathsig: end}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the program
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // however it ended, it was told to
			close(p.done)
		}
	}()
	return p, <-started
}

// Ended tells whether the program has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Stop sends a signal and waits for the end. SIGKILL goes to the children too,
// each of which leads a group of its own.
func (p *Process) Stop(sig syscall.Signal) error {
	if p.Ended() {
		return nil
	}
	var err error
	if sig == syscall.SIGKILL {
		err = Kill(p.cmd.Process.Pid)
	} else if err = syscall.Kill(p.cmd.Process.Pid, sig); errors.Is(err, syscall.ESRCH) {
		err = nil
	}
	if err != nil {
		return err
	}
	<-p.done
	return nil
}

// Kill kills a process and its children.
func Kill(pid int) error {
	pids := []int{pid}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return nil // it has ended
	}
	if err != nil {
		return err
	}
	for _, child := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			return err
		}
		pids = append(pids, pid)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}
