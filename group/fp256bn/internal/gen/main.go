// Command gen writes the prime fields fp and fr of package fp256bn with
// gnark-crypto's field generator, and beside them the branch-free arithmetic
// of branchfree.go.tmpl. Package fp256bn's go:generate line runs it in that
// package's directory; the output is committed.
package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"github.com/consensys/gnark-crypto/field/generator"
)

//go:embed branchfree.go.tmpl
var branchFree string

func main() {
	fields := []struct{ name, modulus string }{
		// p = 36u⁴+36u³+24u²+6u+1 and n = 36u⁴+36u³+18u²+6u+1 for
		// u = -0x6882F5C030B0A801; a test recomputes both from u.
		{"fp", "0xfffffffffffcf0cd46e5f25eee71a49f0cdc65fb12980a82d3292ddbaed33013"},
		{"fr", "0xfffffffffffcf0cd46e5f25eee71a49e0cdc65fb1299921af62d536cd10b500d"},
	}
	for _, f := range fields {
		if err := generate(f.name, f.modulus); err != nil {
			fmt.Fprintf(os.Stderr, "error: generating field %s: %v\n", f.name, err)
			os.Exit(1)
		}
	}
}

func generate(name, modulus string) error {
	if err := generator.Generate(name, "Element", modulus, name); err != nil {
		return err
	}
	// Vectors are not used here, and the generated tests need two more
	// modules; package fp256bn tests both fields against math/big instead.
	for _, unused := range []string{"vector.go", "vector_purego.go", "vector_test.go", "element_test.go"} {
		if err := os.Remove(filepath.Join(name, unused)); err != nil {
			return err
		}
	}
	t, err := template.New(name).Parse(branchFree)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, name); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(name, "branchfree.go"), out.Bytes(), 0o644)
}
