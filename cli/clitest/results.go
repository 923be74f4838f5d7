package clitest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// source is what the program's package is made of.
type source struct {
	files *token.FileSet
	// methods by type and name, functions by "" and name; named by name alone.
	methods map[[2]string]*ast.FuncDecl
	named   map[string][]*ast.FuncDecl
}

// sources reads the package in the working directory.
func sources(t *testing.T) *source {
	t.Helper()
	s := &source{files: token.NewFileSet(), methods: map[[2]string]*ast.FuncDecl{}, named: map[string][]*ast.FuncDecl{}}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(s.files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				s.methods[[2]string{receiver(fn), fn.Name.Name}] = fn
				s.named[fn.Name.Name] = append(s.named[fn.Name.Name], fn)
			}
		}
	}
	return s
}

// receiver is the name of a method's type, "" for a function.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	x := fn.Recv.List[0].Type
	if star, ok := x.(*ast.StarExpr); ok {
		x = star.X
	}
	if id, ok := x.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// results: every command comes to a call of Out.Result or Out.Document, and
// nothing else writes to standard output. Calls are followed by name, which finds
// the command that prints nothing, and the one that prints past --json.
func (s *Subject) results(t *testing.T, src *source, model *kong.Application) {
	for _, fns := range src.named {
		for _, fn := range fns {
			ast.Inspect(fn, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				pkg, _ := sel.X.(*ast.Ident)
				if sel.Sel.Name == "Stdout" || pkg != nil && pkg.Name == "fmt" && strings.HasPrefix(sel.Sel.Name, "Print") {
					t.Errorf("%s writes to standard output by itself; use Out.Result or Out.Document, which honour --json", src.files.Position(sel.Pos()))
				}
				return true
			})
		}
	}
	for path, n := range leaves(model.Node) {
		why, silent := s.Silent[path]
		typ := n.Target.Type().Name()
		run := src.methods[[2]string{typ, "Run"}]
		if run == nil {
			continue // of package cli
		}
		if prints := src.prints(run, map[*ast.FuncDecl]bool{}); prints == silent {
			if silent {
				t.Errorf("%q has a result: it is not to be among the silent ones (%s)", path, why)
			} else {
				t.Errorf("%q has no result: with --json a script gets nothing. Print one with Out.Result", path)
			}
		}
	}
}

// prints says whether a function comes to a result.
func (s *source) prints(fn *ast.FuncDecl, seen map[*ast.FuncDecl]bool) (found bool) {
	if seen[fn] || fn.Body == nil {
		return false
	}
	seen[fn] = true
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if found {
			return false
		}
		switch x := n.(type) {
		case *ast.SelectorExpr:
			name := x.Sel.Name
			if name == "Result" || name == "Document" {
				found = true
				return false
			}
			if name == "Run" {
				if lit, ok := x.X.(*ast.CompositeLit); ok {
					if id, ok := lit.Type.(*ast.Ident); ok {
						found = s.methods[[2]string{id.Name, "Run"}] != nil && s.prints(s.methods[[2]string{id.Name, "Run"}], seen)
					}
				}
				return true
			}
			for _, m := range s.named[name] {
				if found = receiver(m) != "" && s.prints(m, seen); found {
					return false
				}
			}
		case *ast.Ident:
			if f := s.methods[[2]string{"", x.Name}]; f != nil {
				found = s.prints(f, seen)
			}
		}
		return !found
	})
	return found
}
