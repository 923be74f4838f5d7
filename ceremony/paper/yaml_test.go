package paper_test

import (
	"errors"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/speciecash/specie/ceremony/paper"
)

var errOwn = errors.New("not a colour")

// colour reads itself, and says on which line it fails.
type colour string

func (c *colour) UnmarshalYAML(*yaml.Node) error { return errOwn }

type word string

func TestAYAMLErrorNamesNoType(t *testing.T) {
	type inner struct {
		Key string `yaml:"key"`
	}
	type file struct {
		Name  string          `yaml:"name"`
		Size  int             `yaml:"size"`
		Count uint64          `yaml:"count"`
		List  []int64         `yaml:"list"`
		Inner inner           `yaml:"inner"`
		Bare  struct{ A int } `yaml:"bare"`
		Ink   colour          `yaml:"ink"`
		Word  word            `yaml:"word"`
	}
	for _, tt := range []struct{ name, text, want string }{
		{"an unknown field", "name: a\nnames: b\n", `line 2: unknown field "names"`},
		{"an unknown field further in", "inner:\n  kay: b\n", `line 2: unknown field "kay"`},
		{"one in a block without a name", "bare: {b: 1}\n", `line 1: unknown field "b"`},
		{"a field twice", "name: a\nsize: 1\nname: b\n", `line 3: field "name" stands twice, first in line 1`},
		{"text in place of a number", "size: many\n", "line 1: text `many` where a whole number is meant"},
		{"a negative count", "count: -1\n", "line 1: the number `-1` where a whole number that is not negative is meant"},
		{"text in a list of numbers", "list: [1, x]\n", "line 1: text `x` where a whole number is meant"},
		{"fields in place of a list", "list: {a: 1}\n", "line 1: a block of fields where a list is meant"},
		{"a list in place of text", "name: [a]\n", "line 1: a list where text is meant"},
		{"text in place of fields", "bare: x\n", "line 1: text `x` where a block of fields is meant"},
		{"a list in place of a word", "word: [x]\n", "line 1: a list where something else is meant"},
		{"two errors", "size: x\nnames: b\n", "line 1: text `x` where a whole number is meant; line 2: unknown field \"names\""},
		{"what a type says itself", "name: a\nink: red\n", "line 2: not a colour"},
		{"nothing", "", "there is nothing in it"},
		{"two documents", "name: a\n---\nname: b\n", "more than one document"},
		{"no YAML", "name: [", "did not find expected node content, while parsing a flow node"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var f file
			err := yaml.Load([]byte(tt.text), &f, yaml.WithKnownFields())
			got := paper.YAMLError(err)
			if err == nil || !strings.HasSuffix(got.Error(), tt.want) || strings.Contains(got.Error(), "paper") {
				t.Errorf("got %q of %v, want %q", got, err, tt.want)
			}
			if !errors.Is(got, err) {
				t.Error("the error is not the library's any more")
			}
		})
	}
	var f file
	if err := paper.YAMLError(yaml.Load([]byte("ink: red\n"), &f)); !errors.Is(err, errOwn) {
		t.Errorf("what a type says itself: %v", err)
	}
	if err := paper.YAMLError(errOwn); err != errOwn {
		t.Errorf("another error: %v", err)
	}
}
