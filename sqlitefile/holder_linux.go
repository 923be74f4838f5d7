package sqlitefile

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// heldBy adds to a BusyError who has the file open: the first process of this
// user's, other than this one, in /proc.
func heldBy(path string, err error) error {
	var busy *BusyError
	if !errors.As(err, &busy) {
		return err
	}
	full, lerr := filepath.EvalSymlinks(path)
	if lerr != nil {
		return err
	}
	if full, lerr = filepath.Abs(full); lerr != nil {
		return err
	}
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*") // what can't be read is left out
	for _, fd := range open {
		to, lerr := os.Readlink(fd)
		if lerr != nil || to != full {
			continue
		}
		pid, lerr := strconv.Atoi(strings.Split(fd, "/")[2])
		if lerr != nil || pid == os.Getpid() {
			continue
		}
		name, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
		busy.PID, busy.Program = pid, strings.TrimSpace(string(name))
		return err
	}
	return err
}
