package swtpm

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel end the emulator if this process is killed, so
// that no test and no demonstration leaves one running. A process group of its own
// keeps a Ctrl-C at the terminal away from it: the parent shuts it down in order.
//
// The kernel looks at the thread that started it, not at the process. Go keeps its
// threads, but for one that a goroutine has locked and never unlocked: Start must
// not be called from such a goroutine.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}
