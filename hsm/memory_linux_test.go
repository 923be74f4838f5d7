package hsm_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/speciecash/specie/hsm"
)

// hideVariable tells the test program what to be.
const hideVariable = "SPECIE_HSM_TEST_MEMORY"

// nobody is a user without privileges.
const nobody = 65534

// TestMemory is what the processes of TestHiddenMemoryIsNobodyElses run.
func TestMemory(t *testing.T) {
	switch os.Getenv(hideVariable) {
	case "hidden":
		if err := hsm.HideMemory(); err != nil {
			t.Fatal(err)
		}
		fallthrough
	case "plain":
		// The next process of the same user.
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestMemory$")
		cmd.Env = append(os.Environ(), hideVariable+"="+strconv.Itoa(os.Getpid()))
		cmd.ExtraFiles = []*os.File{os.NewFile(3, "answer")}
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
	case "":
		// The test below speaks for all of them.
	default:
		// Who may read the memory may read the environment; a kernel may
		// forbid more than that (Yama), so the environment is the control.
		said := ""
		for _, name := range []string{"mem", "environ", "limits"} {
			f, err := os.Open(filepath.Join("/proc", os.Getenv(hideVariable), name))
			if errors.Is(err, fs.ErrPermission) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			said += name + "\n"
			if name == "limits" {
				b, err := io.ReadAll(f)
				if err != nil {
					t.Fatal(err)
				}
				said += string(b)
			}
			_ = f.Close()
		}
		if _, err := os.NewFile(3, "answer").WriteString(said); err != nil {
			t.Fatal(err)
		}
	}
}

// Two processes of one user without privileges: may the second read the
// first one's memory, and may the first dump it?
func TestHiddenMemoryIsNobodyElses(t *testing.T) {
	if said := secondProcess(t, "plain"); !strings.Contains(said, "environ\n") {
		t.Fatalf("the test can't tell: a process that hides nothing shows\n%s", said)
	}
	said := secondProcess(t, "hidden")
	if strings.Contains(said, "mem\n") || strings.Contains(said, "environ\n") {
		t.Errorf("a hidden process shows\n%s", said)
	}
	if !regexp.MustCompile(`(?m)^Max core file size +0 +0 +bytes`).MatchString(said) {
		t.Errorf("a hidden process may dump its memory:\n%s", said)
	}
}

// secondProcess returns what a process sees of another one of its user.
func secondProcess(t *testing.T, what string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestMemory$")
	cmd.Env = append(os.Environ(), hideVariable+"="+what)
	cmd.ExtraFiles = []*os.File{w}
	if os.Geteuid() == 0 { // root may read everything
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	_ = w.Close()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	said, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}
