package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/speciecash/specie/cli"
)

func TestErrorsAreOneSafeLine(t *testing.T) {
	var b bytes.Buffer
	o := &cli.Out{Program: "specie", Stderr: &b}
	o.Fail(errors.Join(errors.New("first"), errors.New("evil \x1b[31m text\u202e")), "do this")
	want := "specie: error: first; evil ?[31m text?\nspecie: hint: do this\n"
	if b.String() != want {
		t.Fatalf("got %q", b.String())
	}
}

func TestTableAlignsNumbersToTheRight(t *testing.T) {
	var b bytes.Buffer
	cli.Table(&b, []string{"KIND", ">CHF"}, [][]string{{"bearer", "1.00"}, {"bound", "12.34"}})
	want := "KIND      CHF\nbearer   1.00\nbound   12.34\n"
	if b.String() != want {
		t.Fatalf("got\n%s", b.String())
	}
}

func TestResultIsTextOrJSON(t *testing.T) {
	var b bytes.Buffer
	o := &cli.Out{Stdout: &b, JSON: true}
	text := func(w io.Writer) { _, _ = io.WriteString(w, "text") }
	if err := o.Result(map[string]int{"a": 1}, text); err != nil || !strings.Contains(b.String(), `"a": 1`) {
		t.Fatalf("%q %v", b.String(), err)
	}
	b.Reset()
	o.JSON = false
	if err := o.Result(nil, text); err != nil || b.String() != "text" {
		t.Fatalf("%q %v", b.String(), err)
	}
}

func TestBarDrawsNothingWhereThereIsNoTerminal(t *testing.T) {
	var b bytes.Buffer
	bar := (&cli.Out{Stderr: &b}).Bar("working")
	bar(1, 2)
	bar(2, 2)
	if b.Len() != 0 {
		t.Fatalf("drew %q", b.String())
	}
}

func TestCompletion(t *testing.T) {
	var tree struct {
		Home string
		Deep struct {
			Down struct {
				Loud   bool
				Kind   string `enum:"red,blue" default:"red"`
				Amount string `arg:""`
			} `cmd:""`
			Pick struct {
				Shell string `arg:"" enum:"bash,fish"`
			} `cmd:""`
		} `cmd:""`
	}
	p, err := kong.New(&tree, kong.Name("prog"))
	if err != nil {
		t.Fatal(err)
	}
	script, err := cli.Completion(p.Model, "bash")
	if err != nil {
		t.Fatal(err)
	}
	// Bash itself says what it would offer.
	for _, c := range []struct{ line, want string }{
		{"prog d", "deep"},
		{"prog --home /tmp d", "deep"},
		{"prog deep down --l", "--loud"},
		{"prog deep down 20.00 --l", "--loud"},
		{"prog deep --home /tmp down 20.00 --l", "--loud"},
		{"prog deep down --kind b", "blue"},
		{"prog deep down --home b", ""},
		{"prog deep pick b", "bash"},
	} {
		words := strings.Fields(c.line)
		run := fmt.Sprintf("%s\nCOMP_WORDS=(%s); COMP_CWORD=%d; _prog; echo \"${COMPREPLY[@]}\"", script, c.line, len(words)-1)
		out, err := exec.Command("bash", "-c", run).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != c.want {
			t.Errorf("%q: bash offers %q, want %q, %v", c.line, out, c.want, err)
		}
	}
	for _, shell := range []string{"zsh", "fish"} {
		if s, err := cli.Completion(p.Model, shell); err != nil || !strings.Contains(s, "down") || !strings.Contains(s, "red blue") {
			t.Errorf("%s: %v\n%s", shell, err, s)
		}
	}
	if _, err := cli.Completion(p.Model, "tcsh"); !errors.Is(err, cli.ErrShell) {
		t.Errorf("got %v", err)
	}
}

func TestThingsAreCounted(t *testing.T) {
	for n, want := range map[int]string{0: "0 coins", 1: "1 coin", 2: "2 coins"} {
		if got := cli.Count(n, "coin"); got != want {
			t.Errorf("got %q", got)
		}
	}
}
