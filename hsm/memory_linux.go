package hsm

import (
	"fmt"
	"syscall"
)

// prSetDumpable is PR_SET_DUMPABLE, prctl(2).
const prSetDumpable = 4

// HideMemory keeps this process's memory, where the module and its PINs are,
// from other processes of the same user and from core dumps: nobody without
// CAP_SYS_PTRACE may attach to the process or read /proc/PID/mem, and its
// limit for core dumps is 0, soft and hard. It is called before the first PIN
// is read, by every program that reads one; children have to call it
// themselves. On other systems than Linux it does nothing.
func HideMemory() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetDumpable, 0, 0); errno != 0 {
		return fmt.Errorf("hsm: hiding this process's memory: prctl: %w", errno)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil {
		return fmt.Errorf("hsm: core dumps: %w", err)
	}
	if limit == (syscall.Rlimit{}) {
		return nil // a service manager that set it may forbid to set limits
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("hsm: core dumps: %w", err)
	}
	return nil
}
