package group

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the document says of a test is worth nothing when the test is gone.
func TestTheDocumentNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../docs/group-signature.md")
	must(t, err)
	var tests strings.Builder
	must(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		tests.Write(b)
		return err
	}))
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) < 30 {
		t.Fatalf("%d tests named: the document's form has changed", len(named))
	}
	for _, m := range named {
		if !strings.Contains(tests.String(), "\nfunc "+m[1]+"(") {
			t.Errorf("%s is named, and is not there", m[1])
		}
	}
	// Every forgery of the table that is a case is one, by the words between
	// the asterisks.
	for _, m := range regexp.MustCompile(`\| case \*([^*]+)\* \|`).FindAllStringSubmatch(string(text), -1) {
		found := false
		for _, f := range forgeries {
			inside := true
			for _, part := range strings.Split(m[1], "…") {
				inside = inside && strings.Contains(f.name, strings.TrimSpace(part))
			}
			found = found || inside
		}
		if !found {
			t.Errorf("no forgery is called %q", m[1])
		}
	}
}
