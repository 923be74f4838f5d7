package clitest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/speciecash/specie/cli"
)

// examples types every example of every command's help, and every command of the
// overview, as far as the grammar goes.
func (s *Subject) examples(t *testing.T) {
	t.Chdir(t.TempDir())
	name := s.New().Name
	for path, n := range leaves(s.grammar(t).Model.Node) {
		command := name + " " + path
		own := 0
		for _, line := range exampleLines(n.Detail) {
			if line == command || strings.HasPrefix(line, command+" ") {
				own++
			}
			s.typed(t, path, line)
		}
		if own == 0 {
			t.Errorf("%q: no example in its help begins with %q; give it a method Help that returns \"Example:\\n  %s …\"", path, command, command)
		}
	}
	overview := 0
	for line := range strings.Lines(s.New().Overview) {
		if line, ok := strings.CutPrefix(line, "  "); ok && strings.HasPrefix(strings.TrimSpace(line), name+" ") {
			command, _, _ := strings.Cut(strings.TrimSpace(line), "   ") // then comes what it does
			s.typed(t, "the overview", command)
			overview++
		}
	}
	if overview < 2 {
		t.Errorf("the overview shows %d commands of %s", overview, name)
	}
}

// typed parses a command line, whose files there are.
func (s *Subject) typed(t *testing.T, where, line string) {
	t.Helper()
	words, err := shellWords(line)
	if err != nil || len(words) == 0 {
		t.Errorf("%s: example %q: %v", where, line, err)
		return
	}
	if words[0] != s.New().Name {
		return // what another program does with it
	}
	for range 32 {
		k, err := s.New().Grammar(&cli.Out{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}}, func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = k.Parse(words[1:]); err == nil || !provide(t, err) {
			if err != nil {
				t.Errorf("%s: the example %q can't be typed: %v", where, line, err)
			}
			return
		}
	}
	t.Errorf("%s: the example %q wants too many files", where, line)
}

// missing finds in an error of kong what file or directory is not there.
var missing = regexp.MustCompile(`(?:stat|open) (.+): no such file or directory|"?(/[^" ]+)"? exists but is not a directory`)

// provide makes the file that an error says is not there.
func provide(t *testing.T, err error) bool {
	m := missing.FindStringSubmatch(err.Error())
	if m == nil {
		return false
	}
	if m[2] != "" {
		if err := os.Remove(m[2]); err != nil {
			t.Fatal(err)
		}
		return os.Mkdir(m[2], 0o700) == nil
	}
	if err := os.MkdirAll(filepath.Dir(m[1]), 0o700); err != nil {
		t.Fatal(err)
	}
	return os.WriteFile(m[1], nil, 0o600) == nil
}

// exampleLines are the lines below "Example:", with those joined that end in a
// backslash.
func exampleLines(help string) (out []string) {
	_, after, found := strings.Cut(strings.ReplaceAll("\n"+help, "\nExamples:\n", "\nExample:\n"), "\nExample:\n")
	if !found {
		return nil
	}
	joined := ""
	for line := range strings.Lines(after) {
		line, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "  ")
		if !ok {
			break
		}
		joined += strings.TrimSpace(line)
		if before, more := strings.CutSuffix(joined, `\`); more {
			joined = before
			continue
		}
		out, joined = append(out, joined), ""
	}
	return out
}

// shellWords takes the first command of a line apart as a shell does. What a
// command substitution would put there stands as it is.
func shellWords(line string) (words []string, err error) {
	var word strings.Builder
	var quote rune
	in, deep := false, 0
	for _, r := range line {
		switch {
		case deep > 0 || r == '(' && strings.HasSuffix(word.String(), "$"):
			switch r {
			case '(':
				deep++
			case ')':
				deep--
			}
			word.WriteRune(r)
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, in = r, true
		case r == ' ':
			if in {
				words, in = append(words, word.String()), false
				word.Reset()
			}
		case strings.ContainsRune("|<>;&", r):
			if in {
				words = append(words, word.String())
			}
			return words, nil
		default:
			word.WriteRune(r)
			in = true
		}
	}
	if quote != 0 || deep != 0 {
		return nil, fmt.Errorf("a quotation has no end")
	}
	if in {
		words = append(words, word.String())
	}
	return words, nil
}
