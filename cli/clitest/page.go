package clitest

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// update is the environment variable that has the page written instead of
// compared.
const update = "SPECIE_UPDATE_DOCS"

// page compares the part of the page that is about this program with the
// program.
func (s *Subject) page(t *testing.T, model *kong.Application) {
	text, err := os.ReadFile(s.Reference)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- commands of "+model.Name+" -->\n", "<!-- end of "+model.Name+" -->\n"
	before, rest, found := strings.Cut(string(text), begin)
	have, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no lines %q and %q, between which the commands stand", s.Reference, begin, end)
	}
	want := reference(model)
	if have == want {
		return
	}
	if os.Getenv(update) != "" {
		if err := os.WriteFile(s.Reference, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	old := strings.Split(have, "\n")
	for _, line := range strings.Split(want, "\n") {
		if !slices.Contains(old, line) {
			t.Errorf("docs/cli.md lacks the line %q", line)
		}
	}
	t.Errorf("docs/cli.md is not what %s has; write it with: %s=1 go test %s -run TestConforms", model.Name, update, s.Package)
}

// reference is what the page says of a program: its commands, what every one of
// them takes, and the environment.
func reference(model *kong.Application) string {
	var b strings.Builder
	b.WriteString("\n| command | what it does |\n|---|---|\n")
	for _, n := range inOrder(model.Node) {
		fmt.Fprintf(&b, "| `%s %s` | %s |\n", model.Name, path(n), cell(n.Help))
	}
	b.WriteString("\n| every command takes | |\n|---|---|\n")
	for _, f := range model.Flags {
		if f.Name == "help" || f.Hidden {
			continue
		}
		flag := "--" + f.Name
		if !f.IsBool() {
			flag += " " + f.FormatPlaceHolder()
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", flag, cell(f.Help))
	}
	if env := environment(model.Node); len(env) > 0 {
		b.WriteString("\n| environment | stands for |\n|---|---|\n")
		for _, e := range env {
			fmt.Fprintf(&b, "| `%s` | `%s` |\n", e.name, e.flag)
		}
	}
	b.WriteString("\n")
	return b.String()
}

func inOrder(root *kong.Node) (out []*kong.Node) {
	walk(root, func(n *kong.Node) {
		if len(n.Children) == 0 {
			out = append(out, n)
		}
	})
	return out
}

type variable struct{ name, flag string }

// environment is what flags are read from where they are not given.
func environment(root *kong.Node) (out []variable) {
	walk(root, func(n *kong.Node) {
		for _, f := range n.Flags {
			for _, name := range f.Envs {
				out = append(out, variable{name, strings.TrimSpace(path(n) + " --" + f.Name)})
			}
		}
	})
	slices.SortStableFunc(out, func(a, b variable) int { return cmp.Compare(a.name, b.name) })
	return slices.Compact(out)
}

// cell is a text in a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
