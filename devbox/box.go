package devbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/speciecash/specie/tpm/swtpm"
)

// Names of the box's parties.
const (
	Bank     = "DEMOBANK"
	Group    = "DEMOGROUP"
	Currency = "XTS" // ISO 4217's code for tests
	Exponent = 2
)

// officers approve the ceremonies, two of three.
var officers = []string{"DAVIS", "EVANS", "FROST"}

// supervisors open the group's signatures, two of three.
var supervisors = []string{"ADAMS", "BAKER", "CLARK"}

// Supervisors lists the supervisors' ids.
func Supervisors() []string { return append([]string(nil), supervisors...) }

// Box is one directory with everything in it.
type Box struct {
	// Dir is absolute. It holds bank/ (public papers), plans/, officers/,
	// run/ (databases, sockets, logs), tokens/, tpm/ and people/.
	Dir string
	// Bin is the directory of specie, specied and specie-ceremony.
	Bin string
	// IssuerURL and GroupURL are where the daemons listen.
	IssuerURL, GroupURL string
	// SignerMetrics is where the metrics of the bank's signer are.
	SignerMetrics string

	now    time.Time
	env    []string
	module string
	procs  []*process
	tpms   map[string]*swtpm.Emulator // by name
	closes []func() error
}

// New makes the directories. bin holds the programs.
func New(dir, bin string) (*Box, error) {
	b := &Box{now: time.Now().UTC().Truncate(time.Second), tpms: make(map[string]*swtpm.Emulator)}
	var err error
	if b.Dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if b.Bin, err = filepath.Abs(bin); err != nil {
		return nil, err
	}
	for _, d := range []string{"bank", "plans", "officers", "run", "tokens", "tpm", "people"} {
		if err := os.MkdirAll(filepath.Join(b.Dir, d), 0o700); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Path joins parts under the box's directory.
func (b *Box) Path(parts ...string) string {
	return filepath.Join(append([]string{b.Dir}, parts...)...)
}

// Close stops every process and emulator, last started first. It does not
// remove the directory.
func (b *Box) Close() error {
	var errs []error
	for i := len(b.procs) - 1; i >= 0; i-- {
		errs = append(errs, b.procs[i].stop())
	}
	for i := len(b.closes) - 1; i >= 0; i-- {
		errs = append(errs, b.closes[i]())
	}
	b.procs, b.closes = nil, nil
	return errors.Join(errs...)
}

// Env is what a program of the box needs in its environment besides the
// usual: where SoftHSM's tokens are.
func (b *Box) Env() []string { return append([]string(nil), b.env...) }

// CommandError is a program that ended with a status other than 0.
type CommandError struct {
	Program string
	Status  int
	Stderr  string
}

// Error gives the program's own last line.
func (e *CommandError) Error() string {
	return fmt.Sprintf("%s ended with status %d: %s", e.Program, e.Status, e.Reason())
}

// Reason is the program's error line without its prefix.
func (e *CommandError) Reason() string {
	lines := strings.Split(strings.TrimSpace(e.Stderr), "\n")
	for _, l := range lines {
		if _, reason, ok := strings.Cut(l, ": error: "); ok {
			return reason
		}
	}
	return lines[len(lines)-1]
}

// Run runs one of the box's programs and returns its standard output. A
// status other than 0 is a [*CommandError].
func (b *Box) Run(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(b.Bin, program), args...)
	cmd.Env = append(os.Environ(), b.env...)
	cmd.Dir = b.Dir
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out.String(), &CommandError{Program: program, Status: exit.ExitCode(), Stderr: errOut.String()}
	}
	return out.String(), err
}

// process is a daemon of the box.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan error
}

// start runs a daemon in the background with its log in run/NAME.log.
func (b *Box) start(name, program string, args ...string) (*process, error) {
	log, err := os.OpenFile(b.Path("run", name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(b.Bin, program), args...)
	cmd.Env = append(os.Environ(), b.env...)
	cmd.Dir = b.Dir
	cmd.Stdout, cmd.Stderr = log, log
	// The daemons go when the box goes, even if it is killed.
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, done: make(chan error, 1)}
	go func() { p.done <- cmd.Wait() }()
	b.procs = append(b.procs, p)
	return p, nil
}

// stop asks the process to end and waits; after ten seconds it is killed.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.done:
		p.done <- err
		return nil
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("%s did not stop and was killed", p.name)
	}
}

// waitReady polls a URL until it answers 200, the process ends or time is up.
func (b *Box) waitReady(ctx context.Context, p *process, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-p.done:
			p.done <- err
			return fmt.Errorf("%s ended: %w\n%s", p.name, err, b.logTail(p.name))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready at %s\n%s", p.name, url, b.logTail(p.name))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (b *Box) logTail(name string) string {
	raw, err := os.ReadFile(b.Path("run", name+".log"))
	if err != nil {
		return err.Error()
	}
	return string(raw[max(0, len(raw)-2000):])
}

// freeAddress finds a loopback port that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
