package tpm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// file looks at a device file, before it is opened. It returns false if there is
// no point in that.
func (e *Examination) file(path string) bool {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		e.absent(path, "/sys/class/tpm")
		return false
	}
	if err != nil {
		e.failed("device", unavailable(path, err))
		return false
	}
	if info.Mode()&os.ModeCharDevice == 0 {
		e.add("device", Fail, "write device:/dev/tpmrm0", "%s is not a device", path)
		return false
	}
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	switch {
	case err == nil:
		_ = syscall.Close(fd)
		e.ok("device", "%s is there, and you may use it", path)
	case errors.Is(err, syscall.EBUSY):
		e.add("device", Fail, "write device:/dev/tpmrm0, which can be shared", "%s is in use%s", path, by(holders(path)))
		return false
	case errors.Is(err, fs.ErrPermission):
		e.forbidden(path, info)
		return false
	default:
		e.failed("device", unavailable(path, &os.PathError{Op: "open", Path: path, Err: err}))
		return false
	}
	e.sharing(path)
	return true
}

// absent tells a machine without a TPM from one whose TPM has no such file; tpms
// is where the kernel lists what it has.
func (e *Examination) absent(path, tpms string) {
	for _, name := range list(tpms) {
		version, _ := os.ReadFile(filepath.Join(tpms, name, "tpm_version_major"))
		if strings.TrimSpace(string(version)) == "1" {
			e.add("device", Fail, "switch it to version 2.0 in the firmware set-up, or use another machine", "the machine's TPM is of version 1.2")
			return
		}
		e.add("device", Fail, "write device:/dev/"+name+", or see why udev makes no other", "there is no %s, but the kernel has a TPM called %s", path, name)
		return
	}
	e.add("device", Fail, "switch the TPM on in the firmware set-up (it is called PTT with Intel, fTPM with AMD)", "there is no %s: no TPM 2.0, or it is switched off", path)
}

// forbidden says how to get permission for a device file.
func (e *Examination) forbidden(path string, info fs.FileInfo) {
	sys, ok := info.Sys().(*syscall.Stat_t)
	me, err := user.Current()
	if !ok || err != nil {
		e.add("device", Fail, "ask the administrator for permission", "you have no permission for %s", path)
		return
	}
	gid := strconv.FormatUint(uint64(sys.Gid), 10)
	group := gid
	if g, err := user.LookupGroupId(gid); err == nil {
		group = g.Name
	}
	mode := info.Mode().Perm()
	found := fmt.Sprintf("you have no permission for %s, which belongs to the group %s (mode %04o)", path, group, mode)
	switch ids, err := me.GroupIds(); {
	case mode&0o060 != 0o060 || sys.Gid == 0:
		e.add("device", Fail, "give it to the group tss, as the package tpm-udev does: sudo apt install tpm-udev, and restart", "%s", found)
	case err == nil && slices.Contains(ids, gid):
		e.add("device", Fail, "log out and in again: you are in that group since then", "%s", found)
	default:
		e.add("device", Fail, fmt.Sprintf("sudo usermod -aG %s %s, then log out and in again", group, me.Username), "%s", found)
	}
}

// sharing tells the resource manager from the bare device.
func (e *Examination) sharing(path string) {
	if strings.HasPrefix(filepath.Base(path), "tpmrm") {
		e.ok("sharing", "the kernel's resource manager shares the TPM among programs")
		return
	}
	e.add("sharing", Warn, "write device:/dev/tpmrm0", "%s is the bare device: nobody else can use the TPM meanwhile%s", path, by(holders("/dev/tpmrm0")))
}

// by says who holds a device file, as far as that is to be seen.
func by(holders []string) string {
	if len(holders) == 0 {
		return ""
	}
	return "; seen using it: " + strings.Join(holders, ", ")
}

// holders lists the processes that have a file open, among those that this user
// may look at.
func holders(path string) []string {
	var found []string
	for _, pid := range list("/proc") {
		if _, err := strconv.Atoi(pid); err != nil || pid == strconv.Itoa(os.Getpid()) {
			continue
		}
		fds := filepath.Join("/proc", pid, "fd")
		if !slices.ContainsFunc(list(fds), func(fd string) bool {
			target, err := os.Readlink(filepath.Join(fds, fd))
			return err == nil && target == path
		}) {
			continue
		}
		name, _ := os.ReadFile(filepath.Join("/proc", pid, "comm"))
		found = append(found, fmt.Sprintf("%s (process %s)", printable(strings.TrimSpace(string(name))), pid))
	}
	return found
}

// list returns the names in a directory; none if it can't be read.
func list(dir string) []string {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	slices.Sort(names)
	return names
}

// printable takes out of a process's name what a terminal would act upon.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
