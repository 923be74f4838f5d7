//go:build faultpoints

package fault

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// arrivals counts since the file said something else than before. It is the
// process's: points are everywhere, and nobody hands them anything.
var arrivals struct {
	sync.Mutex
	named string
	n     int
}

// Point kills the process if its file names the point; see the package comment.
func Point(name string) {
	if log := os.Getenv("SPECIE_FAULT_LOG"); log != "" {
		if f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			_, _ = f.WriteString(name + "\n")
			_ = f.Close()
		}
	}
	named, err := os.ReadFile(os.Getenv("SPECIE_FAULT"))
	if err != nil {
		return
	}
	point, count, counted := strings.Cut(strings.TrimSpace(string(named)), ":")
	if point != name {
		return
	}
	n := 1
	if counted {
		n, _ = strconv.Atoi(count)
	}
	arrivals.Lock()
	defer arrivals.Unlock()
	if arrivals.named != string(named) {
		arrivals.named, arrivals.n = string(named), 0
	}
	if arrivals.n++; arrivals.n == n {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way: do nothing more
	}
}
