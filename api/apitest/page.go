package apitest

import (
	"bytes"
	"os"
	"testing"
)

// WriteVariable is the environment variable with which tests write the pages
// that they otherwise compare.
const WriteVariable = "SPECIE_WRITE_PAGES"

// Page fails the test unless a file that is made from the code is as it should
// be; with WriteVariable set it writes the file instead.
func Page(t testing.TB, path string, want []byte) {
	t.Helper()
	if os.Getenv(WriteVariable) != "" {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is out of date (%v): run go generate in this directory", path, err)
	}
}

// Section replaces what stands in a page between the lines
// "<!-- begin NAME -->" and "<!-- end NAME -->", and compares or writes it as
// Page does.
func Section(t testing.TB, path, name string, want []byte) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := []byte("<!-- begin "+name+" -->\n"), []byte("<!-- end "+name+" -->\n")
	head, rest, ok := bytes.Cut(page, begin)
	_, tail, also := bytes.Cut(rest, end)
	if !ok || !also {
		t.Fatalf("%s has no section %s", path, name)
	}
	Page(t, path, bytes.Join([][]byte{head, begin, want, end, tail}, nil))
}
