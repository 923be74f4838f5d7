package docstest

import (
	"slices"
	"strings"
	"testing"
)

const sample = "# A page: *two* words\n\n" +
	"<!-- test: account alice.token 100.00 -->\n" +
	"<!-- file: pin\nblue sky\n-->\n\n" +
	"```sh\nspecie balance\n```\n\n" +
	"1. a step\n\n   ```sh\n   specie coins |\n     wc -l\n   ```\n\n" +
	"<!-- a remark -->\n\n## A page, two words\n\n" +
	"```console\n$ specie pay \\\n    a.link\npaid 2.00 at 2026-11-21 21:00\n$ specie balance\nto spend  1.00\n```\n\n" +
	"    indented\n\n" +
	"see [the *other*](other.md#there) ![](x.svg) <b>bold</b>\n"

func page() *Page {
	p := &Page{Path: "docs/sample.md", Anchors: map[string]bool{}, taken: map[int]bool{}}
	p.parse([]byte(sample))
	return p
}

func TestAPageIsReadAsItsReadersSeeIt(t *testing.T) {
	p := page()
	if p.Title != "A page: two words" || !p.Anchors["a-page-two-words"] || !p.Anchors["a-page-two-words-1"] {
		t.Errorf("title %q, headings %v", p.Title, p.Anchors)
	}
	want := []Link{{Line: 33, To: "other.md#there", Text: "the other"}, {Line: 33, To: "x.svg", Image: true}}
	if !slices.Equal(p.Links, want) {
		t.Errorf("links %+v", p.Links)
	}
	if !slices.Equal(p.HTML, []int{33, 33}) {
		t.Errorf("HTML in lines %v", p.HTML)
	}
	var kinds []string
	for _, b := range p.Blocks {
		switch {
		case b.Comment:
			kinds = append(kinds, "comment")
		case !b.Fenced:
			kinds = append(kinds, "indented")
		default:
			kinds = append(kinds, b.Language)
		}
	}
	if got := strings.Join(kinds, " "); got != "comment comment sh sh console indented" {
		t.Errorf("blocks: %s", got)
	}
	if b := p.Blocks[2]; b.Line != 8 || b.Text != "specie balance\n" {
		t.Errorf("got %+v", b)
	}
}

func TestAPagesCommandsBecomeAScript(t *testing.T) {
	p := page()
	want := `account alice.token 100.00
exec sh -eux line8
exec sh -eux line14
plays line23 docs/sample.md
-- pin --
blue sky
-- line8 --
specie balance
-- line14 --
specie coins |
  wc -l
-- line23 --
`
	if got := p.Script(); !strings.HasPrefix(got, want) {
		t.Errorf("the script is\n%s", got)
	}
	if len(p.taken) != 3 {
		t.Errorf("taken: %v", p.taken)
	}
	if got := page().Shell(); got != "set -eux\nspecie balance\nspecie coins |\n  wc -l\n" {
		t.Errorf("one shell runs\n%s", got)
	}
}

func TestAHalfOfAPageTakesItsOwnBlocks(t *testing.T) {
	p := page()
	before, after := p.Until(t, "account alice.token 100.00")
	if before.Shell(); len(p.taken) != 0 {
		t.Errorf("nothing stands before the mark: %v", p.taken)
	}
	if after.Shell(); !p.taken[8] || !p.taken[14] || p.taken[23] {
		t.Errorf("taken: %v", p.taken)
	}
}

func TestWhatDiffersFromRunToRunIsLeftOut(t *testing.T) {
	if got := commands(console(t)); !slices.Equal(got, []string{"specie pay \\\n    a.link", "specie balance"}) {
		t.Errorf("commands: %q", got)
	}
	for _, same := range [][2]string{
		{"at 2026-11-21 21:00:00 UTC", "at 2027-01-02 03:04:05 UTC"},
		{"http://127.0.0.1:8080/pay", "http://127.0.0.1:99/pay"},
		{"op lZ1UTyDCpyvUGuNYXzlaegAAAA", "op AAAAAAAAAAAAAAAAAAAAAAAAA1"},
		{"payment _npuYXLMapwz", "payment qqqYXLMapwz4"},
		{"keys/DEMOGROUP-8d460fad.pem", "keys/DEMOGROUP-00460fad.pem"},
		{"a   b\n", "a b\n"},
	} {
		if Normal(same[0]) != Normal(same[1]) {
			t.Errorf("%q and %q differ: %q, %q", same[0], same[1], Normal(same[0]), Normal(same[1]))
		}
	}
	for _, other := range [][2]string{{"paid 12.34 EUR", "paid 12.35 EUR"}, {"a\nb", "a b"}, {"presentation", "verification"}, {"TESTGROUP", "DEMOGROUP"}} {
		if Normal(other[0]) == Normal(other[1]) {
			t.Errorf("%q and %q are the same", other[0], other[1])
		}
	}
}

func console(t *testing.T) string {
	t.Helper()
	for _, b := range page().Blocks {
		if b.Language == "console" {
			return b.Text
		}
	}
	t.Fatal("no console")
	return ""
}
