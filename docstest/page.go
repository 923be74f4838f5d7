package docstest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// A Block is a fenced or indented block of a page, or a comment for tests.
type Block struct {
	Line     int    // on which it begins, from 1
	Language string // "sh", "console", …; "" if none is said
	Fenced   bool
	Comment  bool   // <!-- test: … --> or <!-- file: … -->
	Text     string // without fences, indentation and comment marks
}

// A Link is where a page leads.
type Link struct {
	Line  int
	To    string // as it stands there
	Image bool
	Text  string // the link's words; an image's alternative text
}

// A Page is one Markdown file.
type Page struct {
	Path    string // from the top of the tree, with slashes
	Title   string // of its first heading
	Source  string
	Blocks  []Block
	Links   []Link
	Anchors map[string]bool // of its headings, as GitHub makes them
	HTML    []int           // lines of HTML that is no comment
	taken   map[int]bool    // blocks that the test has, by line
}

// file is a page's place, from any directory of the tree.
func file(page string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, filepath.FromSlash(page)), nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("not in a module")
		}
	}
}

// Read reads a page, by its path from the top of the tree, for a test that
// runs its commands: the test fails at its end if it has not taken them all.
func Read(t testing.TB, path string) *Page {
	t.Helper()
	p := Parse(t, path)
	t.Cleanup(func() {
		for _, b := range p.Blocks {
			if b.run() && !p.taken[b.Line] && !t.Failed() {
				t.Errorf("%s:%d: the test does not run these commands", path, b.Line)
			}
		}
	})
	return p
}

func (b Block) run() bool { return b.Language == "sh" || b.Language == "console" }

// Parse reads a page to look at it.
func Parse(t testing.TB, path string) *Page {
	t.Helper()
	name, err := file(path)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	p := &Page{Path: path, Source: string(source), Anchors: map[string]bool{}, taken: map[int]bool{}}
	p.parse(source)
	return p
}

func (p *Page) parse(source []byte) {
	tree := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	// The walk ends only with an error of ours, and there is none.
	_ = ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			p.add(n, source)
		}
		return ast.WalkContinue, nil
	})
}

func (p *Page) add(n ast.Node, source []byte) {
	switch n := n.(type) {
	case *ast.Heading:
		words := plain(n, source)
		if p.Title == "" {
			p.Title = words
		}
		p.anchor(words)
	case *ast.FencedCodeBlock:
		b := Block{Language: string(n.Language(source)), Fenced: true, Text: string(n.Lines().Value(source))}
		if n.Lines().Len() > 0 {
			b.Line = line(source, n.Lines().At(0).Start) - 1
		}
		p.Blocks = append(p.Blocks, b)
	case *ast.CodeBlock:
		p.Blocks = append(p.Blocks, Block{Line: line(source, n.Lines().At(0).Start), Text: string(n.Lines().Value(source))})
	case *ast.HTMLBlock:
		at := line(source, n.Lines().At(0).Start)
		all := string(n.Lines().Value(source))
		if n.HasClosure() {
			all += string(n.ClosureLine.Value(source))
		}
		p.html(strings.TrimSpace(all), at)
	case *ast.RawHTML:
		p.HTML = append(p.HTML, p.lineOf(n, source))
	case *ast.Link:
		p.Links = append(p.Links, Link{Line: p.lineOf(n, source), To: string(n.Destination), Text: plain(n, source)})
	case *ast.Image:
		p.Links = append(p.Links, Link{Line: p.lineOf(n, source), To: string(n.Destination), Image: true, Text: plain(n, source)})
	}
}

func (p *Page) html(all string, at int) {
	body, comment := strings.CutPrefix(all, "<!--")
	body, closed := strings.CutSuffix(body, "-->")
	switch {
	case !comment || !closed:
		p.HTML = append(p.HTML, at)
	case strings.HasPrefix(body, " test: "), strings.HasPrefix(body, " file: "):
		p.Blocks = append(p.Blocks, Block{Line: at, Comment: true, Text: strings.TrimPrefix(body, " ")})
	}
}

// anchor adds a heading's anchor: small letters, hyphens for spaces, nothing
// for other signs, and a number from the second of a name on.
func (p *Page) anchor(words string) {
	slug := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, words)
	for name, n := slug, 1; ; n++ {
		if !p.Anchors[name] {
			p.Anchors[name] = true
			return
		}
		name = slug + "-" + string(rune('0'+n))
	}
}

// lineOf is the line of the paragraph, cell or heading that a node stands in.
func (p *Page) lineOf(n ast.Node, source []byte) int {
	for ; n != nil; n = n.Parent() {
		if n.Type() == ast.TypeBlock && n.Lines() != nil && n.Lines().Len() > 0 {
			return line(source, n.Lines().At(0).Start)
		}
	}
	return 1
}

func line(source []byte, at int) int { return 1 + strings.Count(string(source[:at]), "\n") }

// plain is what a reader sees of a node.
func plain(n ast.Node, source []byte) string {
	var out strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			switch n := n.(type) {
			case *ast.Text:
				out.Write(n.Segment.Value(source))
				if n.SoftLineBreak() {
					out.WriteByte(' ')
				}
			case *ast.String:
				out.Write(n.Value)
			}
		}
		return ast.WalkContinue, nil
	})
	return out.String()
}
