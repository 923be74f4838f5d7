package specie_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/speciecash/specie/docstest"
)

// runs names the test that runs a page's commands, as directory and function.
// The function, or one of its file, names the page, and [docstest.Read] sees to
// it that it takes every block.
var runs = map[string][2]string{
	"docs/ceremonies.md":    {"cmd/specie-ceremony", "TestDocs"},
	"docs/supervision.md":   {"cmd/specie-ceremony", "TestDocs"},
	"docs/holder.md":        {"cmd/specie", "TestDocs"},
	"docs/troubles.md":      {"cmd/specie", "TestDocs"},
	"docs/enrolment.md":     {"cmd/specie", "TestDocs"},
	"docs/merchant.md":      {"cmd/specie", "TestDocs"},
	"docs/webshop.md":       {"cmd/specie", "TestDocs"},
	"docs/operator.md":      {"cmd/specied", "TestDocs"},
	"docs/restoring.md":     {"cmd/specied", "TestDocs"},
	"docs/ek-roots.md":      {"cmd/specied", "TestDocsOfManufacturers"},
	"docs/deploy.md":        {"contrib/docker/dockertest", "TestDocs"},
	"docs/group-manager.md": {"demo", "TestDemo"},
	"CONTRIBUTING.md":       {"demo", "TestDemo"},
	"README.md":             {"demo", "TestDemo"},
}

// shown are commands that a page shows and nothing runs there, by page and
// beginning of the line, each with the reason.
var shown = map[[2]string]string{
	{"ceremonies/README.md", "specie-ceremony "}: "an overview of docs/ceremonies.md, where each is run",
	{"CONTRIBUTING.md", "go test "}:              "tests do not run tests",
	{"docs/webshop.md", "go run "}:               "contrib/shop is run by its own test",
	{"docs/deploy.md", "systemctl "}:             "it would change this machine; systemd-analyze looks at the units",
	{"docs/hsm.md", "specie-ceremony probe "}:    "a maker's own library; docs/ceremonies.md probes one that is here",
}

// programs are what a command of ours begins with.
var programs = []string{"specie", "specied", "specie-ceremony", "make", "docker", "systemctl", "go"}

// languages that a block may have. What is sh or console is run.
var languages = []string{"sh", "console", "text", "json", "yaml", "go", "js", "html", "ini", "http"}

func pages(t *testing.T) map[string]*docstest.Page {
	t.Helper()
	all := map[string]*docstest.Page{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin"):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".md"):
			name = filepath.ToSlash(name)
			all[name] = docstest.Parse(t, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// target is where a link of a page leads within the tree, "" if out of it.
func target(page, to string) (file, anchor string) {
	if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
		return "", ""
	}
	to, anchor, _ = strings.Cut(to, "#")
	if to == "" {
		return page, anchor
	}
	file = path.Join(path.Dir(page), to)
	if _, err := os.Stat(filepath.FromSlash(path.Join(file, "README.md"))); err == nil {
		file = path.Join(file, "README.md") // as a directory is shown
	}
	return file, anchor
}

func TestEveryLinkOfEveryPageLeadsSomewhere(t *testing.T) {
	all := pages(t)
	reached := map[string]bool{}
	for name, p := range all {
		for _, l := range p.Links {
			file, anchor := target(name, l.To)
			if file == "" {
				if l.Image {
					t.Errorf("%s:%d: a picture from elsewhere, %s", name, l.Line, l.To)
				}
				continue
			}
			if _, err := os.Stat(filepath.FromSlash(file)); err != nil || strings.HasPrefix(file, "..") {
				t.Errorf("%s:%d: %s leads nowhere", name, l.Line, l.To)
				continue
			}
			if to := all[file]; anchor != "" && (to == nil || !to.Anchors[anchor]) {
				t.Errorf("%s:%d: %s has no heading #%s", name, l.Line, file, anchor)
			}
			if strings.TrimSpace(l.Text) == "" {
				t.Errorf("%s:%d: %s without words", name, l.Line, l.To)
			}
		}
	}
	var from func(name string)
	from = func(name string) {
		if reached[name] || all[name] == nil {
			return
		}
		reached[name] = true
		for _, l := range all[name].Links {
			file, _ := target(name, l.To)
			from(file)
		}
	}
	from("README.md")
	for name := range all {
		if !reached[name] {
			t.Errorf("%s: no links lead here from README.md", name)
		}
	}
}

func TestEveryPageHasATitleAndAWayBack(t *testing.T) {
	for name, p := range pages(t) {
		if !strings.HasPrefix(p.Source, "# ") {
			t.Errorf("%s does not begin with its title", name)
		}
		if len(p.HTML) > 0 {
			t.Errorf("%s:%d: HTML", name, p.HTML[0])
		}
		if dir := path.Dir(name); dir == "docs" && name != "docs/README.md" {
			if len(p.Links) == 0 || p.Links[0].To != "README.md" {
				t.Errorf("%s: its first link is not back to docs/README.md", name)
			}
		}
	}
}

func TestEveryBlockOfCommandsIsRun(t *testing.T) {
	for name, p := range pages(t) {
		commands := 0
		for _, b := range p.Blocks {
			switch {
			case b.Comment:
			case !b.Fenced:
				t.Errorf("%s:%d: a block without fences", name, b.Line)
			case !slices.Contains(languages, b.Language):
				t.Errorf("%s:%d: a block in the language %q; say one of %v", name, b.Line, b.Language, languages)
			case b.Language == "sh" || b.Language == "console":
				commands++
			default:
				for line := range strings.Lines(b.Text) {
					if word, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "$ "), " "); slices.Contains(programs, word) && !isShown(name, line) {
						t.Errorf("%s:%d: nothing runs %q", name, b.Line, strings.TrimSpace(line))
					}
				}
			}
		}
		test, ok := runs[name]
		switch {
		case ok != (commands > 0):
			t.Errorf("%s has %d blocks of commands; run by %v", name, commands, test)
		case ok && !reads(t, test[0], test[1], name):
			t.Errorf("%s: %s in %s does not read it", name, test[1], test[0])
		}
	}
}

func isShown(page, line string) bool {
	for what := range shown {
		if what[0] == page && strings.HasPrefix(strings.TrimSpace(line), what[1]) {
			return true
		}
	}
	return false
}

// reads says whether there is such a test, in a file that names the page.
func reads(t *testing.T, dir, function, page string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		names, isTest := false, false
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				isTest = isTest || n.Name.Name == function
			case *ast.BasicLit:
				names = names || n.Value == strconv.Quote(page)
			}
			return true
		})
		found = found || names && isTest
	}
	return found
}
