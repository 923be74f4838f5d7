package docstest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/rogpeppe/go-internal/testscript"
)

// Until parts the page at <!-- test: mark -->. Both halves belong to the one
// page: all blocks of both must be taken.
func (p *Page) Until(t testing.TB, mark string) (before, after *Page) {
	t.Helper()
	for i, b := range p.Blocks {
		if b.Comment && strings.TrimSpace(b.Text) == "test: "+mark {
			first, second := *p, *p
			first.Blocks, second.Blocks = p.Blocks[:i], p.Blocks[i+1:]
			return &first, &second
		}
	}
	t.Fatalf("%s does not say <!-- test: %s -->", p.Path, mark)
	return nil, nil
}

// Shell is the commands of all sh blocks, for one shell: variables and
// functions last to the page's end. Lines of comments are left out.
func (p *Page) Shell() string {
	var out strings.Builder
	out.WriteString("set -eux\n")
	for _, b := range p.Blocks {
		if b.Language == "sh" {
			p.taken[b.Line] = true
			out.WriteString(b.Text)
		}
	}
	return out.String()
}

// Script is the page as a testscript: lines of comments as they stand, each sh
// block in a shell of its own (so a variable that is to last is one of the
// script's), each console block played by [Plays].
func (p *Page) Script() string {
	var script, files strings.Builder
	for _, b := range p.Blocks {
		name := fmt.Sprintf("line%d", b.Line)
		body, isFile := strings.CutPrefix(b.Text, "file: ")
		switch {
		case b.Comment && isFile:
			head, content, _ := strings.Cut(body, "\n")
			fmt.Fprintf(&files, "-- %s --\n%s\n", head, strings.TrimSuffix(content, "\n"))
		case b.Comment:
			fmt.Fprintf(&script, "%s\n", strings.TrimSpace(strings.TrimPrefix(b.Text, "test: ")))
		case b.Language == "sh":
			fmt.Fprintf(&script, "exec sh -eux %s\n", name)
		case b.Language == "console":
			fmt.Fprintf(&script, "plays %s %s\n", name, p.Path)
		}
		if b.run() {
			p.taken[b.Line] = true
			fmt.Fprintf(&files, "-- %s --\n%s", name, b.Text)
		}
	}
	return script.String() + files.String()
}

// Save writes the page's script where [testscript.Params].Files finds it.
func (p *Page) Save(t testing.TB) string {
	t.Helper()
	name := strings.TrimSuffix(strings.ReplaceAll(p.Path, "/", "-"), ".md") + ".txtar"
	script := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(script, []byte(p.Script()), 0o600); err != nil {
		t.Fatal(err)
	}
	return script
}

// Record, in the environment, has a console block's answers written into the
// page instead of compared.
const Record = "SPECIE_RECORD"

// Plays is the testscript command "plays FILE PAGE": FILE is a console block of
// PAGE. Its commands run one after the other, and each must answer, on both
// streams, what stands below it. The script's directory is shown as ~.
func Plays(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: plays FILE PAGE")
	}
	ts.Check(play(args[1], ts.ReadFile(args[0]), func(command string) string {
		// What a command refuses is part of the record, so its status is not ours.
		_ = ts.Exec("sh", "-c", "exec 2>&1\n"+command)
		return strings.ReplaceAll(ts.ReadFile("stdout"), ts.Getenv("WORK"), "~")
	}))
}

// Console plays the page's console blocks for a test that is no testscript: run
// runs a command in a shell and returns what it says on both streams.
func (p *Page) Console(t testing.TB, run func(command string) string) {
	t.Helper()
	for _, b := range p.Blocks {
		if b.Language == "console" {
			p.taken[b.Line] = true
			if err := play(p.Path, b.Text, run); err != nil {
				t.Error(err)
			}
		}
	}
}

// play compares a block with what its commands say, or writes that into the
// page.
func play(page, want string, run func(command string) string) error {
	var got strings.Builder
	for _, command := range commands(want) {
		fmt.Fprintf(&got, "$ %s\n%s", command, run(command))
	}
	said := got.String()
	if Normal(said) == Normal(want) {
		return nil
	}
	if os.Getenv(Record) == "" {
		return fmt.Errorf("%s: the program says\n%s\nand the page\n%s\n(%s=1 writes it there)", page, said, want, Record)
	}
	name, err := file(page)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, []byte(strings.Replace(string(text), want, said, 1)), 0o644)
}

// commands are those behind "$ "; one that ends in a backslash goes on in the
// next line.
func commands(console string) []string {
	var out []string
	more := false
	for line := range strings.Lines(console) {
		line = strings.TrimSuffix(line, "\n")
		command, is := strings.CutPrefix(line, "$ ")
		switch {
		case more:
			out[len(out)-1] += "\n" + line
		case is:
			out = append(out, command)
		default:
			continue
		}
		more = strings.HasSuffix(line, `\`)
	}
	return out
}

var volatile = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`specie:[!-~]+`), "LINK"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?(Z| [A-Z]{3,4}|[+-]\d\d:\d\d)?)?`), "TIME"},
	{regexp.MustCompile(`(127\.0\.0\.1|localhost):\d+`), "ADDRESS"},
	{regexp.MustCompile(`is it "[a-z]+"`), "is it WORD"},
	{regexp.MustCompile(`\b\d+(\.\d+)? ?(ms|µs|s)\b`), "DURATION"},
	{regexp.MustCompile(`[-─═]{3,}`), "---"},
	{regexp.MustCompile(`[ \t]+`), " "},
	{regexp.MustCompile(` \n`), "\n"},
}

// Normal is a text without what differs from run to run: links, times,
// addresses, ids, durations, the width of columns.
func Normal(text string) string {
	for _, v := range volatile {
		text = v.what.ReplaceAllString(text, v.as)
	}
	return word.ReplaceAllStringFunc(text, func(w string) string {
		if isID(w) {
			return "ID"
		}
		return w
	})
}

var word = regexp.MustCompile(`[A-Za-z0-9_-]{8,}`)

// isID says whether a long word has a digit, an underscore, or capitals behind
// small letters, as no word of a language has.
func isID(w string) bool {
	small := strings.IndexFunc(w, unicode.IsLower)
	return strings.ContainsAny(w, "0123456789_") || small >= 0 && strings.ContainsFunc(w[small:], unicode.IsUpper)
}
