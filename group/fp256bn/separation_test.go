package fp256bn

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

// The constant-time path and the fast one share no code above the field: they
// have point types of their own, and the files of the one do not name anything
// of the other.
func TestTheConstantTimePathNamesNothingOfTheFastOne(t *testing.T) {
	fast := map[string]bool{
		"g1Jac": true, "affineAll": true, "invertAll": true, "wnaf": true, "Sums1": true, "Term": true,
		"PreparedG1": true, "PrepareG1": true, "oddTable": true, "oddMultiples": true, "multiple": true, "chords": true,
		"MSM1": true, "MSM2": true, "MulVartime": true, "Exp": true, "Sqrt": true, "Legendre": true,
	}
	for _, file := range []string{"g1.go", "g1proj.go", "g2.go", "g2proj.go", "glv.go", "scalar.go", "fp.go", "fp2.go"} {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && fast[id.Name] {
				t.Errorf("%s names %s", file, id.Name)
			}
			return true
		})
	}
}
