package cli_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/speciecash/specie/cli"
)

// grammar has two commands of one name in different places, and names that mean
// something to a shell.
type grammar struct {
	Home string
	Path struct {
		Down struct {
			Loud   bool   `help:"Loud, isn't it?"`
			Kind   string `enum:"red,blue" default:"red"`
			Amount string `arg:""`
		} `cmd:""`
		Pick struct {
			Shell string `arg:"" enum:"bash,fish"`
		} `cmd:""`
	} `cmd:""`
	Down struct {
		Quiet bool
	} `cmd:""`
}

// cases are lines whose last word is completed to one.
func cases() map[string]string {
	return map[string]string{
		"prog pa":                             "path",
		"prog --home /tmp pa":                 "path",
		"prog path dow":                       "down",
		"prog path down --l":                  "--loud",
		"prog path down 20.00 --l":            "--loud",
		"prog path --home /tmp down 20.00 -l": "-l",
		"prog path down --kind b":             "blue",
		"prog path down --kind=b":             "--kind=blue",
		"prog path down --home b":             "b",
		"prog path pick b":                    "bash",
		"prog down --q":                       "--quiet",
		"prog down --l":                       "--l",
		"prog path down --q":                  "--q",
		"prog down a-file":                    "a-file.txt",
		"prog path down --home a-file":        "a-file.txt",
	}
}

// completes writes the script of that shell into a directory with one file, and
// runs the shell there.
func completes(t *testing.T, shell string, args ...string) string {
	t.Helper()
	p, err := kong.New(&grammar{}, kong.Name("prog"))
	if err != nil {
		t.Fatal(err)
	}
	script, err := cli.Completion(p.Model, shell)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"script": script, "a-file.txt": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, a := range args {
		if strings.HasPrefix(a, "testdata") {
			if args[i], err = filepath.Abs(a); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, shell, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", shell, err, out)
	}
	return string(out)
}

func TestBashCompletes(t *testing.T) {
	t.Parallel()
	const files = "a-file"
	for line, want := range cases() {
		words := strings.Fields(strings.ReplaceAll(line, "=", " = ")) // as Bash takes it apart
		run := fmt.Sprintf(". ./script; COMP_WORDS=(%s); COMP_CWORD=%d; _prog; echo \"${COMPREPLY[@]}\"", strings.Join(words, " "), len(words)-1)
		got := strings.TrimSpace(completes(t, "bash", "-c", run))
		last := words[len(words)-1]
		if got == "" {
			got = last // nothing to offer: files, by "complete -o default"
			if last == files {
				got = "a-file.txt"
			}
		}
		want = strings.TrimPrefix(want, "--kind=")
		if got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
	if got := completes(t, "bash", "-c", ". ./script; complete -p prog"); got != "complete -o default -F _prog prog\n" {
		t.Errorf("it is registered as %q", got)
	}
}

// TestZshCompletes has an interactive zsh on a terminal of its own, where TAB is
// pressed.
func TestZshCompletes(t *testing.T) {
	t.Parallel()
	args := []string{"-f", filepath.Join("testdata", "complete.zsh"), "prog", "./script"}
	var lines []string
	for line := range cases() {
		if line == "prog down --l" || strings.HasSuffix(line, " --q") && !strings.Contains(line, "prog down") {
			continue // zsh rings the bell, and corrects what it thinks is mistyped
		}
		lines = append(lines, line)
	}
	got := strings.Split(strings.TrimRight(completes(t, "zsh", append(args, lines...)...), "\n"), "\n")
	if len(got) != len(lines) {
		t.Fatalf("%d answers to %d lines: %q", len(got), len(lines), got)
	}
	for i, line := range lines {
		want := line[strings.Index(line, " ")+1 : strings.LastIndex(line, " ")+1]
		want = strings.TrimPrefix(want+cases()[line], " ")
		if strings.TrimSpace(got[i]) != strings.TrimSpace(want) {
			t.Errorf("%q: got %q, want %q", line, got[i], want)
		}
	}
}

func TestFishCompletes(t *testing.T) {
	t.Parallel()
	for line, want := range cases() {
		got := completes(t, "fish", "--no-config", "-c", "source ./script; complete -C '"+line+"'")
		got, help, _ := strings.Cut(strings.TrimSpace(got), "\t")
		if got == "" {
			got = line[strings.LastIndex(line, " ")+1:]
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
		if want == "--loud" && help != "Loud, isn't it?" {
			t.Errorf("it is described as %q", help)
		}
	}
}

func TestThereIsNoCompletionForOtherShells(t *testing.T) {
	p, err := kong.New(&grammar{}, kong.Name("prog"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cli.Completion(p.Model, "tcsh"); !errors.Is(err, cli.ErrShell) {
		t.Errorf("got %v", err)
	}
}
