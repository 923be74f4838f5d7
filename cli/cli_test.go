package cli_test

import (
	"bytes"
	"errors"
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
		Deep struct {
			Down struct {
				Loud bool
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
	// Bash itself says what it would offer after "prog deep down --l".
	out, err := exec.Command("bash", "-c", script+`
COMP_WORDS=(prog deep down --l); COMP_CWORD=3; _prog; echo "${COMPREPLY[@]}"`).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "--loud" {
		t.Fatalf("bash offers %q, %v", out, err)
	}
	for _, shell := range []string{"zsh", "fish"} {
		if s, err := cli.Completion(p.Model, shell); err != nil || !strings.Contains(s, "down") {
			t.Fatalf("%s: %v", shell, err)
		}
	}
	if _, err := cli.Completion(p.Model, "tcsh"); !errors.Is(err, cli.ErrShell) {
		t.Fatalf("got %v", err)
	}
}
