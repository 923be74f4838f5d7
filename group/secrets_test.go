package group

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// variableTime are the functions of fp256bn whose time depends on their
// arguments.
var variableTime = map[string]bool{
	"Sums1": true, "MSM1": true, "MSM2": true, "MulVartime": true, "PrepareG1": true,
	"Prepare": true, "Pair": true, "PairingCheck": true, "PairingCheckPrepared": true, "PairPrepared": true,
	"LiftX": true, "PreparedG2": true, "PreparedG1": true, "Term": true,
}

// publicOnly are the functions that may call them, and why no secret comes
// there.
var publicOnly = map[string]string{
	"fixedBases":        "the generators",
	"bases":             "a type",
	"HashToCurve":       "the base of a coin, known to the bank at the latest when it is spent",
	"epochBase":         "the number of an epoch",
	"NewVerifier":       "the group's public keys",
	"Verifier":          "a type",
	"Verify":            "a credential, once, on its holder's own machine",
	"fold":              "claims, and weights from their hash",
	"foldTerms":         "claims, and weights from their hash",
	"firstMoves":        "the points and responses of a presentation",
	"relations":         "the points and responses of a presentation",
	"Match":             "tracing tokens, in the hands of who may use them",
	"NewRevocationList": "tracing tokens, in the hands of who may use them",
	"RevocationList":    "a type",
	"matchesOneByOne":   "keys that are public because a TPM was broken",
	"matchesOfMany":     "keys that are public because a TPM was broken",
	"checkPairing":      "the points of a presentation",
	"VerifyBatch":       "the points of presentations, and weights that are used once",
	"commitments":       "the points and responses of a join, which the manager sees",
	"verify":            "the points and responses of a partial decryption",
	"CombineOpening":    "partial decryptions, which are published",
	"CombineTrace":      "partial decryptions, which are published",
	"openingShare":      "commitments and an index",
	"tracingShare":      "commitments and an index",
	"VerifyIssuerKey":   "the manager's public key and proof",
	"Check":             "a tracing token, in the hands of who may use it",
	"Trace":             "a tracing token, in the hands of who may use it",
}

// Whoever adds a call of a variable-time function says here why its scalars
// are public. The secret ones (γ, o, o2, f, u, k, r and every nonce) go through
// G1.Mul and G2.Mul.
func TestVariableTimeArithmeticSeesPublicValuesOnly(t *testing.T) {
	seen := make(map[string]bool)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			hidden := strings.HasPrefix(d.Name(), ".") && d.Name() != ".."
			if hidden || strings.HasSuffix(d.Name(), "test") || path == filepath.Join("..", "group", "fp256bn") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		tree, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		for _, decl := range tree.Decls {
			for _, call := range variableTimeIn(decl) {
				name := declName(decl)
				seen[name] = true
				if tree.Name.Name != "group" || publicOnly[name] == "" {
					t.Errorf("%s: %s uses fp256bn.%s: are its arguments public?", path, name, call)
				}
			}
		}
		return nil
	})
	must(t, err)
	for name := range publicOnly {
		if !seen[name] {
			t.Errorf("%s uses no variable-time function any more: take it off the list", name)
		}
	}
}

// variableTimeIn returns the variable-time functions that the declaration
// mentions: as fp256bn.X, or as a method of a point.
func variableTimeIn(decl ast.Decl) (out []string) {
	ast.Inspect(decl, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || !variableTime[sel.Sel.Name] {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == "fp256bn" || sel.Sel.Name == "MulVartime" {
			out = append(out, sel.Sel.Name)
		}
		return true
	})
	return out
}

func declName(decl ast.Decl) string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return d.Name.Name
	case *ast.GenDecl:
		switch s := d.Specs[0].(type) {
		case *ast.TypeSpec:
			return s.Name.Name
		case *ast.ValueSpec:
			return s.Names[0].Name
		}
	}
	return "?"
}
