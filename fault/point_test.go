package fault_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAPointKillsATaggedProgramAndNoOther(t *testing.T) {
	bin := t.TempDir()
	for name, args := range map[string][]string{"plain": nil, "tagged": {"-tags", "faultpoints"}} {
		args = append([]string{"build", "-o", filepath.Join(bin, name)}, args...)
		if out, err := exec.Command("go", append(args, "./testdata/passerby")...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	const all = "a 0\nb 0\na 1\nb 1\na 2\nb 2\n"
	tests := []struct{ name, bin, fault, want string }{
		{"an ordinary build", "plain", "a", all},
		{"no file", "tagged", "", all},
		{"another point", "tagged", "c", all},
		{"the first arrival", "tagged", "b\n", "a 0\n"},
		{"the second arrival", "tagged", "a:2", "a 0\nb 0\n"},
		{"one that does not come", "tagged", "a:4", all},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file, log := filepath.Join(t.TempDir(), "fault"), filepath.Join(t.TempDir(), "log")
			if tt.fault != "" {
				if err := os.WriteFile(file, []byte(tt.fault), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command(filepath.Join(bin, tt.bin))
			cmd.Env = append(os.Environ(), "SPECIE_FAULT="+file, "SPECIE_FAULT_LOG="+log)
			out, _ := cmd.Output()
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if killed := status.Signaled() && status.Signal() == syscall.SIGKILL; string(out) != tt.want || killed != (tt.want != all) {
				t.Errorf("said %q, killed: %v", out, killed)
			}
			arrived, _ := os.ReadFile(log)
			if tagged := tt.bin == "tagged"; tagged != strings.HasPrefix(string(arrived), "a\n") {
				t.Errorf("arrived at %q", arrived)
			}
		})
	}
}
