package signer_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/speciecash/specie/signer"
)

func privateDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	check(t, os.Chmod(dir, 0o700))
	return dir
}

func TestTheSocketIsItsOwnersAlone(t *testing.T) {
	path := filepath.Join(privateDir(t), "s.sock")
	s, err := signer.Listen(path, -1)
	check(t, err)
	info, err := os.Lstat(path)
	check(t, err)
	if got := info.Mode(); got != os.ModeSocket|0o600 {
		t.Errorf("mode %v", got)
	}
	check(t, s.Remove())
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestTheSocketIsAGroupsIfThatIsWanted(t *testing.T) {
	path := filepath.Join(privateDir(t), "s.sock")
	s, err := signer.Listen(path, os.Getegid())
	check(t, err)
	defer s.Remove()
	info, err := os.Lstat(path)
	check(t, err)
	if got := info.Mode(); got != os.ModeSocket|0o660 || int(info.Sys().(*syscall.Stat_t).Gid) != os.Getegid() {
		t.Errorf("mode %v", got)
	}
}

func TestASocketIsNotMadeWhereItWouldNotBeSafe(t *testing.T) {
	for name, path := range map[string]func(dir string) string{
		"a directory that everybody may write to": func(dir string) string {
			check(t, os.Chmod(dir, 0o707))
			return dir + "/s.sock"
		},
		"a directory that a group may write to": func(dir string) string {
			check(t, os.Chmod(dir, 0o770))
			return dir + "/s.sock"
		},
		"a directory that is not there": func(dir string) string { return dir + "/x/s.sock" },
		"a directory that is none": func(dir string) string {
			check(t, os.WriteFile(dir+"/x", nil, 0o600))
			return dir + "/x/s.sock"
		},
		"a file stands there": func(dir string) string {
			check(t, os.WriteFile(dir+"/s.sock", []byte("precious"), 0o600))
			return dir + "/s.sock"
		},
		"a link stands there": func(dir string) string {
			check(t, os.Symlink("/dev/null", dir+"/s.sock"))
			return dir + "/s.sock"
		},
		"a link stands in the lock's place": func(dir string) string {
			check(t, os.Symlink(dir+"/elsewhere", dir+"/s.sock.lock"))
			return dir + "/s.sock"
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := privateDir(t)
			_, err := signer.Listen(path(dir), -1)
			expect(t, err, signer.ErrSocket)
			if b, err := os.ReadFile(dir + "/s.sock"); err == nil && len(b) > 0 && string(b) != "precious" {
				t.Error("the file was overwritten")
			}
		})
	}
}

func TestOneSignerHasAPath(t *testing.T) {
	path := filepath.Join(privateDir(t), "s.sock")
	first, err := signer.Listen(path, -1)
	check(t, err)
	_, err = signer.Listen(path, -1)
	expect(t, err, signer.ErrSocket)
	// The first is still reached.
	c, err := net.Dial("unix", path)
	check(t, err)
	check(t, c.Close())
	check(t, first.Remove())
	second, err := signer.Listen(path, -1)
	check(t, err)
	check(t, second.Remove())
}

func TestADeadProcessesSocketIsReplaced(t *testing.T) {
	path := filepath.Join(privateDir(t), "s.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	check(t, err)
	l.SetUnlinkOnClose(false)
	check(t, l.Close())
	s, err := signer.Listen(path, -1)
	check(t, err)
	defer s.Remove()
	c, err := net.Dial("unix", path)
	check(t, err)
	check(t, c.Close())
	// Nothing is left of how it was made.
	entries, err := os.ReadDir(filepath.Dir(path))
	check(t, err)
	if len(entries) != 2 {
		t.Errorf("%v", entries)
	}
}

func TestASocketsNameMayBeAsLongAsTheKernelTakes(t *testing.T) {
	dir := privateDir(t)
	name := strings.Repeat("s", 107-len(dir)-1)
	s, err := signer.Listen(filepath.Join(dir, name), -1)
	check(t, err)
	defer s.Remove()
	c, err := net.Dial("unix", filepath.Join(dir, name))
	check(t, err)
	check(t, c.Close())
}
