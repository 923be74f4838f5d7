package cli_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/speciecash/specie/cli"
)

func TestErrorsAreOneSafeLine(t *testing.T) {
	var b bytes.Buffer
	o := &cli.Out{Program: "specie", Stderr: &b}
	o.Fail(errors.Join(errors.New("first"), errors.New("evil \x1b[31m text\u202e")), "do this")
	want := "specie: error: first; evil ?[31m text?\nspecie: hint: do this\n"
	if b.String() != want {
		t.Fatalf("got %q", b.String())
	}
}

func TestTableAlignsNumbersToTheRight(t *testing.T) {
	var b bytes.Buffer
	cli.Table(&b, []string{"KIND", ">CHF"}, [][]string{{"bearer", "1.00"}, {"bound", "12.34"}})
	want := "KIND      CHF\nbearer   1.00\nbound   12.34\n"
	if b.String() != want {
		t.Fatalf("got\n%s", b.String())
	}
}

func TestTableCountsCellsNotCharacters(t *testing.T) {
	var b bytes.Buffer
	cli.Table(&b, []string{"WHO", ">CHF", "NOTE"}, [][]string{{"東京", "1.00", "a"}, {"Cafe\u0301", "12.34", "b"}})
	want := "WHO     CHF  NOTE\n東京   1.00  a\nCafe\u0301  12.34  b\n"
	if b.String() != want {
		t.Fatalf("got\n%s", b.String())
	}
}

func TestAResultThatDoesNotArriveIsAnError(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, asJSON := range []bool{false, true} {
		o := &cli.Out{Stdout: full, JSON: asJSON}
		err := o.Result(1, func(w io.Writer) { _, _ = io.WriteString(w, "1\n") })
		if err == nil || !strings.Contains(err.Error(), "write the result: ") || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("got %v", err)
		}
	}
}

func TestADocumentIsItselfOrATextInJSON(t *testing.T) {
	var b bytes.Buffer
	o := &cli.Out{Stdout: &b}
	if err := o.Document("statement", []byte("a,b\n")); err != nil || b.String() != "a,b\n" {
		t.Errorf("got %q, %v", &b, err)
	}
	b.Reset()
	o.JSON = true
	if err := o.Document("statement", []byte("a,b\n")); err != nil || b.String() != "{\n  \"statement\": \"a,b\\n\"\n}\n" {
		t.Errorf("got %q, %v", &b, err)
	}
}

func TestResultIsTextOrJSON(t *testing.T) {
	var b bytes.Buffer
	o := &cli.Out{Stdout: &b, JSON: true}
	text := func(w io.Writer) { _, _ = io.WriteString(w, "text") }
	if err := o.Result(map[string]int{"a": 1}, text); err != nil || !strings.Contains(b.String(), `"a": 1`) {
		t.Fatalf("%q %v", b.String(), err)
	}
	b.Reset()
	o.JSON = false
	if err := o.Result(nil, text); err != nil || b.String() != "text" {
		t.Fatalf("%q %v", b.String(), err)
	}
}

func TestBarDrawsNothingWhereThereIsNoTerminal(t *testing.T) {
	var b bytes.Buffer
	bar := (&cli.Out{Stderr: &b}).Bar("working")
	bar(1, 2)
	bar(2, 2)
	if b.Len() != 0 {
		t.Fatalf("drew %q", b.String())
	}
}

func TestThingsAreCounted(t *testing.T) {
	for n, want := range map[int]string{0: "0 coins", 1: "1 coin", 2: "2 coins"} {
		if got := cli.Count(n, "coin"); got != want {
			t.Errorf("got %q", got)
		}
	}
}
