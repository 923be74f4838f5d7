package tpm

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// only is the one finding that there is to be.
func only(t *testing.T, e *Examination) Finding {
	t.Helper()
	if len(e.Findings) != 1 {
		t.Fatalf("%d findings: %+v", len(e.Findings), e.Findings)
	}
	f := e.Findings[0]
	if (f.State == OK) != (f.Cure == "") {
		t.Fatalf("state %s with the cure %q", f.State, f.Cure)
	}
	return f
}

func TestAMachineWithoutTheDeviceIsToldWhy(t *testing.T) {
	old, other := t.TempDir(), t.TempDir()
	for dir, version := range map[string]string{filepath.Join(old, "tpm0"): "1\n", filepath.Join(other, "tpm1"): "2\n"} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "tpm_version_major"), []byte(version), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, tpms, found, cure string }{
		{"none at all", filepath.Join(old, "none"), "no TPM 2.0, or it is switched off", "PTT with Intel, fTPM with AMD"},
		{"one of version 1.2", old, "version 1.2", "firmware set-up"},
		{"one of another name", other, "called tpm1", "device:/dev/tpm1"},
	} {
		e := &Examination{}
		e.absent("/dev/tpmrm0", c.tpms)
		if f := only(t, e); f.State != Fail || !strings.Contains(f.Found, c.found) || !strings.Contains(f.Cure, c.cure) {
			t.Errorf("%s: got %+v", c.name, f)
		}
	}
}

// owned is a device file of some group.
type owned struct {
	fs.FileInfo
	mode fs.FileMode
	gid  uint32
}

func (o owned) Mode() fs.FileMode { return o.mode }
func (o owned) Sys() any          { return &syscall.Stat_t{Gid: o.gid} }

func TestPermissionIsToBeHadThroughTheGroup(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	mine, err := strconv.ParseUint(me.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	const foreign = 4294900000
	for _, c := range []struct {
		name string
		info owned
		cure string
	}{
		{"another group's", owned{mode: 0o660, gid: foreign}, "usermod -aG " + strconv.Itoa(foreign) + " " + me.Username},
		{"nobody's", owned{mode: 0o600, gid: foreign}, "tpm-udev"},
		{"root's", owned{mode: 0o660, gid: 0}, "tpm-udev"},
	} {
		e := &Examination{}
		e.forbidden("/dev/tpmrm0", c.info)
		if f := only(t, e); f.State != Fail || !strings.Contains(f.Cure, c.cure) {
			t.Errorf("%s: got %+v", c.name, f)
		}
	}
	if mine != 0 {
		e := &Examination{}
		e.forbidden("/dev/tpmrm0", owned{mode: 0o660, gid: uint32(mine)})
		if f := only(t, e); !strings.Contains(f.Cure, "log out") {
			t.Errorf("a group joined since: got %+v", f)
		}
	}
}

func TestWhoHasADeviceOpenIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tpm0")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got := holders(path); len(got) != 0 {
		t.Fatalf("this process counts itself: %v", got)
	}
	cmd := exec.Command("sleep", "60")
	cmd.ExtraFiles = []*os.File{file}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	want := "sleep (process " + strconv.Itoa(cmd.Process.Pid) + ")"
	var got []string
	for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(10 * time.Millisecond) {
		if got = holders(path); len(got) == 1 && got[0] == want {
			break
		}
	}
	if words := by(got); !strings.Contains(words, want) {
		t.Fatalf("got %q, want %q", words, want)
	}
	if printable("a\x1b[31m") != "a?[31m" {
		t.Fatal("a process's name reaches the terminal as it is")
	}
}

func TestTheBareDeviceIsToldFromTheResourceManager(t *testing.T) {
	for path, want := range map[string]State{"/dev/tpmrm0": OK, "/dev/tpm0": Warn} {
		e := &Examination{}
		e.sharing(path)
		if f := only(t, e); f.State != want {
			t.Errorf("%s: got %+v", path, f)
		}
	}
}

func TestWhatIsNoDeviceIsNotOpened(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := only(t, Examine(t.Context(), "device:"+file)); f.Name != "device" || f.State != Fail {
		t.Errorf("a file: got %+v", f)
	}
	if f := only(t, Examine(t.Context(), "device:"+filepath.Join(t.TempDir(), "none"))); f.Name != "device" || f.State != Fail {
		t.Errorf("nothing: got %+v", f)
	}
	e := Examine(t.Context(), "device:/dev/null")
	if last := e.Findings[len(e.Findings)-1]; last.Name != "device" || last.State != Fail || !strings.Contains(last.Cure, "TPM 2.0") {
		t.Errorf("another device: got %+v", last)
	}
}

func TestEveryErrorHasItsCure(t *testing.T) {
	for _, c := range []struct {
		err        error
		name, cure string
	}{
		{ErrBusy, "device", "close the other program"},
		{ErrBroken, "self-test", "switch the machine off"},
		{ErrHierarchy, "hierarchies", "whoever set it"},
		{ErrResponse, "device", "TPM 2.0"},
		{ErrUnavailable, "device", "firmware set-up"},
		{errors.New("something else"), "device", "try again"},
	} {
		e := &Examination{}
		e.failed("device", c.err)
		if f := only(t, e); f.Name != c.name || f.State != Fail || !strings.Contains(f.Cure, c.cure) {
			t.Errorf("%v: got %+v", c.err, f)
		}
	}
}
