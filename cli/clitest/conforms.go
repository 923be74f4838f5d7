package clitest

import (
	"bytes"
	"context"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/speciecash/specie/cli"
)

// Subject is a program that is held to the rules.
type Subject struct {
	// New makes the program, each time a new one: kong writes into its grammar.
	New func() *cli.Program
	// Silent are commands without a result, by path, and why they need none.
	Silent map[string]string
	// Reference is the page that lists the commands, from the directory of the
	// program's package; Package is how "go test" names that package there.
	Reference, Package string
}

// placeholders of flags that mean different things in different commands; every
// other name has one.
func otherwise() map[string][]string {
	return map[string][]string{
		"as":         {"ID", "NAME"},
		"dir":        {"DIR"},
		"group":      {"ID", "URL"},
		"name":       {"NAME"},
		"order":      {"FILE", "TEXT"},
		"out":        {"FILE", "DIR"},
		"backup":     {"FILE"},
		"after":      {"N", "ID"},
		"threshold":  {"K"},
		"warrant":    {"FILE"},
		"to":         {"URL", "FILE"},
		"from":       {"TIME", "FILE"},
		"scope":      {"SCOPE"},
		"passphrase": {"FILE"},
		"desk":       {"ADDRESS"},
		"webhook":    {"URL"},
	}
}

// kinds are the words for what a flag takes.
func kinds() []string {
	return []string{
		"FILE", "DIR", "SOCKET", "URL", "ADDRESS", "TIME", "DURATION", "DATE", "AMOUNT", "NAME", "ID", "TEXT", "N", "K", "TCTI",
		"SCOPE", "SUBJECT", "ACCOUNT", "HOST", "USER",
	}
}

// grammar parses nothing yet: the model is what is looked at.
func (s *Subject) grammar(t *testing.T) *kong.Kong {
	t.Helper()
	k, err := s.New().Grammar(&cli.Out{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Conforms holds the program to the rules.
func Conforms(t *testing.T, s Subject) {
	t.Helper()
	page, err := filepath.Abs(s.Reference)
	if err != nil {
		t.Fatal(err)
	}
	s.Reference = page
	sources := sources(t)
	model := s.grammar(t).Model
	t.Run("every command and flag says what it is for", func(t *testing.T) { texts(t, model.Node) })
	t.Run("flags of one name are of one kind", func(t *testing.T) { flags(t, model.Node) })
	t.Run("every command has a result", func(t *testing.T) { s.results(t, sources, model) })
	t.Run("every example can be typed", func(t *testing.T) { s.examples(t) })
	t.Run("what is mistyped is usage", func(t *testing.T) { s.mistyped(t) })
	t.Run("the page lists every command", func(t *testing.T) { s.page(t, model) })
}

// walk visits every command, groups of commands too.
func walk(n *kong.Node, visit func(*kong.Node)) {
	if n.Hidden {
		return
	}
	visit(n)
	for _, c := range n.Children {
		walk(c, visit)
	}
}

// leaves are the commands that do something, by path.
func leaves(n *kong.Node) map[string]*kong.Node {
	out := map[string]*kong.Node{}
	walk(n, func(n *kong.Node) {
		if len(n.Children) == 0 {
			out[path(n)] = n
		}
	})
	return out
}

// path is how a command is typed behind the program's name.
func path(n *kong.Node) string {
	var words []string
	for ; n != nil && n.Type == kong.CommandNode; n = n.Parent {
		words = append(words, n.Name)
	}
	slices.Reverse(words)
	return strings.Join(words, " ")
}

func texts(t *testing.T, root *kong.Node) {
	walk(root, func(n *kong.Node) {
		says := func(what, help string) {
			if help == "" || !strings.HasSuffix(help, ".") || strings.ContainsAny(help, "\n\t") {
				t.Errorf("%q, %s: the help is %q; give it a sentence in one line, with its full stop", path(n), what, help)
			}
		}
		if n.Type == kong.CommandNode {
			says("the command", n.Help)
		}
		for _, f := range n.Flags {
			if f.Name != "help" && !f.Hidden {
				says("--"+f.Name, f.Help)
			}
		}
		for _, a := range n.Positional {
			says("<"+a.Name+">", a.Help)
		}
	})
}

func flags(t *testing.T, root *kong.Node) {
	walk(root, func(n *kong.Node) {
		for _, f := range n.Flags {
			if f.Hidden || f.IsBool() || f.IsCounter() || f.Enum != "" {
				continue
			}
			at := path(n) + " --" + f.Name
			kind, _, _ := strings.Cut(f.PlaceHolder, ",")
			switch {
			case f.PlaceHolder == "" && f.HasDefault && f.Target.Kind() != reflect.String:
				continue // a number or a duration: the default shows its form
			case !slices.Contains(kinds(), kind):
				t.Errorf("%s takes %q: give it a placeholder, one of %v", at, f.FormatPlaceHolder(), kinds())
			case kind == "FILE" && f.Name == "socket":
				t.Errorf("%s takes a SOCKET", at)
			case strings.Contains(f.Help, "RFC 3339") && f.Target.Type() != reflect.TypeFor[cli.Time]():
				t.Errorf("%s is a time, but no cli.Time: a wrong one is found out too late", at)
			case strings.HasSuffix(f.Name, "-file") && kind != "FILE":
				t.Errorf("%s takes a FILE", at)
			}
			if known, ok := otherwise()[f.Name]; ok && !slices.Contains(known, kind) {
				t.Errorf("%s takes %s; elsewhere a flag of this name takes %v", at, kind, known)
			}
			if want, ok := usual()[f.Name]; ok && want != kind {
				t.Errorf("%s takes %s; elsewhere a flag of this name takes %s", at, kind, want)
			}
		}
	})
}

// usual is the kind of thing that a flag of that name takes in all programs.
func usual() map[string]string {
	return map[string]string{
		"account": "ACCOUNT", "admin": "URL", "at": "TIME", "bank": "URL", "case": "FILE", "config": "FILE", "evidence": "FILE",
		"expires": "TIME", "home": "DIR", "id": "ID", "key": "FILE", "keyset": "FILE", "label": "TEXT", "listen": "ADDRESS",
		"reason": "TEXT", "reference": "TEXT", "register": "FILE", "root": "FILE", "socket": "SOCKET", "token-out": "FILE",
		"until": "TIME", "url": "URL",
	}
}

// run runs one command line.
func (s *Subject) run(args ...string) (code int, stdout, stderr string) {
	var o, e bytes.Buffer
	p := s.New()
	code = p.Run(context.Background(), args, &cli.Out{Program: p.Name, Stdout: &o, Stderr: &e})
	return code, o.String(), e.String()
}

func (s *Subject) mistyped(t *testing.T) {
	name := s.New().Name
	var about string // the command
	wrong := func(want string, args ...string) {
		t.Helper()
		code, stdout, stderr := s.run(args...)
		lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
		if code != cli.ExitUsage || stdout != "" || len(lines) != 2 || !strings.HasPrefix(lines[0], name+": error: ") ||
			!strings.HasPrefix(lines[1], name+`: hint: "`+about+` --help" `) || !strings.Contains(lines[0], want) {
			t.Errorf("%s %q: status %d, stdout %q, stderr %q", name, args, code, stdout, stderr)
		}
	}
	about = name
	wrong("unexpected argument fly", "fly")
	wrong(`did you mean "completion"`, "completio")
	for path, n := range leaves(s.grammar(t).Model.Node) {
		words := strings.Fields(path)
		about = name + " " + path
		wrong(`"--json"`, append(slices.Clone(words), "--jsn")...)
		for _, a := range n.Positional {
			if a.Required {
				wrong("", words...)
				break
			}
		}
		code, stdout, stderr := s.run(append(slices.Clone(words), "--help")...)
		if code != cli.ExitOK || stderr != "" || !strings.HasPrefix(stdout, "Usage: "+name+" "+path) {
			t.Errorf("%s %s --help: status %d, stderr %q, stdout %q", name, path, code, stderr, stdout)
		}
	}
	if code, stdout, stderr := s.run("--version"); code != cli.ExitOK || !strings.HasPrefix(stdout, name+" ") || strings.Count(stdout, "\n") != 1 || stderr != "" {
		t.Errorf("%s --version: status %d, stdout %q, stderr %q", name, code, stdout, stderr)
	}
	if code, stdout, stderr := s.run(); code != cli.ExitOK || stderr != "" || strings.Count(stdout, "\n") < 5 {
		t.Errorf("%s alone shows no first steps: status %d, stdout %q, stderr %q", name, code, stdout, stderr)
	}
}
